package authflow

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// arrival is a SAML response that nobody here asked for: it opens a flow.
type arrival struct {
	conn     policy.Connection
	proved   *federation.Identity // what it came to
	refusal  *federation.Refusal  // or why not
	address  policy.Address
	verified bool
	replayed bool
	identity IdentityKey
	link     *Link
	linkRead bool
}

// arrive takes a response nobody asked for: a flow is opened and decided in one commit, and says that the provider began it. When
// nothing was proven it ends in the same commit. Only connections that allow such responses have them looked at.
func (f *Flows) arrive(ctx context.Context, who Caller, in CompleteInput) (Completed, error) {
	for range maxConflicts {
		out, err := f.arriveOnce(ctx, who, in)
		if !errors.Is(err, errJudgeAgain) {
			return out, err
		}
	}
	return Completed{}, refuse(ErrConflict)
}

// stale reports whether the connection is not any more what the response was judged for.
func (a *arrival) stale(org *policy.Organization) bool {
	c := connection(org, a.conn.ID)
	return c == nil || !reflect.DeepEqual(*c, a.conn)
}

func (f *Flows) arriveOnce(ctx context.Context, who Caller, in CompleteInput) (Completed, error) {
	org, site, err := f.site(ctx, in.Organization, in.Site)
	if org == nil {
		return Completed{}, err
	}
	start := StartInput{Organization: in.Organization, Site: in.Site, RequestID: in.RequestID}
	if in.Context != nil {
		start.Context = *in.Context
	}
	s := starting{f: f, who: who, in: start, org: org, site: site,
		key:    f.c.Namer.CommitKey(who.Principal, "CompleteFederation", org.UID+"/"+in.Site, in.RequestID),
		digest: f.c.Namer.Digest(in.canonical())}
	if err == nil {
		s.arrival, err = f.received(ctx, org, &in)
	}
	if err != nil {
		a, err := f.first(ctx, org, s.key, s.digest, err)
		return Completed{Answer: a}, err
	}
	s.binder = f.keys(org.UID, f.owners.of(s.arrival.identity), s.arrival.address)
	a, err := s.run(ctx)
	if err != nil {
		return Completed{}, err
	}
	out := Completed{Answer: a}
	state := s.made
	if a.Repeated {
		reading, err := f.c.Store.Read(ctx, Read{OrganizationUID: org.UID, Flow: a.Flow})
		if err != nil {
			return Completed{}, err
		}
		if state = nil; reading.Flow != nil {
			state = reading.Flow.State
		}
	}
	out.Identity = identityAt(state, a.Outcome)
	return out, nil
}

// received judges the response.
func (f *Flows) received(ctx context.Context, org *policy.Organization, in *CompleteInput) (*arrival, error) {
	conn := connection(org, in.Connection)
	switch {
	case conn == nil:
		return nil, invalid("connection", ErrConnectionUnknown)
	case conn.SAML == nil || in.SAML == nil:
		return nil, invalid("evidence", ErrEvidenceKind)
	case !conn.SAML.AllowsUnsolicited:
		return nil, refuse(ErrUnsolicited)
	case len(conn.SAML.ACSURLs) == 0:
		return nil, refuse(ErrConnectionUnverified)
	case in.Expectations != nil && in.Expectations.CallbackURL != "" && !slices.Contains(conn.SAML.ACSURLs, in.Expectations.CallbackURL):
		return nil, invalid("expectations.callback_url", ErrCallbackURL)
	}
	a := &arrival{conn: *conn}
	if conn.Disabled {
		return a, nil // the stop ends the flow as it begins
	}
	r := Response{Form: in.SAML.Response, Unsolicited: true, CallbackURL: conn.SAML.ACSURLs[0], Now: f.c.Now()}
	if in.Expectations != nil && in.Expectations.CallbackURL != "" {
		r.CallbackURL = in.Expectations.CallbackURL
	}
	id, err := f.c.Providers.Response(ctx, org.UID, conn, r)
	if err != nil {
		a.refusal, err = refusalOf(err)
		return a, err
	}
	if a.address, a.verified, a.refusal = federation.Fit(conn, &id); a.refusal != nil {
		return a, nil //nolint:nilerr // a refusal is a step of the flow, no fault
	}
	a.proved, a.identity = &id, f.c.Namer.Identity(conn.UID, id.Issuer, id.ID)
	return a, nil
}

// owned takes the link that was read, and reports whether what bears on its account is still to be read.
func (s *starting) owned() bool {
	a := s.arrival
	if a == nil || a.identity == (IdentityKey{}) || a.linkRead {
		return false
	}
	a.linkRead = true
	s.f.owners.note(a.link)
	account := ""
	if a.link != nil {
		account = a.link.AccountID
	}
	keys := s.f.keys(s.org.UID, account, a.address)
	again := keys != s.binder
	if s.binder = keys; again {
		s.records[1], s.subject = policy.Records{}, nil
	}
	return again
}

// inputs is what the response does to the flow it opened.
func (a *arrival) inputs(keys policy.LookupKeys, records policy.Records, now time.Time) []Input {
	rep := &Reported{StepReport: StepReport{Connection: a.conn.ID}}
	refusal := a.refusal
	switch {
	case a.conn.Disabled:
		refusal = disabled()
	case a.replayed:
		refusal = replayed()
	}
	if refusal != nil || a.proved == nil {
		rep.refused(a.conn.Kind, refusal)
		return []Input{{Kind: KindStep, Step: rep}, {Kind: KindFinish, Finish: &Finish{Action: ActionComplete}}}
	}
	rep.proven(a.conn.Kind, a.proved, a.address, a.verified)
	rep.IdentityKey, rep.Linked, rep.Keys, rep.Records = a.identity[:], a.link, keys, records
	if a.link != nil {
		rep.Subject.AccountID = a.link.AccountID
	}
	if t := a.proved.AuthTime; !t.IsZero() {
		rep.AuthenticatedAt = earlier(t, now)
	}
	return []Input{{Kind: KindStep, Step: rep}}
}

// uses is what the response uses up.
func (a *arrival) uses(key CommitKey) []Claim {
	if a.proved == nil || a.replayed {
		return nil
	}
	return usesOf(a.proved, key)
}
