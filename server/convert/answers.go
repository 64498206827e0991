package convert

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// Forms are the public forms of values that adapters also store: the adapters own them, so that what is stored and what is
// shown cannot drift apart. Every function is needed; none may change or keep its argument.
type Forms struct {
	Event        func(*audit.Event) *posternv1.Event
	Personal     func(*audit.Personal) *posternv1.Personal
	Decision     func(*audit.Decision) *posternv1.Decision
	Organization func(*policy.Organization) *posternv1.Organization // without policy and domains
	Policy       func(o *policy.Organization) *posternv1.Policy
	Domain       func(policy.DomainRecord) *posternv1.Domain
	Connection   func(organization string, c *policy.Connection) *posternv1.Connection // without etag
	// Mask takes from an event what its privacy does not let stay. It alone changes its argument.
	Mask func(*audit.Event) error
}

// FlowAnswer converts what a use case answered. Conditions are left out: they are for Explain and GetFlow.
func (f Forms) FlowAnswer(a authflow.Answer) *posternv1.FlowAnswer {
	decision := a.Decision // what is given away by address is on the heap, and the whole answer is large
	decision.Conditions = nil
	form := &struct { // one allocation
		answer   posternv1.FlowAnswer
		message  posternv1.UserMessage
		deadline timestamppb.Timestamp
	}{answer: posternv1.FlowAnswer{
		Flow: names.FormatFlow(a.Organization, a.Flow.String()), Phase: posternv1.Phase(a.Phase), Verdict: posternv1.Verdict(a.Verdict),
		Decision: f.Decision(&decision), Next: Next(a.Next), Step: int32(a.Step), //nolint:gosec // at most 64
		Counts: a.Counts, Reason: a.Reason, Ending: posternv1.Ending(a.Ending), SupportCode: a.SupportCode,
		Recorded: a.Recorded, RepeatedAnswer: a.Repeated,
	}}
	fillMessage(&form.message, &a.Message)
	form.answer.UserMessage = &form.message
	if !a.Deadline.IsZero() {
		form.deadline.Seconds, form.deadline.Nanos = a.Deadline.Unix(), int32(a.Deadline.Nanosecond()) //nolint:gosec // below 1e9
		form.answer.Deadline = &form.deadline
	}
	return &form.answer
}

func fillMessage(to *posternv1.UserMessage, m *authflow.UserMessage) {
	to.Key, to.Text, to.RuleMessage, to.HelpUrl = m.Key, m.Text, m.RuleMessage, m.HelpURL
}

// SessionAnswer converts what RecordSession answered.
func SessionAnswer(a authflow.Answer) *posternv1.RecordSessionResponse {
	out := &posternv1.RecordSessionResponse{Session: a.Session, Recorded: a.Recorded, AgainstVerdict: a.AgainstVerdict}
	if !a.Flow.IsZero() {
		out.Flow = names.FormatFlow(a.Organization, a.Flow.String())
	}
	return out
}

// Next converts moves.
func Next(moves []policy.Next) []*posternv1.NextStep {
	if len(moves) == 0 {
		return nil
	}
	all, out := make([]posternv1.NextStep, len(moves)), make([]*posternv1.NextStep, len(moves))
	for i, n := range moves {
		m := &all[i]
		m.Method, m.Connection, m.Factor, m.Enrolled, m.StepType = n.Method, n.Connection, n.Factor, n.Enrolled, string(n.StepType)
		out[i] = m
	}
	return out
}

// LiveFlow converts a flow that is still in Redis. Its steps must be opened. The state it is decided by has all of them; what is
// shown has what the record keeps.
func (f Forms) LiveFlow(v authflow.View) (*posternv1.Flow, error) {
	s := v.Flow.State
	out := &posternv1.Flow{
		Name: names.FormatFlow(s.Organization, s.ID.String()), Id: s.ID.String(), Organization: s.Organization,
		OrganizationUid: s.OrganizationUID, Site: s.Site, SiteUid: s.SiteUID, SupportCode: s.SupportCode, CorrelationId: s.CorrelationID,
		Phase: posternv1.Phase(s.Phase), Class: posternv1.Class(s.Class), Provisional: s.Bound == nil, Recorded: s.Recorded,
		StartTime: timestamp(s.Started), Deadline: timestamp(s.Deadline), EndTime: timestamp(s.Ended),
		Ending: posternv1.Ending(s.Ending), Reason: s.Reason, Decision: f.Decision(&v.Outcome.Decision),
	}
	for i := range s.Steps {
		e := *s.Steps[i].Event
		if err := f.Mask(&e); err != nil {
			return nil, err
		}
		out.Steps = append(out.Steps, f.Event(&e))
	}
	var err error
	out.Personal, err = f.bound(s)
	return out, err
}

// bound is who a live flow is bound to; nil while it is to nobody.
func (f Forms) bound(s *authflow.State) (*posternv1.Personal, error) {
	b := s.Bound
	if b == nil {
		return nil, nil //nolint:nilnil // nobody
	}
	e := audit.Event{OrganizationUID: s.OrganizationUID}
	e.Personal.AccountID = b.AccountID
	if !b.Email.IsZero() {
		verified := b.EmailVerified
		e.Personal.Email, e.Personal.EmailVerified = b.Email.String(), &verified
	}
	if b.Step >= 1 && b.Step <= len(s.Steps) {
		e.Personal.DisplayName = s.Steps[b.Step-1].Event.Personal.DisplayName
		e.Privacy = s.Steps[len(s.Steps)-1].Event.Privacy
	}
	if err := f.Mask(&e); err != nil {
		return nil, err
	}
	return f.Personal(&e.Personal), nil
}

// ArchivedFlow converts a flow read from the archive, with its events opened and in step order; none for a list.
func (f Forms) ArchivedFlow(row *audit.FlowRow, events []audit.Event) *posternv1.Flow {
	out := &posternv1.Flow{
		Name: names.FormatFlow(row.Organization, row.ID), Id: row.ID, Organization: row.Organization, OrganizationUid: row.OrganizationUID,
		Site: row.Site, SiteUid: row.SiteUID, SupportCode: row.SupportCode, CorrelationId: row.CorrelationID,
		Phase: archivedPhase(row), Class: posternv1.Class(row.Class), Provisional: row.Provisional, Recorded: true,
		StartTime: timestamp(row.Started), EndTime: timestamp(row.Ended), Ending: posternv1.Ending(row.Ending), Reason: row.Reason, Archived: true,
	}
	for i := range events {
		e := &events[i]
		shown := f.Event(e)
		out.Steps = append(out.Steps, shown)
		if e.Decision != nil {
			out.Decision = shown.GetDecision() // the last one: of the ending once there is one
		}
		if e.ID == row.BindEventID {
			out.Personal = f.Proven(e)
		}
	}
	return out
}

// Proven is what a binding step's event says of the person.
func (f Forms) Proven(e *audit.Event) *posternv1.Personal {
	p := e.Personal
	if p.AccountID == "" && p.Email == "" && p.DisplayName == "" {
		return nil
	}
	return f.Personal(&audit.Personal{AccountID: p.AccountID, Email: p.Email, EmailVerified: p.EmailVerified, DisplayName: p.DisplayName})
}

// archivedPhase tells as much of the phase as the record shows.
func archivedPhase(row *audit.FlowRow) posternv1.Phase {
	switch {
	case row.Ending != audit.EndingNone:
		return posternv1.Phase_PHASE_ENDED
	case row.BindEventID != "":
		return posternv1.Phase_PHASE_BOUND
	}
	return posternv1.Phase_PHASE_OPEN
}

// EventTypes converts the catalogue.
func EventTypes(types []audit.TypeInfo) []*posternv1.EventType {
	var out []*posternv1.EventType
	for i := range types {
		t := &types[i]
		shown := &posternv1.EventType{
			Type: string(t.Type), Description: t.Description, Category: string(t.Category), Outcome: posternv1.Outcome(t.Outcome),
			Reportable: t.Reportable,
		}
		for _, r := range t.DistinctReasons() {
			shown.Reasons = append(shown.Reasons, &posternv1.Reason{Reason: r.Reason, Description: r.Description})
		}
		out = append(out, shown)
	}
	return out
}

// FullOrganization converts an organization with its policy and the first page of its domains.
func (f Forms) FullOrganization(o *policy.Organization, page policy.DomainPage) *posternv1.Organization {
	out := f.Organization(o)
	out.Policy = f.Policy(o)
	out.Retention, out.Privacy = retentionForm(&o.Retention), privacyForm(o.Privacy)
	for _, d := range page.Domains {
		out.Domains = append(out.Domains, f.Domain(d))
	}
	out.DomainCount, out.ClaimCount = page.DomainCount, page.ClaimCount
	return out
}

// ListedOrganization converts an organization for a list: without policy, domains, sites and connections.
func (f Forms) ListedOrganization(o *policy.Organization) *posternv1.Organization {
	short := *o
	short.Sites, short.Connections = nil, nil
	return f.Organization(&short)
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	switch { // a stretch may begin before year 1 or end behind year 9999, which JSON cannot show
	case t.Before(firstMoment):
		t = firstMoment
	case t.After(lastMoment):
		t = lastMoment
	}
	return timestamppb.New(t)
}

// The first and the last moment that messages have.
var (
	firstMoment = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastMoment  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
)

// Timestamp converts a time; the zero time is none.
func Timestamp(t time.Time) *timestamppb.Timestamp { return timestamp(t) }
