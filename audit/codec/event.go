package codec

import (
	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ToProto converts an event with its personal part as far as it is open: the form readers get.
func ToProto(e *audit.Event) *posternv1.Event {
	m := body(e)
	m.RecordedTime = timeToProto(e.RecordedTime)
	m.Sequence = e.Sequence
	m.Forked = e.Forked
	m.PersonalState = e.PersonalState
	m.Personal = PersonalToProto(&e.Personal)
	return m
}

// FromProto is the reverse of ToProto. The result shares slices and maps with m.
func FromProto(m *posternv1.Event) (audit.Event, error) {
	e, err := fromBody(m)
	if err != nil {
		return audit.Event{}, err
	}
	if e.RecordedTime, err = timeFromProto(m.GetRecordedTime()); err != nil {
		return audit.Event{}, err
	}
	e.Sequence = m.GetSequence()
	e.Forked = m.GetForked()
	e.PersonalState = m.GetPersonalState()
	e.Personal = PersonalFromProto(m.GetPersonal())
	return e, nil
}

// body converts what an event's record holds in the clear: all but what Redis, the archive and readers add, and the
// personal part.
func body(e *audit.Event) *posternv1.Event {
	m := &posternv1.Event{
		Id:              e.ID,
		Type:            string(e.Type),
		Time:            timeToProto(e.Time),
		Organization:    e.Organization,
		OrganizationUid: e.OrganizationUID,
		Site:            e.Site,
		SiteUid:         e.SiteUID,
		Flow:            e.Flow,
		Step:            int32From(e.Step),
		SupportCode:     e.SupportCode,
		CorrelationId:   e.CorrelationID,
		Caller:          e.Caller,
		Class:           posternv1.Class(e.Class),
		Provisional:     e.Provisional,
		Outcome:         posternv1.Outcome(e.Outcome),
		Evidence:        posternv1.Evidence(e.Evidence),
		Checks:          e.Checks,
		Method:          e.Method,
		Connection:      e.Connection,
		ConnectionUid:   e.ConnectionUID,
		Factor:          e.Factor,
		Reason:          e.Reason,
		Counts:          e.Counts,
		Late:            e.Late,
		Client:          posternv1.Client(e.Client),
		AuthenticatedAt: timeToProto(e.AuthenticatedAt),
		Decision:        DecisionToProto(e.Decision),
		Ending:          posternv1.Ending(e.Ending),
		Steps:           stepsToProto(e.Steps),
		Session:         e.Session,
		AgainstVerdict:  e.AgainstVerdict,
		Changes:         changesToProto(e.Changes),
		Revision:        e.Revision,
		Tally:           e.Tally,
		TallyHour:       timeToProto(e.TallyHour),
		SubjectKind:     posternv1.SubjectKind(e.SubjectKind),
		Origin:          posternv1.Origin(e.Origin),
		IdentifierHash:  e.IdentifierHash,
		UserVerified:    e.UserVerified,
		Enrolment:       EnrolmentToProto(e.Enrolment),
		EndCause:        e.EndCause,
		Uses:            e.Uses,
		Authenticator:   e.Authenticator,
		InitiatedBy:     e.InitiatedBy,
		Expectations:    e.Expectations,
		SessionExpires:  timeToProto(e.SessionExpires),
		Sandbox:         e.Sandbox,
		Privacy:         PrivacyToProto(e.Privacy),
		Region:          e.Region,
	}
	if t := e.Target; t != nil {
		m.Target = &posternv1.Target{Type: t.Type, Id: t.ID, Uid: t.UID, Count: t.Count}
	}
	if d := e.Denial; d != nil {
		m.Denial = &posternv1.Denial{Method: d.Method, Code: d.Code, Reason: d.Reason, Count: d.Count, CallId: d.CallID}
	}
	return m
}

// fromBody is the reverse of body.
func fromBody(m *posternv1.Event) (audit.Event, error) {
	e := audit.Event{
		ID:              m.GetId(),
		Type:            audit.Type(m.GetType()),
		Organization:    m.GetOrganization(),
		OrganizationUID: m.GetOrganizationUid(),
		Site:            m.GetSite(),
		SiteUID:         m.GetSiteUid(),
		Flow:            m.GetFlow(),
		Step:            int(m.GetStep()),
		SupportCode:     m.GetSupportCode(),
		CorrelationID:   m.GetCorrelationId(),
		Caller:          m.GetCaller(),
		Class:           audit.Class(enumFrom(m.GetClass())),
		Provisional:     m.GetProvisional(),
		Outcome:         audit.Outcome(enumFrom(m.GetOutcome())),
		Evidence:        audit.Evidence(enumFrom(m.GetEvidence())),
		Checks:          m.GetChecks(),
		Method:          m.GetMethod(),
		Connection:      m.GetConnection(),
		ConnectionUID:   m.GetConnectionUid(),
		Factor:          m.GetFactor(),
		Reason:          m.GetReason(),
		Counts:          m.Counts,
		Late:            m.GetLate(),
		Client:          audit.Client(enumFrom(m.GetClient())),
		Ending:          audit.Ending(enumFrom(m.GetEnding())),
		Session:         m.GetSession(),
		AgainstVerdict:  m.GetAgainstVerdict(),
		Changes:         changesFromProto(m.GetChanges()),
		Revision:        m.GetRevision(),
		Tally:           m.GetTally(),
		SubjectKind:     audit.SubjectKind(enumFrom(m.GetSubjectKind())),
		Origin:          audit.Origin(enumFrom(m.GetOrigin())),
		IdentifierHash:  m.GetIdentifierHash(),
		UserVerified:    m.UserVerified,
		EndCause:        m.GetEndCause(),
		Uses:            m.GetUses(),
		Authenticator:   m.GetAuthenticator(),
		InitiatedBy:     m.GetInitiatedBy(),
		Expectations:    m.GetExpectations(),
		Sandbox:         m.GetSandbox(),
		Privacy:         PrivacyFromProto(m.GetPrivacy()),
		Region:          m.GetRegion(),
	}
	if t := m.GetTarget(); t != nil {
		e.Target = &audit.Target{Type: t.GetType(), ID: t.GetId(), UID: t.GetUid(), Count: t.GetCount()}
	}
	if d := m.GetDenial(); d != nil {
		e.Denial = &audit.Denial{Method: d.GetMethod(), Code: d.GetCode(), Reason: d.GetReason(), Count: d.GetCount(), CallID: d.GetCallId()}
	}
	return e, fromBodyChecked(m, &e)
}

// fromBodyChecked fills the fields whose stored form can be wrong.
func fromBodyChecked(m *posternv1.Event, e *audit.Event) (err error) {
	if e.Time, err = timeFromProto(m.GetTime()); err != nil {
		return err
	}
	if e.AuthenticatedAt, err = timeFromProto(m.GetAuthenticatedAt()); err != nil {
		return err
	}
	if e.SessionExpires, err = timeFromProto(m.GetSessionExpires()); err != nil {
		return err
	}
	if e.TallyHour, err = timeFromProto(m.GetTallyHour()); err != nil {
		return err
	}
	if e.Decision, err = DecisionFromProto(m.GetDecision()); err != nil {
		return err
	}
	if e.Enrolment, err = EnrolmentFromProto(m.GetEnrolment()); err != nil {
		return err
	}
	e.Steps, err = stepsFromProto(m.GetSteps())
	return err
}

func stepsToProto(steps []audit.StepSummary) []*posternv1.StepSummary {
	if len(steps) == 0 {
		return nil
	}
	all := make([]posternv1.StepSummary, len(steps))
	out := make([]*posternv1.StepSummary, len(steps))
	for i := range steps {
		s, m := &steps[i], &all[i]
		m.Step = int32From(s.Step)
		m.Event = s.Event
		m.Type = string(s.Type)
		m.Time = timeToProto(s.Time)
		m.Method = s.Method
		m.Connection = s.Connection
		m.Factor = s.Factor
		m.Evidence = posternv1.Evidence(s.Evidence)
		m.Reason = s.Reason
		m.Counts = s.Counts
		out[i] = m
	}
	return out
}

func stepsFromProto(in []*posternv1.StepSummary) ([]audit.StepSummary, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]audit.StepSummary, len(in))
	for i, m := range in {
		at, err := timeFromProto(m.GetTime())
		if err != nil {
			return nil, err
		}
		out[i] = audit.StepSummary{
			Step:       int(m.GetStep()),
			Event:      m.GetEvent(),
			Type:       audit.Type(m.GetType()),
			Time:       at,
			Method:     m.GetMethod(),
			Connection: m.GetConnection(),
			Factor:     m.GetFactor(),
			Evidence:   audit.Evidence(enumFrom(m.GetEvidence())),
			Reason:     m.GetReason(),
			Counts:     m.Counts,
		}
	}
	return out, nil
}

func changesToProto(changes []audit.Change) []*posternv1.Change {
	if len(changes) == 0 {
		return nil
	}
	out := make([]*posternv1.Change, len(changes))
	for i, c := range changes {
		out[i] = &posternv1.Change{Field: c.Field, Before: c.Before, After: c.After}
	}
	return out
}

func changesFromProto(in []*posternv1.Change) []audit.Change {
	var out []audit.Change
	for _, c := range in {
		out = append(out, audit.Change{Field: c.GetField(), Before: c.GetBefore(), After: c.GetAfter()})
	}
	return out
}
