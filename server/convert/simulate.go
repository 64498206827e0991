package convert

import (
	"time"

	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/simulate"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// defaultSamples is how many flows are named of each kind when nobody says.
const defaultSamples = 10

// defaultSpan is how far a simulation looks back when nobody says.
const defaultSpan = 30 * 24 * time.Hour

// Simulation is a draft and the flows to try it on.
type Simulation struct {
	Draft applying.DraftInput
	simulate.Query
}

// Simulate converts a request to try a draft.
func (c *Converter) Simulate(r *posternv1.SimulateRequest, now time.Time) (Simulation, error) {
	if err := c.Check(r); err != nil {
		return Simulation{}, err
	}
	organization, err := names.Policy("name", r.GetName())
	if err != nil {
		return Simulation{}, err
	}
	out := Simulation{Draft: applying.DraftInput{Organization: organization}}
	switch draft := r.GetDraft().(type) {
	case *posternv1.SimulateRequest_Policy:
		if out.Draft.Policy = []byte(draft.Policy); draft.Policy == "" {
			return out, required("policy")
		}
	case *posternv1.SimulateRequest_OrganizationDocument:
		if out.Draft.Document = []byte(draft.OrganizationDocument); draft.OrganizationDocument == "" {
			return out, required("organization_document")
		}
	}
	out.Query = simulate.Query{Start: now.Add(-defaultSpan), End: now, Sites: r.GetSites(), Samples: samples(r.GetSampleSize())}
	if r.GetStartTime() != nil {
		out.Start = r.GetStartTime().AsTime()
	}
	if r.GetEndTime() != nil {
		out.End = r.GetEndTime().AsTime()
	}
	return out, inOrder(out.Start, out.End)
}

// Impact is the rules to look at, and the flows.
type Impact struct {
	Organization string
	Rules        []string
	simulate.Query
}

// GetPolicyImpact converts a request for what rules did.
func (c *Converter) GetPolicyImpact(r *posternv1.GetPolicyImpactRequest, now time.Time) (Impact, error) {
	if err := c.Check(r); err != nil {
		return Impact{}, err
	}
	organization, err := names.Policy("name", r.GetName())
	if err != nil {
		return Impact{}, err
	}
	out := Impact{Organization: organization, Rules: r.GetRules(), Query: simulate.Query{End: now, Samples: samples(r.GetSampleSize())}}
	if r.GetStartTime() != nil {
		out.Start = r.GetStartTime().AsTime()
	}
	if r.GetEndTime() != nil {
		out.End = r.GetEndTime().AsTime()
	}
	return out, inOrder(out.Start, out.End)
}

// inOrder refuses a range that holds no moment.
func inOrder(start, end time.Time) error {
	if !start.IsZero() && !start.Before(end) {
		return wrong("start_time", "must lie before the end")
	}
	return nil
}

func samples(n int32) int {
	if n == 0 {
		return defaultSamples
	}
	return int(min(n, simulate.MaxSamples))
}

// Simulated converts what a draft would have done.
func Simulated(organization string, r *simulate.Result) *posternv1.Simulation {
	m := &posternv1.Simulation{Flows: r.Flows, Undecided: r.Undecided, Unreadable: r.Unreadable, Unchanged: r.Unchanged, Domains: simulatedCounts(r.Domains),
		Sites: simulatedCounts(r.Sites), Rules: simulatedCounts(r.Rules), People: people(r.People), NeedsEnrolment: people(r.NeedsEnrolment), Revision: r.Revision}
	for i := range r.Changes {
		c := &r.Changes[i]
		change := &posternv1.SimulatedChange{Ending: posternv1.Ending(c.Ending), Reason: c.Reason, Verdict: posternv1.Verdict_VERDICT_DENY, WouldBeReason: c.WouldBe,
			Flows: c.Flows, People: people(c.People), Samples: sampled(organization, c.Samples), ClassChanges: c.ClassChanges}
		if c.Allowed {
			change.Verdict = posternv1.Verdict_VERDICT_ALLOW
		}
		m.Changes = append(m.Changes, change)
	}
	return m
}

// Impacts converts what rules did.
func Impacts(organization string, list []simulate.RuleImpact) []*posternv1.RuleImpact {
	out := make([]*posternv1.RuleImpact, len(list))
	for i := range list {
		r := &list[i]
		out[i] = &posternv1.RuleImpact{Rule: r.Rule.ID, Mode: posternv1.Mode(r.Rule.Mode), Since: Timestamp(r.Since), Decided: r.Decided, Denied: r.Denied,
			WouldDecide: r.WouldDecide, WouldDeny: r.WouldDeny, People: people(r.People), NeedsEnrolment: people(r.NeedsEnrolment),
			Samples: sampled(organization, r.Samples)}
	}
	return out
}

func simulatedCounts(list []simulate.Count) []*posternv1.SimulatedCount {
	out := make([]*posternv1.SimulatedCount, len(list))
	for i, c := range list {
		out[i] = &posternv1.SimulatedCount{Key: c.Key, Flows: c.Flows, People: people(c.People)}
	}
	return out
}

func people(p simulate.People) *posternv1.PeopleCount {
	return &posternv1.PeopleCount{Count: p.Count, Approximate: p.Approximate}
}

func sampled(organization string, flows []string) []string {
	out := make([]string, len(flows))
	for i, f := range flows {
		out[i] = names.FormatFlow(organization, f)
	}
	return out
}
