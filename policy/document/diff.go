package document

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Limits of what an event says about a change.
const (
	maxChanges = 200
	maxValue   = 256 // bytes of a before or after
)

// flat is an object as readable field paths in a fixed order, absent fields left out.
type flat []field

type field struct{ path, value string }

func (f *flat) add(path, value string) {
	if value != "" {
		*f = append(*f, field{path, value})
	}
}

func (f *flat) flag(path string, on bool) {
	if on {
		f.add(path, "true")
	}
}

func (f *flat) duration(path string, d time.Duration) {
	if d != 0 {
		f.add(path, d.String())
	}
}

func (f *flat) time(path string, t time.Time) {
	if !t.IsZero() {
		f.add(path, t.UTC().Format(time.RFC3339))
	}
}

// differences lists every changed object of the policy record: organization, sites, connections, policy.
func differences(old, next *policy.Organization) []ObjectChange {
	var out []ObjectChange
	target := audit.Target{Type: "organization", ID: next.ID, UID: next.UID}
	if old == nil {
		out = append(out, ObjectChange{Type: audit.TypeOrganizationCreated, Target: target, Changes: append(changes(nil, flatOrganization(next)), settings(&policy.Organization{}, next)...)})
		old = &policy.Organization{}
	} else if c := append(changes(flatOrganization(old), flatOrganization(next)), settings(old, next)...); len(c) > 0 {
		out = append(out, ObjectChange{Type: audit.TypeOrganizationUpdated, Target: target, Changes: c})
	}
	out = append(out, objects("site", old.Sites, next.Sites, func(s *policy.Site) (string, string, flat) { return s.ID, s.UID, flatSite(s) },
		audit.TypeSiteCreated, audit.TypeSiteUpdated, audit.TypeSiteDeleted)...)
	out = append(out, dropped(objects("connection", old.Connections, next.Connections,
		func(c *policy.Connection) (string, string, flat) { return c.ID, c.UID, flatConnection(c) },
		audit.TypeConnectionCreated, audit.TypeConnectionUpdated, audit.TypeConnectionDeleted))...)
	c := changes(flatPolicy(old), flatPolicy(next))
	if old.Unreadable && !next.Unreadable {
		c = append([]audit.Change{{Field: "policy", Before: "unreadable", After: "replaced"}}, c...)
	}
	if c != nil {
		out = append(out, ObjectChange{Type: audit.TypePolicyUpdated, Target: audit.Target{Type: "policy", ID: next.ID, UID: next.UID}, Changes: c})
	}
	return out
}

// objects compares two lists by uid.
func objects[T any](kind string, old, next []T, flatten func(*T) (id, uid string, f flat), created, updated, deleted audit.Type) []ObjectChange {
	var out []ObjectChange
	add := func(t audit.Type, id, uid string, c []audit.Change) {
		out = append(out, ObjectChange{Type: t, Target: audit.Target{Type: kind, ID: id, UID: uid}, Changes: c})
	}
	index := func(list []T, uid string) int {
		return slices.IndexFunc(list, func(o T) bool { _, u, _ := flatten(&o); return u == uid })
	}
	for i := range next {
		id, uid, f := flatten(&next[i])
		at := index(old, uid)
		if at < 0 {
			add(created, id, uid, changes(nil, f))
			continue
		}
		_, _, before := flatten(&old[at])
		if c := changes(before, f); c != nil {
			add(updated, id, uid, c)
		}
	}
	for i := range old {
		if id, uid, f := flatten(&old[i]); index(next, uid) < 0 {
			add(deleted, id, uid, changes(f, nil))
		}
	}
	return out
}

// changes lists the fields that differ: those of the new form in its order, then those that are gone.
func changes(old, next flat) []audit.Change {
	var out []audit.Change
	before := make(map[string]string, len(old))
	for _, f := range old {
		before[f.path] = f.value
	}
	stays := make(map[string]bool, len(next))
	for _, f := range next {
		stays[f.path] = true
		if was := before[f.path]; was != f.value {
			out = append(out, audit.Change{Field: f.path, Before: short(was), After: short(f.value)})
		}
	}
	for _, f := range old {
		if !stays[f.path] {
			out = append(out, audit.Change{Field: f.path, Before: short(f.value)})
		}
	}
	if rest := len(out) - maxChanges; rest > 0 {
		out = append(out[:maxChanges:maxChanges], audit.Change{Field: "…", After: strconv.Itoa(rest) + " more fields changed"})
	}
	return out
}

// short bounds a value; what is cut off still makes a visible difference.
func short(s string) string {
	if len(s) <= maxValue {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:maxValue], "") + "… (" + hex.EncodeToString(sum[:4]) + ")"
}

func flatOrganization(o *policy.Organization) flat {
	var f flat
	f.add("display_name", o.DisplayName)
	f.flag("disabled", o.Disabled)
	f.flag("sandbox", o.Sandbox)
	return f
}

// origin says of an object that documents leave it alone.
func (f *flat) origin(o audit.Origin) {
	if o == audit.OriginAPI {
		f.add("maintained_by", "API")
	}
}

func flatSite(s *policy.Site) flat {
	var f flat
	f.add("id", s.ID)
	f.add("display_name", s.DisplayName)
	f.add("hostnames", strings.Join(s.Hostnames, ", "))
	f.flag("disabled", s.Disabled)
	f.flag("trusts_account_email", s.TrustsAccountEmail)
	f.privacy(s.Privacy)
	f.add("region", s.Region)
	f.origin(s.Origin)
	return f
}

func flatPolicy(o *policy.Organization) flat {
	var f flat
	p := &o.Policy
	ids := make([]string, 0, len(p.Rules))
	for i := range p.Rules {
		ids = append(ids, p.Rules[i].ID)
	}
	f.add("rules", strings.Join(ids, ", "))
	for i := range p.Rules {
		f.rule("rules["+p.Rules[i].ID+"]", &p.Rules[i])
	}
	f.demands("default", &p.Default)
	f.flag("stops.external", p.Stops.External)
	f.add("stops.domains", domainList(p.Stops.Domains))
	f.add("stops.networks", networkList(p.Stops.Networks))
	for i := range p.AccountLists {
		f.add("account_lists["+p.AccountLists[i].Name+"]", accountCount(p.AccountLists[i].Accounts))
		f.add("account_lists["+p.AccountLists[i].Name+"].expires", expiryCount(p.AccountLists[i].Expiries))
	}
	f.add("record", names(p.RecordClasses))
	if o.AllowUnreadable {
		f.add("on_unreadable", "ALLOW")
	}
	f.time("suspended_until", o.SuspendedUntil)
	return f
}

func (f *flat) rule(path string, r *policy.Rule) {
	f.add(path+".description", r.Description)
	f.add(path+".mode", map[policy.Mode]string{policy.ModeEnforce: "ENFORCE", policy.ModeReportOnly: "REPORT_ONLY"}[r.Mode])
	f.add(path+".match.domains", domainList(r.Match.Domains))
	f.add(path+".match.accounts", accountCount(r.Match.Accounts))
	f.add(path+".match.account_lists", strings.Join(r.Match.AccountLists, ", "))
	f.add(path+".match.kinds", names(r.Match.Kinds))
	f.add(path+".match.sites", strings.Join(r.Match.Sites, ", "))
	f.add(path+".match.networks", networkList(r.Match.Networks))
	f.add(path+".match.connections", strings.Join(r.Match.Connections, ", "))
	f.demands(path+".demands", &r.Demands)
	f.time(path+".enforce_from", r.EnforceFrom)
	f.time(path+".expires_at", r.ExpiresAt)
	f.duration(path+".enrolment_grace", r.EnrolmentGrace)
	f.add(path+".message", r.Message)
	f.add(path+".help_url", r.HelpURL)
}

func (f *flat) demands(path string, d *policy.Demands) {
	f.flag(path+".block", d.Block)
	f.add(path+".methods", strings.Join(d.Methods, ", "))
	f.add(path+".sso", d.SSOConnection)
	f.evidence(path+".evidence", d.SSOEvidence)
	if m := d.MFA; m != nil {
		f.add(path+".mfa", "demanded")
		f.add(path+".mfa.factors", strings.Join(m.Factors, ", "))
		f.duration(path+".mfa.max_age", m.MaxAge)
		f.flag(path+".mfa.accept_partner", m.AcceptPartner)
		f.add(path+".mfa.partner_acr", strings.Join(m.PartnerACR, ", "))
		f.evidence(path+".mfa.evidence", m.Evidence)
	}
	f.duration(path+".reverification", d.Reverify)
	f.duration(path+".session_length", d.SessionLength)
}

func (f *flat) evidence(path string, e audit.Evidence) {
	if e != audit.EvidenceUnspecified {
		f.add(path, e.String())
	}
}

func domainList(list []policy.DomainMatch) string {
	out := make([]string, 0, len(list))
	for _, m := range list {
		s := m.Domain.String()
		if m.Subdomains {
			s += " and subdomains"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func networkList(list []netip.Prefix) string { return names(list) }

func names[T fmt.Stringer](list []T) string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, v.String())
	}
	return strings.Join(out, ", ")
}

// accountCount says how many accounts a list has and whether it is the same list, without saying who.
func accountCount(keys []policy.AccountKey) string {
	if len(keys) == 0 {
		return ""
	}
	h := sha256.New()
	for _, k := range keys {
		h.Write(k[:])
	}
	return fmt.Sprintf("%d accounts (%s)", len(keys), hex.EncodeToString(h.Sum(nil)[:4]))
}

// expiryCount tells lists whose entries expire at other times apart.
func expiryCount(list []policy.AccountExpiry) string {
	if len(list) == 0 {
		return ""
	}
	h := sha256.New()
	first := list[0].At
	for _, e := range list {
		h.Write(e.Account[:])
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(e.At.UnixNano())))
		if e.At.Before(first) {
			first = e.At
		}
	}
	return fmt.Sprintf("%d accounts, the first at %s (%s)", len(list), first.UTC().Format(time.RFC3339), hex.EncodeToString(h.Sum(nil)[:4]))
}
