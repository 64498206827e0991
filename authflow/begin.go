package authflow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// beginning is one BeginFederation.
type beginning struct {
	f       *Flows
	c       *call
	in      *BeginInput
	seed    []byte
	stamp   policy.Stamp // of the policy record the redirect was made from
	pending Pending
	made    Redirect
	refusal *federation.Refusal
}

// BeginFederation sends the person of a flow to an identity provider: state, nonce, code verifier, request id and browser
// token are minted here and kept, as one sealed seed, with the flow's step. What was begun before is forgotten. One round trip
// to Redis on a flow this process knows; the provider's own description may have to be fetched. A provider that cannot be
// reached or described is a rejected step: the answer then has its reason and no redirect.
func (f *Flows) BeginFederation(ctx context.Context, who Caller, in BeginInput) (Begun, error) {
	if f.c.Providers == nil {
		return Begun{}, refuse(ErrProvidersMissing)
	}
	c, err := f.call(ctx, who, "BeginFederation", in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Begun{}, err
	}
	b := &beginning{f: f, c: c, in: &in, seed: newSeed()}
	c.input = func(flow *Loaded, now time.Time) (Input, error) { return b.input(ctx, flow, now) }
	a, err := c.run(ctx)
	switch {
	case err != nil:
		return Begun{}, err
	case a.Repeated:
		return b.again(ctx, a)
	case b.refusal != nil || a.Ending != audit.EndingNone:
		return Begun{Answer: a}, nil //nolint:nilerr // a refusal is a step of the flow, no fault
	}
	return Begun{Answer: a, Redirect: b.made, BrowserToken: mint(b.seed).Browser}, nil
}

// input makes the step: *.started, or *.rejected when the provider could not be made ready.
func (b *beginning) input(ctx context.Context, flow *Loaded, now time.Time) (Input, error) {
	if s := flow.State; b.in.Links && s.Phase != PhaseEnded && (s.Bound == nil || s.Bound.AccountID == "") {
		return Input{}, refuse(ErrNotBound)
	}
	conn := connection(b.c.org, b.in.Connection)
	if conn == nil {
		return Input{}, invalid("connection", ErrConnectionUnknown)
	}
	if b.made.URL == "" && b.refusal == nil || b.stamp != b.c.org.PolicyStamp {
		if err := b.prepare(ctx, conn); err != nil {
			return Input{}, err
		}
	}
	rep := &Reported{StepReport: StepReport{Type: audit.TypeSSOStarted, Connection: conn.ID, Context: b.in.Context}, Evidence: audit.EvidenceVerified}
	social := conn.Kind == policy.ConnectionSocial
	if social {
		rep.Type = audit.TypeSocialStarted
	}
	if b.refusal != nil {
		rep.refused(conn.Kind, b.refusal)
		return Input{Kind: KindStep, Step: rep}, nil //nolint:nilerr // a refusal is a step of the flow, no fault
	}
	p := b.pending
	rep.Begins = &p
	return Input{Kind: KindStep, Step: rep}, nil
}

// prepare makes the redirect.
func (b *beginning) prepare(ctx context.Context, conn *policy.Connection) error {
	b.stamp, b.refusal, b.made = b.c.org.PolicyStamp, nil, Redirect{}
	urls, err := callbackURLs(conn)
	if err != nil {
		return err
	}
	callback := b.in.CallbackURL
	if callback == "" && len(urls) > 0 {
		callback = urls[0]
	}
	if !slices.Contains(urls, callback) {
		return invalid("callback_url", ErrCallbackURL)
	}
	if conn.Disabled {
		b.refusal = disabled()
		return nil
	}
	made, err := b.f.c.Providers.Begin(ctx, b.c.uid, conn, b.in.beginning(mint(b.seed), callback))
	if err != nil {
		b.refusal, err = refusalOf(err)
		return err
	}
	b.made = made
	b.pending = Pending{Connection: conn.ID, ConnectionUID: conn.UID, Protocol: conn.Protocol, Issuer: made.Issuer, CallbackURL: callback,
		MaxAge: b.in.MaxAge, Links: b.in.Links, Seed: b.seed}
	return nil
}

func (in *BeginInput) beginning(m minted, callback string) Beginning {
	return Beginning{State: m.State, Nonce: m.Nonce, Verifier: m.Verifier, RequestID: m.RequestID, CallbackURL: callback,
		LoginHint: in.LoginHint, MaxAge: in.MaxAge, ACRValues: in.ACRValues, Prompt: in.Prompt, Post: in.Post}
}

// again makes the first answer's redirect once more, as long as what it began has not been used up.
func (b *beginning) again(ctx context.Context, a Answer) (Begun, error) {
	if a.Reason != "" || a.Ending != audit.EndingNone {
		return Begun{Answer: a}, nil
	}
	reading, err := b.f.c.Store.Read(ctx, Read{OrganizationUID: b.c.uid, Flow: b.in.Flow})
	if err != nil {
		return Begun{}, err
	}
	if reading.Flow == nil {
		return Begun{}, refuse(ErrRedirectUsed)
	}
	s := reading.Flow.State
	p := s.Pending
	if p == nil || p.Seed == nil || a.Step != lastBegun(s) {
		return Begun{}, refuse(ErrRedirectUsed)
	}
	conn := connection(b.c.org, p.Connection)
	if conn == nil || conn.UID != p.ConnectionUID {
		return Begun{}, refuse(ErrRedirectUsed)
	}
	m := mint(p.Seed)
	made, err := b.f.c.Providers.Begin(ctx, b.c.uid, conn, b.in.beginning(m, p.CallbackURL))
	if err != nil {
		if refusal, fault := refusalOf(err); refusal == nil {
			return Begun{}, fault
		}
		return Begun{}, errs.Wrap(err, errs.Unavailable, ErrRedirectLost, describe(ErrRedirectLost))
	}
	return Begun{Answer: a, Redirect: made, BrowserToken: m.Browser}, nil
}

// lastBegun is the number of the step that began what the flow waits for, 0 when none did. Times do not tell: two steps can have
// happened at one moment.
func lastBegun(s *State) int {
	for i := len(s.Steps) - 1; i >= 0; i-- {
		e := s.Steps[i].Event
		if (e.Type == audit.TypeSSOStarted || e.Type == audit.TypeSocialStarted) && e.Evidence == audit.EvidenceVerified {
			return i + 1
		}
	}
	return 0
}

// callbackURLs are where a provider may send people back to.
func callbackURLs(c *policy.Connection) ([]string, error) {
	switch {
	case c.OIDC != nil:
		return c.OIDC.RedirectURIs, nil
	case c.SAML != nil:
		return c.SAML.ACSURLs, nil
	}
	return nil, refuse(ErrConnectionUnverified)
}

// refusalOf tells what is to be recorded from a fault of this process.
func refusalOf(err error) (*federation.Refusal, error) {
	var r *federation.Refusal
	if errors.As(err, &r) {
		return r, nil
	}
	return nil, errs.Wrap(err, errs.Internal, ErrVerifier, describe(ErrVerifier))
}

// refused makes the step a rejection.
func (rep *Reported) refused(kind policy.ConnectionKind, r *federation.Refusal) {
	rep.Type = audit.TypeSSORejected
	if kind == policy.ConnectionSocial {
		rep.Type = audit.TypeSocialRejected
	}
	rep.Reason, rep.Detail, rep.Evidence = r.Reason, r.Detail, audit.EvidenceVerified
}
