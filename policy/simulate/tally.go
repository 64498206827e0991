package simulate

import (
	"cmp"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// Bounds of what is counted apart, so that memory does not grow with what there is.
const (
	maxKeys   = 1024 // domains and sites that are told apart; the rest is Other
	maxListed = 100  // domains that are listed
	maxSlots  = 4 << 20
	// Other is what counts stand under that are not listed one by one.
	Other = "other"
	// MaxSamples is how many flows are named of each kind at most.
	MaxSamples = 100
)

// Result is what a draft would have done.
type Result struct {
	Flows, Undecided, Unreadable, Unchanged int64

	Changes        []Change // most flows first
	Domains        []Count  // at most 100, most flows first
	Sites          []Count
	Rules          []Count // by the draft's rule that decides; "" is the default
	People         People
	NeedsEnrolment People
	Revision       int64 // of the organization it was compared with
}

// Change is one way in which flows would not have come out as they did.
type Change struct {
	Kind
	Flows   int64
	People  People
	Samples []string // flow ids, newest first
}

// Kind tells changes apart.
type Kind struct {
	Ending       audit.Ending
	Reason       string
	Allowed      bool   // what the draft says
	WouldBe      string // why it denies
	ClassChanges bool
}

// Count counts changes by something.
type Count struct {
	Key    string
	Flows  int64
	People People
}

// group counts flows and people, and names the newest flows.
type group struct {
	flows   int64
	people  people
	samples []string // a ring
	most    int
}

func (g *group) add(flow string, person uint64) {
	g.people.add(person)
	g.sample(flow)
	g.flows++
}

// sample keeps a flow's name. Flows come oldest first: the last ones stay.
func (g *group) sample(flow string) {
	switch {
	case g.most == 0:
	case len(g.samples) < g.most:
		g.samples = append(g.samples, flow)
	default:
		copy(g.samples, g.samples[1:])
		g.samples[g.most-1] = flow
	}
}

// newest are the samples, newest first.
func (g *group) newest() []string {
	out := slices.Clone(g.samples)
	slices.Reverse(out)
	return out
}

// groups are counts by a key. Keys beyond most are counted together.
type groups struct {
	spend *budget
	most  int
	by    map[string]*group
	rest  *group
}

func newGroups(spend *budget, most int) groups {
	return groups{spend: spend, most: most, by: map[string]*group{}}
}

func (g *groups) add(key string, person uint64) {
	found, ok := g.by[key]
	switch {
	case ok:
	case len(g.by) < g.most:
		found = &group{people: people{spend: g.spend}}
		g.by[key] = found
	default:
		if g.rest == nil {
			g.rest = &group{people: people{spend: g.spend}}
		}
		found = g.rest
	}
	found.add("", person)
}

// counts lists at most so many, most flows first; what is left over comes last, as Other.
func (g *groups) counts(most int) []Count {
	keys := make([]string, 0, len(g.by))
	for k := range g.by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(g.by[b].flows, g.by[a].flows), cmp.Compare(a, b))
	})
	rest := g.rest
	if len(keys) > most || rest != nil && len(keys) == most {
		if rest == nil {
			rest = &group{people: people{spend: g.spend}}
		}
		for _, k := range keys[most-1:] {
			rest.flows += g.by[k].flows
			rest.people.join(&g.by[k].people)
		}
		keys = keys[:most-1]
	}
	out := make([]Count, 0, len(keys)+1)
	for _, k := range keys {
		out = append(out, Count{Key: k, Flows: g.by[k].flows, People: g.by[k].people.count()})
	}
	if rest != nil {
		out = append(out, Count{Key: Other, Flows: rest.flows, People: rest.people.count()})
	}
	return out
}

// tally counts what a draft changes.
type tally struct {
	spend   budget
	samples int
	kinds   map[Kind]*group
	domains groups
	sites   groups
	rules   groups
	people  people
	needs   people
}

func newTally(samples int) *tally {
	t := &tally{spend: budget{maxSlots}, samples: samples, kinds: map[Kind]*group{}}
	t.domains, t.sites, t.rules = newGroups(&t.spend, maxKeys), newGroups(&t.spend, maxKeys), newGroups(&t.spend, maxKeys)
	t.people.spend, t.needs.spend = &t.spend, &t.spend
	return t
}

// change counts a flow that would not have come out as it did.
func (t *tally) change(f *facts, o *outcome) {
	k := Kind{Ending: f.ending, Reason: f.reason, Allowed: o.allowed, WouldBe: o.reason, ClassChanges: o.class != f.class}
	g := t.kinds[k]
	if g == nil {
		g = &group{people: people{spend: &t.spend}, most: t.samples}
		t.kinds[k] = g
	}
	g.add(f.flow, f.person)
	t.people.add(f.person)
	t.domains.add(f.subject.Address.Domain().String(), f.person)
	t.sites.add(f.site, f.person)
	if o.byRule() {
		t.rules.add(o.rule, f.person)
	}
}

func (t *tally) result() *Result {
	r := &Result{Domains: t.domains.counts(maxListed), Sites: t.sites.counts(maxKeys), Rules: t.rules.counts(maxKeys),
		People: t.people.count(), NeedsEnrolment: t.needs.count()}
	for k, g := range t.kinds {
		r.Changes = append(r.Changes, Change{Kind: k, Flows: g.flows, People: g.people.count(), Samples: g.newest()})
	}
	slices.SortFunc(r.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Flows, a.Flows), cmp.Compare(a.Ending, b.Ending), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.WouldBe, b.WouldBe), differ(a.Allowed, b.Allowed),
			differ(a.ClassChanges, b.ClassChanges))
	})
	return r
}

func differ(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
