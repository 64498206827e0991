package authflow

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// endedClaim is how long the end of a session is claimed against a second report at the same moment. Later ones read that
// it has ended.
const endedClaim = time.Hour

// recording is one RecordSession.
type recording struct {
	f      *Flows
	who    Caller
	in     SessionInput
	org    *policy.Organization
	site   *policy.Site
	handle [32]byte
	key    CommitKey
	digest Digest
	now    time.Time
	at     time.Time
}

// RecordSession joins a session or token of the site's own to the flow that let it in. It is no input of the flow: its event
// has step 0, and is on the record exactly when the flow is. The answer's Flow, Session, Recorded and AgainstVerdict are set; it
// has no decision. What is over is over in this process at once, in others as soon as they look again, see CheckAccess.
func (f *Flows) RecordSession(ctx context.Context, who Caller, in SessionInput) (Answer, error) {
	org, site, err := f.site(ctx, in.Organization, in.Site)
	if org == nil {
		return Answer{}, err
	}
	r := recording{f: f, who: who, in: in, org: org, site: site, now: f.c.Now(),
		handle: f.c.Namer.SessionHandle(org.UID, in.Handle),
		key:    f.c.Namer.CommitKey(who.Principal, "RecordSession", org.UID+"/"+in.Site, in.RequestID),
		digest: f.c.Namer.Digest(in.canonical())}
	if err != nil {
		return f.first(ctx, org, r.key, r.digest, err)
	}
	if r.at = in.OccurredAt; r.at.IsZero() {
		r.at = r.now
	}
	if err := in.check(); err != nil {
		return Answer{}, err
	}
	var a Answer
	switch in.Event {
	case SessionStarted:
		a, err = r.started(ctx)
	case SessionEnded:
		for range maxConflicts { // a use of it may be recorded meanwhile
			var moved *Conflict
			if a, err = r.ended(ctx); !errors.As(err, &moved) || moved.Claimed != nil {
				break
			}
		}
	default:
		return Answer{}, invalid("event", ErrSessionEvent)
	}
	var conflict *Conflict
	switch {
	case errors.As(err, &conflict) && conflict.SessionTaken && in.Event == SessionStarted:
		return Answer{}, refuse(ErrSessionExists)
	case conflict != nil && conflict.Claimed != nil:
		return Answer{}, refuse(ErrSessionEnded) // another call ended it a moment ago
	case conflict != nil:
		return Answer{}, refuse(ErrConflict)
	case err != nil && errs.KindOf(err) != errs.Unavailable:
		return f.first(ctx, org, r.key, r.digest, err) // a refusal never comes before the first answer to this request id
	}
	return a, err
}

// check refuses what fits no session or token.
func (in *SessionInput) check() error {
	switch {
	case in.Kind != "" && in.Kind != KindOfSession && in.Kind != KindOfToken:
		return invalid("kind", ErrSessionKind)
	case in.EndCause != "" && in.Event != SessionEnded:
		return invalid("end_cause", ErrEndCause)
	case in.EndCause != "" && in.EndCause != EndLogout && in.EndCause != EndExpired && in.EndCause != EndRevoked:
		return invalid("end_cause", ErrEndCause)
	}
	return nil
}

// times checks the asserted times of a session that starts.
func (r *recording) times() (expires time.Time, err error) {
	if err := r.occurred(); err != nil {
		return time.Time{}, err
	}
	if expires = r.in.ExpiresAt; expires.IsZero() {
		expires = r.at.Add(DefaultSession)
	}
	if !expires.After(r.at) || !expires.After(r.now) || expires.After(r.now.Add(MaxSession)) {
		return time.Time{}, invalid("expires_at", ErrExpiresAt)
	}
	return expires, nil
}

func (r *recording) occurred() error {
	switch {
	case r.at.After(r.now.Add(MaxAhead)):
		return invalid("occurred_at", ErrOccurredAtAhead)
	case r.at.Before(r.now.Add(-MaxPast)):
		return invalid("occurred_at", ErrOccurredAtTooOld)
	}
	return nil
}

// started records that the site opened a session.
func (r *recording) started(ctx context.Context) (Answer, error) {
	expires, err := r.times()
	if err != nil {
		return Answer{}, err
	}
	if r.in.Flow.IsZero() {
		return Answer{}, invalid("flow", ErrSessionFlow)
	}
	reading, err := r.f.read(ctx, Read{OrganizationUID: r.org.UID, Flow: r.in.Flow, Session: r.handle, Organization: true})
	if err != nil {
		return Answer{}, err
	}
	if reading.Session != nil {
		return Answer{}, refuse(ErrSessionExists)
	}
	e, s, err := r.describe(ctx, reading.Flow)
	if err != nil {
		return Answer{}, err
	}
	s.Started = r.at
	if s.Expires = expires; reading.Flow != nil {
		s.Expires = wanted(reading.Flow.State, expires)
	}
	return r.commit(ctx, e, &SessionWrite{Handle: r.handle, Session: s, IsNew: true})
}

// wanted is when a session ends that would end at a moment: earlier when an identity provider that vouched for the person wants
// it earlier.
func wanted(s *State, expires time.Time) time.Time {
	for i := range s.Steps {
		if ends := s.Steps[i].Event.SessionExpires; !ends.IsZero() {
			expires = earlier(expires, ends)
		}
	}
	return expires
}

// describe says what the flow let in: from its live state, else from the archive.
func (r *recording) describe(ctx context.Context, flow *Loaded) (audit.Event, Session, error) {
	e := r.event(audit.TypeSessionStarted, r.in.Flow)
	s := Session{Flow: r.in.Flow, SiteUID: r.site.UID, Kind: KindOfSession}
	if r.in.Kind == KindOfToken {
		e.Type, s.Kind = audit.TypeTokenCreated, KindOfToken
		e.Outcome = audit.OutcomeOf(e.Type)
	}
	siteUID := ""
	if flow != nil && flow.State.OrganizationUID == r.org.UID {
		st := flow.State
		siteUID, s.Recorded, s.Verdict = st.SiteUID, st.Recorded, standing(st.Phase, st.Ending)
		e.SupportCode, e.CorrelationID, e.Class, e.Provisional = st.SupportCode, st.CorrelationID, st.Class, st.Bound == nil
		n := run{s: *st}
		n.person(&e.Personal)
		if e.SubjectKind = st.Claimed.Kind; st.Bound != nil {
			e.SubjectKind = st.Bound.Kind
			s.SubjectKey = r.f.keys(r.org.UID, st.Bound.AccountID, policy.Address{}).Account
			s.let(st, r.f.device(r.org.UID))
		}
	} else {
		row, err := r.archived(ctx)
		if err != nil {
			return e, s, err
		}
		siteUID, s.Recorded, s.Verdict = row.SiteUID, true, standing(PhaseEnded, row.Ending)
		e.SupportCode, e.CorrelationID, e.Class, e.Provisional = row.SupportCode, row.CorrelationID, row.Class, row.Provisional
	}
	if siteUID != r.site.UID {
		return e, s, invalid("flow", ErrSessionFlow)
	}
	s.AgainstVerdict = s.Verdict != audit.VerdictAllow
	e.AgainstVerdict = s.AgainstVerdict
	return e, s, nil
}

// archived finds a flow that has left Redis. Only recorded flows are in the archive.
func (r *recording) archived(ctx context.Context) (audit.FlowRow, error) {
	if r.f.c.Archive == nil {
		return audit.FlowRow{}, refuse(ErrFlowNotFound)
	}
	row, _, err := r.f.c.Archive.Flow(ctx, r.org.UID, r.in.Flow.String())
	if err != nil && errs.KindOf(err) == errs.NotFound {
		return audit.FlowRow{}, refuse(ErrFlowNotFound)
	}
	return row, err
}

// ended records that a session is over.
func (r *recording) ended(ctx context.Context) (Answer, error) {
	if err := r.occurred(); err != nil {
		return Answer{}, err
	}
	if !r.in.Flow.IsZero() {
		return Answer{}, invalid("flow", ErrSessionFlow)
	}
	reading, err := r.f.read(ctx, Read{OrganizationUID: r.org.UID, Key: r.key, Request: r.digest, Session: r.handle, Organization: true})
	if err != nil {
		return Answer{}, err
	}
	if reading.Outcome != nil {
		return r.f.answer(*reading.Outcome, r.org, true), nil
	}
	s := reading.Session
	switch {
	case s == nil || s.SiteUID != r.site.UID || r.in.Kind != "" && (r.in.Kind == KindOfToken) != (s.Kind == KindOfToken):
		return Answer{}, refuse(ErrSessionNotFound)
	case !s.Ended.IsZero():
		return Answer{}, refuse(ErrSessionEnded)
	case r.at.Before(s.Started):
		return Answer{}, invalid("occurred_at", ErrOccurredAtOrder)
	}
	over := *s
	over.Ended, over.EndCause = r.at, r.in.EndCause
	if over.EndCause == "" {
		over.EndCause = EndLogout
	}
	t := audit.TypeSessionEnded
	if s.Kind == KindOfToken {
		t = audit.TypeTokenRevoked
	}
	e := r.event(t, s.Flow)
	e.AgainstVerdict, e.EndCause, e.Class, e.SubjectKind = s.AgainstVerdict, over.EndCause, s.Subject.Class, s.Subject.Kind
	s.Subject.personal(&e.Personal)
	a, err := r.commit(ctx, e, &SessionWrite{Handle: r.handle, Session: over, From: s.Stored}, Claim{
		Kind: "ended", Name: e.Session, Value: e.ID, Until: r.now.Add(endedClaim)})
	if err == nil {
		r.f.access.forgetHandle(r.handle)
	}
	return a, err
}

// event begins a session's event.
func (r *recording) event(t audit.Type, flow FlowID) audit.Event {
	e := audit.Event{
		ID: r.f.c.NewID(), Type: t, Time: r.at, Organization: r.org.ID, OrganizationUID: r.org.UID, Site: r.site.ID, SiteUID: r.site.UID,
		Flow: flow.String(), Caller: r.who.Principal, Outcome: audit.OutcomeOf(t), Evidence: audit.EvidenceAsserted,
		Late: r.at.Before(r.now.Add(-LateAfter)), Client: r.in.Context.Client, Session: hex.EncodeToString(r.handle[:]),
	}
	if ip := r.in.Context.IP; ip.IsValid() {
		e.Personal.IP = ip.String()
	}
	e.Personal.UserAgent, e.Personal.DeviceID = r.in.Context.UserAgent, r.in.Context.DeviceID
	return e
}

// commit writes the session with its event, if its flow is on the record.
func (r *recording) commit(ctx context.Context, e audit.Event, w *SessionWrite, claims ...Claim) (Answer, error) {
	s := &w.Session
	o := Outcome{Flow: s.Flow, Session: e.Session, Recorded: s.Recorded, AgainstVerdict: s.AgainstVerdict, Verdict: s.Verdict}
	c := &Commit{OrganizationUID: r.org.UID, Key: r.key, Request: r.digest, Outcome: &o, OwnKey: true, Session: w, Claims: claims}
	if s.Recorded {
		c.Events = []audit.Event{e}
	}
	done, err := r.f.commit(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	if done.Repeated != nil {
		return r.f.answer(*done.Repeated, r.org, true), nil
	}
	return r.f.answer(o, r.org, false), nil
}

// standing is the verdict a flow stands at, as far as letting somebody in goes.
func standing(p Phase, e audit.Ending) audit.Verdict {
	switch {
	case p == PhaseGranted, p == PhaseEnded && e == audit.EndingSucceeded:
		return audit.VerdictAllow
	case p == PhaseEnded:
		return audit.VerdictDeny
	}
	return audit.VerdictContinue
}
