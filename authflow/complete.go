package authflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// completing is one CompleteFederation on a flow that exists.
type completing struct {
	f        *Flows
	c        *call
	in       *CompleteInput
	identity *federation.Identity // what the evidence came to, once it was judged
	refusal  *federation.Refusal  // or why not
	address  policy.Address       // the identity's e-mail, when it is usable
	verified bool                 // that e-mail may be relied on
	replayed bool                 // the evidence was used before
	held     bool                 // the code is another call's, which may still be at it
	conn     policy.Connection    // it was judged for
}

// CompleteFederation takes what came back from an identity provider, judges it and records the step, VERIFIED. What it proves is
// used up by the same commit: a state, a code, an ID token and an assertion count once, whatever flow, call or process they come
// in. A code leaves this process once at most: its hash is claimed by a commit of its own before. A login service that ran the
// protocol itself says what the evidence must fit; the event then says so too. The identity is bound by its key; its account
// comes from its link, or on first use from LinkAccount or a proof of the account.
func (f *Flows) CompleteFederation(ctx context.Context, who Caller, in CompleteInput) (Completed, error) {
	if f.c.Providers == nil {
		return Completed{}, refuse(ErrProvidersMissing)
	}
	if in.Flow.IsZero() {
		return f.arrive(ctx, who, in)
	}
	c, err := f.call(ctx, who, "CompleteFederation", in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Completed{}, err
	}
	c.proves = true
	x := &completing{f: f, c: c, in: &in}
	c.input, c.taken = x.input, x.taken
	for range maxConflicts {
		out, err := x.once(ctx)
		if !errors.Is(err, errJudgeAgain) {
			return out, err
		}
	}
	return Completed{}, refuse(ErrConflict)
}

// errJudgeAgain means that the connection is not any more what the evidence was judged for.
var errJudgeAgain = errors.New("authflow: the connection was changed while evidence was judged")

// once judges and records.
func (x *completing) once(ctx context.Context) (Completed, error) {
	ctx, done, first, err := x.judge(ctx)
	defer done()
	if err != nil {
		return Completed{}, err
	}
	x.c.only = x.in.Callback != nil && !x.held // a code is sent once
	a := x.c.first(first)
	if first == nil {
		if a, err = x.c.run(ctx); err != nil {
			return Completed{}, err
		}
	}
	return x.completed(ctx, a)
}

// judge finds out what the evidence is worth, for the flow as it stands. A flow this process knows is enough to judge for, never
// to refuse by: then it is read again. first is the answer when this request id has had one.
func (x *completing) judge(ctx context.Context) (_ context.Context, done func(), first *Outcome, err error) {
	done = func() {}
	flow, fresh := x.f.known.get(x.c.uid, x.in.Flow), false
	for {
		if flow == nil {
			if flow, first, err = x.c.read(ctx, nil); err != nil || first != nil {
				return ctx, done, first, err
			}
			fresh = true
		}
		if flow.State.Phase == PhaseEnded || !x.f.c.Now().Before(flow.State.Deadline) {
			return ctx, done, nil, nil // the machine says what becomes of it; no evidence is looked at
		}
		p, refusal, err := x.expected(flow.State)
		switch {
		case err == nil && refusal == nil:
			return x.look(ctx, p)
		case fresh:
			return ctx, done, nil, err
		}
		flow = nil
	}
}

// expected is what the flow waits for, or why what came does not belong to it.
func (x *completing) expected(s *State) (*Pending, *federation.Refusal, error) {
	in := x.in
	if in.Expectations != nil {
		return x.asserted()
	}
	p := s.Pending
	if p == nil {
		return nil, nil, refuse(ErrFederationNotBegun)
	}
	state := in.state()
	if p.Seed == nil {
		if stateHash(state) == p.Used {
			return p, federation.Refuse(audit.ReasonReplayed, "this sign-in elsewhere was completed before"), nil
		}
		return p, federation.Refuse(audit.ReasonStateMismatch, "the flow waits for no answer"), nil
	}
	m := mint(p.Seed)
	switch {
	case !equal(state, m.State):
		return p, federation.Refuse(audit.ReasonStateMismatch, "the state is not the one this flow sent"), nil
	case !equal(in.BrowserToken, m.Browser):
		return p, federation.Refuse(audit.ReasonStateMismatch, "it came back through another browser"), nil
	}
	if (p.Protocol == policy.ProtocolSAML) != (in.SAML != nil) {
		return nil, nil, invalid("evidence", ErrEvidenceKind)
	}
	return p, nil, nil
}

// asserted is what the login service says that the evidence must fit.
func (x *completing) asserted() (*Pending, *federation.Refusal, error) {
	in := x.in
	conn := connection(x.c.org, in.Connection)
	if conn == nil {
		return nil, nil, invalid("connection", ErrConnectionUnknown)
	}
	urls, err := callbackURLs(conn)
	if err != nil {
		return nil, nil, err
	}
	p := &Pending{Connection: conn.ID, ConnectionUID: conn.UID, Protocol: conn.Protocol, CallbackURL: in.Expectations.CallbackURL,
		MaxAge: in.Expectations.MaxAge}
	switch {
	case (conn.SAML != nil) != (in.SAML != nil) || in.Callback != nil:
		return nil, nil, invalid("evidence", ErrEvidenceKind)
	case p.CallbackURL == "" && len(urls) > 0:
		p.CallbackURL = urls[0]
	case conn.SAML != nil && !slices.Contains(urls, p.CallbackURL):
		return nil, nil, invalid("expectations.callback_url", ErrCallbackURL)
	}
	return p, nil, nil
}

// state is what came back beside the evidence.
func (in *CompleteInput) state() string {
	switch {
	case in.Callback != nil:
		return in.Callback.State
	case in.Token != nil:
		return in.Token.State
	case in.SAML != nil:
		return in.SAML.RelayState
	}
	return ""
}

// input makes the step of what the evidence came to, for the flow as it stands now.
func (x *completing) input(flow *Loaded, now time.Time) (Input, error) {
	p, refusal, err := x.expected(flow.State)
	if s := flow.State; s.Phase == PhaseEnded || !now.Before(s.Deadline) {
		p, refusal, err = nil, nil, nil // nothing of the evidence matters any more
	}
	if err != nil {
		return Input{}, err
	}
	rep := &Reported{StepReport: StepReport{Type: audit.TypeSSORejected, Context: x.in.Context}, Evidence: audit.EvidenceVerified}
	if p == nil {
		return Input{Kind: KindStep, Step: rep}, nil
	}
	conn := connection(x.c.org, p.Connection)
	if conn == nil || conn.UID != p.ConnectionUID {
		return Input{}, invalid("connection", ErrConnectionUnknown)
	}
	kind := conn.Kind
	rep.Connection = conn.ID
	if x.in.Expectations != nil {
		rep.Expectations = audit.ExpectationsCaller
	}
	mine := refusal == nil
	switch {
	case mine && x.replayed:
		refusal = replayed()
	case mine && x.identity == nil && x.refusal == nil:
		return Input{}, refuse(ErrConflict) // the flow moved on since the evidence was judged
	case mine && !reflect.DeepEqual(*conn, x.conn) && x.in.Callback == nil:
		return Input{}, errJudgeAgain
	case mine && !reflect.DeepEqual(*conn, x.conn) && x.refusal == nil: // a code goes out once
		refusal = federation.Refuse(audit.ReasonVerifierError, "the connection was changed while the code was exchanged")
	case mine:
		refusal = x.refusal
	}
	x.c.claims = nil
	if refusal != nil {
		rep.refused(kind, refusal)
		rep.UsesUp = mine && !x.held && !passing(refusal.Reason) && x.in.Expectations == nil // what is begun is whose the code is
		return Input{Kind: KindStep, Step: rep}, nil
	}
	x.c.claims = usesOf(x.identity, x.c.key)
	rep.proven(kind, x.identity, x.address, x.verified)
	rep.UsesUp, rep.Links = x.in.Expectations == nil, p.Links
	rep.IdentityKey, rep.Linked = x.c.identity[:], x.c.link
	if x.c.link != nil {
		rep.Subject.AccountID = x.c.link.AccountID
	}
	rep.Keys, rep.Records = x.c.binder, x.c.records
	if t := x.identity.AuthTime; !t.IsZero() {
		rep.AuthenticatedAt = earlier(t, now)
	}
	return Input{Kind: KindStep, Step: rep}, nil
}

// passing reports whether a refusal says nothing about the evidence, so that the same may be tried again.
func passing(reason string) bool {
	return reason == audit.ReasonKeysUnavailable || reason == audit.ReasonIDPUnreachable || reason == audit.ReasonVerifierError
}

// proven makes the step what an identity proves.
func (rep *Reported) proven(kind policy.ConnectionKind, id *federation.Identity, address policy.Address, verified bool) {
	rep.Type = audit.TypeSSOVerified
	if kind == policy.ConnectionSocial {
		rep.Type = audit.TypeSocialVerified
	}
	rep.Evidence, rep.Checks = audit.EvidenceVerified, id.Checks
	rep.Issuer, rep.SubjectID, rep.AMR, rep.ACR = id.Issuer, id.ID, id.AMR, id.ACR
	rep.Subject, rep.SessionEnds = Subject{Address: address, DisplayName: id.Name}, id.SessionEnds
	if !address.IsZero() {
		rep.Subject.EmailVerified = &verified
	}
}

// usedLonger is how much longer than evidence is good what it uses up is kept: another process may have a slower clock, and what
// was judged in time may be committed after it.
const usedLonger = 15 * time.Minute

// usesOf are the names an identity's evidence takes: once, by one call.
func usesOf(id *federation.Identity, key CommitKey) []Claim {
	out := make([]Claim, len(id.Uses))
	for i, u := range id.Uses {
		out[i] = Claim{Kind: claimEvidence, Name: hex.EncodeToString(u[:]), Value: hex.EncodeToString(key[:]), Until: id.Until.Add(usedLonger)}
	}
	return out
}

// Kinds of claims of a sign-in elsewhere.
const (
	claimEvidence = "evidence"
	claimExchange = "exchange"
)

// taken: the evidence was used before.
func (x *completing) taken(*Conflict) error {
	x.replayed = true
	return nil
}

// completed adds who was proven, as the flow has it.
func (x *completing) completed(ctx context.Context, a Answer) (Completed, error) {
	out := Completed{Answer: a}
	if !a.Repeated && x.identity == nil {
		return out, nil
	}
	if !a.Repeated {
		out.Identity = identityAt(x.c.last, a.Outcome)
		return out, nil
	}
	reading, err := x.f.c.Store.Read(ctx, Read{OrganizationUID: x.c.uid, Flow: a.Flow})
	if err != nil {
		return Completed{}, err
	}
	if reading.Flow != nil {
		out.Identity = identityAt(reading.Flow.State, a.Outcome)
	}
	return out, nil
}

// identityAt is who the step of an outcome proved; nil when it proved nobody.
func identityAt(s *State, o Outcome) *ProvenIdentity {
	at := o.Step
	switch {
	case o.Ending == audit.EndingAbandoned, o.Ending == audit.EndingSuperseded, o.Reason == audit.ReasonTooManySteps:
		return nil // the step was not recorded: what stands in front of the ending is another one
	case o.Ending != audit.EndingNone:
		at-- // the ending stands behind it
	}
	if s == nil || at < 1 || at > len(s.Steps) {
		return nil
	}
	e := s.Steps[at-1].Event
	if e.Type != audit.TypeSSOVerified && e.Type != audit.TypeSocialVerified {
		return nil
	}
	p := &e.Personal
	id := &ProvenIdentity{Connection: e.Connection, Issuer: p.Issuer, SubjectID: p.SubjectID, Email: p.Email,
		EmailVerified: p.EmailVerified != nil && *p.EmailVerified, DisplayName: p.DisplayName, AccountID: p.AccountID, SessionEnds: e.SessionExpires}
	if s.Bound != nil && s.Bound.Unlinked {
		id.AccountID = "" // the flow has an account, the identity has none
	}
	return id
}

func disabled() *federation.Refusal {
	return federation.Refuse(audit.ReasonConnectionDisabled, "the connection is switched off")
}

func replayed() *federation.Refusal {
	return federation.Refuse(audit.ReasonReplayed, "it was used before")
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func sum(s string) [32]byte { return sha256.Sum256([]byte(s)) }
