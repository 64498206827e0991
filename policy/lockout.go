package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Closure says that every external user is denied at a site.
type Closure struct {
	Site string
	Path string    // of what denies those whom no other rule is about: policy.default, policy.rules[everybody] …
	Why  string    // in a few words
	From time.Time // since when; at the latest the moment that was asked about
}

// When is the text about a closure that is still to come, " from TIME on"; "" for one that stands.
func (c Closure) When(now time.Time) string {
	if c.From.After(now) {
		return " from " + c.From.UTC().Format(time.RFC3339) + " on"
	}
	return ""
}

// maxMoments bounds how many moments at which rules start or end are looked at.
const maxMoments = 50

// Closed lists the sites at which every external person is denied now or will be once the rules' times have come: by a stop (one
// of every IPv4 address is taken for one of everybody), or because each rule that may decide there, and the default, blocks or
// demands what nobody can meet. Disabled sites are left out: they are closed to everybody, and say so. A site is listed once,
// from the first such moment on, of the next 50 at which rules start or end; one that opens again by itself is listed too.
func (o *Organization) Closed(now time.Time) []Closure {
	if o.Disabled || o.Unreadable {
		return nil
	}
	var out []Closure
	c := newClosing(o)
	moments := o.moments(now)
	for i := range o.Sites {
		s := &o.Sites[i]
		if s.Disabled {
			continue
		}
		for _, at := range moments {
			if path, why := c.closed(s.ID, at); why != "" {
				out = append(out, Closure{Site: s.ID, Path: path, Why: why, From: at})
				break
			}
		}
	}
	return out
}

// moments are now and the later moments at which a rule starts or ends, or its grace does.
func (o *Organization) moments(now time.Time) []time.Time {
	list := []time.Time{now}
	for i := range o.Policy.Rules {
		r := &o.Policy.Rules[i]
		for _, at := range []time.Time{r.EnforceFrom, r.graceUntil(), r.ExpiresAt} {
			if at.After(now) {
				list = append(list, at)
			}
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	list = slices.CompactFunc(list, time.Time.Equal)
	return list[:min(len(list), maxMoments+1)]
}

// closing is what stays the same from site to site and moment to moment.
type closing struct {
	org     *Organization
	denies  []string // of each rule, why it lets nobody in; "" when it may
	graced  []string // the same while its grace lasts
	covered map[[2]int]bool
}

func newClosing(o *Organization) *closing {
	c := &closing{org: o, covered: map[[2]int]bool{}}
	for i := range o.Policy.Rules {
		d := &o.Policy.Rules[i].Demands
		c.denies, c.graced = append(c.denies, o.denies(d, false)), append(c.graced, o.denies(d, true))
	}
	return c
}

// closed says what denies every external person at a site at a moment; why is empty when somebody may enter.
func (c *closing) closed(site string, at time.Time) (path, why string) {
	p := &c.org.Policy
	if p.Stops.External {
		return "policy.stops.external", "external users are stopped"
	}
	if i := slices.IndexFunc(p.Stops.Networks, func(n netip.Prefix) bool { return n.Bits() == 0 && n.Addr().Is4() }); i >= 0 {
		return fmt.Sprintf("policy.stops.networks[%d]", i), "everybody with an IPv4 address is stopped"
	}
	var before []int // rules that decide first, and let nobody in
	for i := range p.Rules {
		r := &p.Rules[i]
		if _, enforced := r.active(at); !enforced || !r.decidesAt(site) {
			continue
		}
		why := c.denies[i]
		if r.graceUntil().After(at) {
			why = c.graced[i]
		}
		switch {
		case why == "" && !slices.ContainsFunc(before, func(b int) bool { return c.covers(b, i) }):
			return "", ""
		case why != "" && r.everybodyAt():
			return "policy.rules[" + r.ID + "]", "rule " + r.ID + " decides, and " + why
		case why != "":
			before = append(before, i)
		}
	}
	if why := c.org.denies(&p.Default, false); why != "" {
		return "policy.default", "the default decides, and " + why
	}
	return "", ""
}

// covers reports whether a rule matches every person whom a later one matches, where both may decide.
func (c *closing) covers(first, later int) bool {
	key := [2]int{first, later}
	covers, known := c.covered[key]
	if !known {
		a, b := c.org.Policy.Rules[first].Match, c.org.Policy.Rules[later].Match
		a.Sites, b.Sites, a.Kinds, b.Kinds = nil, nil, nil, nil
		covers = c.org.covers(&a, &b)
		c.covered[key] = covers
	}
	return covers
}

// decidesAt reports whether a rule may decide about a person at a site.
func (r *Rule) decidesAt(site string) bool {
	return (len(r.Match.Sites) == 0 || slices.Contains(r.Match.Sites, site)) &&
		(len(r.Match.Kinds) == 0 || slices.Contains(r.Match.Kinds, audit.SubjectPerson))
}

// everybodyAt reports whether a rule that may decide about a person at a site decides about every person there.
func (r *Rule) everybodyAt() bool {
	m := r.Match
	m.Sites, m.Kinds = nil, nil
	return m.always()
}

// denies says why demands let nobody in; empty when they may. During a grace a second factor may be missing.
func (o *Organization) denies(d *Demands, grace bool) string {
	if d.Block {
		return "it blocks"
	}
	if field, why, _ := o.unmeetable(d); why != "" && (field != fieldMFA || !grace) {
		return "nobody can meet its demands: " + why
	}
	return ""
}
