package policy

import (
	"net/netip"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Person is somebody whose way in is looked at, with what the directory has about them. The address counts as verified.
type Person struct {
	Address    Address
	AddressKey AccountKey
	Records    Records
}

// Bounds of what Admits tries: what a person could come from, and when.
const (
	maxOrigins = 8
	maxTurns   = 10
)

// Admits reports whether a person could get in at a site now: whether Decide ends in ALLOW for some method, through some connection,
// from nowhere in particular or from a network that a rule names, when everything else is shown that can be shown here.
func (o *Organization) Admits(p Person, site string, now time.Time) bool {
	i := slices.IndexFunc(o.Sites, func(s Site) bool { return s.ID == site })
	if i < 0 || o.stopsEveryNetwork() {
		return false
	}
	in := Input{Organization: o, Site: &o.Sites[i], Records: p.Records, Now: now,
		Subject: Subject{Address: p.Address, AddressKey: p.AddressKey, EmailVerified: true, Kind: audit.SubjectPerson}}
	ways := o.ways(now)
	for _, ip := range o.origins() {
		for _, w := range ways {
			in.Context = Context{SiteID: site, IP: ip, Method: w.Method, Connection: w.Connection}
			in.Shown = append([]Shown{w}, factorsShown(now)...)
			if r := Decide(in); r.Decision.Verdict == audit.VerdictAllow {
				return true
			}
		}
	}
	return false
}

// stopsEveryNetwork reports whether everybody with an IPv4 address is stopped, which is taken for everybody.
func (o *Organization) stopsEveryNetwork() bool {
	return slices.ContainsFunc(o.Policy.Stops.Networks, func(n netip.Prefix) bool { return n.Bits() == 0 && n.Addr().Is4() })
}

// ways are what a person could sign in with: each method by itself, and through each connection that is enabled.
func (o *Organization) ways(now time.Time) []Shown {
	var out []Shown
	for _, m := range allMethods {
		switch m {
		case audit.MethodSocial, audit.MethodSSO:
			if !o.allDisabled(m) {
				out = append(out, Shown{Step: 1, Method: m, Evidence: audit.EvidenceAsserted, At: now})
			}
		case audit.MethodSession, audit.MethodToken: // each goes back to another method
		default:
			out = append(out, Shown{Step: 1, Method: m, Evidence: audit.EvidenceAsserted, At: now, UserVerified: true})
		}
	}
	for i := range o.Connections {
		c := &o.Connections[i]
		if c.Disabled {
			continue
		}
		w := Shown{Step: 1, Method: audit.MethodSocial, Connection: c.ID, Evidence: audit.EvidenceAsserted, At: now, PartnerAMR: []string{"mfa"}}
		if c.Kind == ConnectionSSO {
			w.Method = audit.MethodSSO
		}
		if c.OIDC != nil || c.SAML != nil {
			w.Evidence = audit.EvidenceVerified
		}
		out = append(out, w)
	}
	return out
}

// factorsShown is every second factor, with the best evidence there can be of it here.
func factorsShown(now time.Time) []Shown {
	out := make([]Shown, 0, len(ownFactors))
	for i, f := range ownFactors {
		s := Shown{Step: i + 2, Factor: f, Evidence: audit.EvidenceAsserted, At: now}
		if slices.Contains(checkedHere, f) {
			s.Evidence = audit.EvidenceVerified
		}
		out = append(out, s)
	}
	return out
}

// origins are where a person may come from: nowhere in particular, and an address in each of the first networks that rules name.
func (o *Organization) origins() []netip.Addr {
	out := []netip.Addr{{}}
	for i := range o.Policy.Rules {
		for _, n := range o.Policy.Rules[i].Match.Networks {
			if len(out) <= maxOrigins && !slices.Contains(out, n.Addr()) {
				out = append(out, n.Addr())
			}
		}
	}
	return out
}

// Lost is a site that somebody could get in at, and cannot any more.
type Lost struct {
	Site string
	From time.Time // since when; at the latest the moment that was asked about
}

// Loses lists the sites at which a person could get in before a change of a directory and cannot after it, now or at one of the next
// moments at which rules start or end. Sites that are not there or disabled, before or after, are left out: they are closed to
// everybody, and say so.
func Loses(before, after *Organization, was, is Person, now time.Time) []Lost {
	if before == nil || after == nil || before.Disabled || after.Disabled {
		return nil
	}
	moments := after.moments(now)
	moments = moments[:min(len(moments), maxTurns)]
	var out []Lost
	for i := range after.Sites {
		s := &after.Sites[i]
		j := slices.IndexFunc(before.Sites, func(b Site) bool { return b.ID == s.ID })
		if s.Disabled || j < 0 || before.Sites[j].Disabled {
			continue
		}
		for _, at := range moments {
			if !after.Admits(is, s.ID, at) && before.Admits(was, s.ID, at) {
				out = append(out, Lost{Site: s.ID, From: at})
				break
			}
		}
	}
	return out
}
