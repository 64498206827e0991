package authflow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// How long answers about access hold.
const (
	// AccessRecheck bounds how long a process answers without looking whether anything has moved: a revocation, a stop or a
	// change of policy reaches every process within it.
	AccessRecheck = 2 * time.Second
	// AccessValid bounds how long a caller may go without asking again.
	AccessValid = time.Minute
)

// AccessInput asks whether a session or token may be used at a site.
type AccessInput struct {
	Organization string // id
	Site         string // id
	Kind         string // KindOfSession or KindOfToken
	Handle       []byte // hashed at once, never kept
	Context      Context
}

// Access is the answer.
type Access struct {
	Organization    string // id
	OrganizationUID string
	Verdict         audit.Verdict // ALLOW or DENY
	Reason          string        // empty with ALLOW
	Decision        audit.Decision
	ValidUntil      time.Time // the caller need not ask again before
	Session         string    // keyed hash of the handle, in hex
	Flow            FlowID    // where it came from; zero when not known
	Message         UserMessage
}

// checking is one CheckAccess that has to look.
type checking struct {
	f      *Flows
	who    Caller
	in     AccessInput
	org    *policy.Organization
	site   *policy.Site
	handle [32]byte
	place  place
	now    time.Time

	keys    policy.LookupKeys // of the subject, as far as it is known
	session *Session
	subject *SubjectRecords
	records policy.Records
}

// CheckAccess holds a session or token to the policy of the organization whose site it is used at: demands are measured
// against what the flow behind it had proven and what is remembered of its subject. The answer is DENY, never CONTINUE: what is
// missing is for a sign-in to show.
//
// An answer is kept for AccessRecheck; then, or when this process sees the policy move, everything it rests on is read again in
// one trip. Ends and revocations made through this process count at once. The first use, and each change of network address or
// verdict, is an event of its own; other uses are folded, see UseFolder.
func (f *Flows) CheckAccess(ctx context.Context, who Caller, in AccessInput) (Access, error) {
	if in.Kind != KindOfSession && in.Kind != KindOfToken {
		return Access{}, invalid("kind", ErrSessionKind)
	}
	org, site, err := f.site(ctx, in.Organization, in.Site)
	if err != nil {
		return Access{}, err
	}
	c := checking{f: f, who: who, in: in, org: org, site: site, handle: f.c.Namer.SessionHandle(org.UID, in.Handle), now: f.c.Now(),
		place: place{site: site.UID, kind: in.Kind, device: in.Context.DeviceID, ip: in.Context.IP, client: in.Context.Client}}
	known, fresh := f.access.get(c.handle, c.place, org.PolicyStamp, c.now)
	if fresh {
		f.uses.add(known.use, c.now)
		return known.answer, nil
	}
	c.keys = known.keys
	return c.run(ctx)
}

// run reads, decides and records, again after a lost race.
func (c *checking) run(ctx context.Context) (Access, error) {
	for range maxConflicts {
		seen := c.f.access.mark()
		if err := c.read(ctx); err != nil {
			return Access{}, err
		}
		if !c.known() {
			return c.stranger(), nil
		}
		found := c.decide()
		err := c.record(ctx, &found)
		var conflict *Conflict
		if errors.As(err, &conflict) {
			continue
		}
		if err != nil {
			return Access{}, err
		}
		c.f.access.put(c.handle, c.place, seen, found.decided)
		return found.answer, nil
	}
	return Access{}, refuse(ErrConflict)
}

// read gets everything the answer rests on in one trip, or in two when it is not known yet whose handle it is.
func (c *checking) read(ctx context.Context) error {
	for range 2 {
		r := Read{OrganizationUID: c.org.UID, Session: c.handle, Organization: true}
		keys := c.keys
		if keys.Account != (policy.AccountKey{}) {
			r.Lookups, r.Subject = []policy.LookupKeys{keys}, &keys.Account
		}
		reading, err := c.f.read(ctx, r)
		if err != nil {
			return err
		}
		if err := c.takes(reading, keys); err != nil {
			return err
		}
		if !c.known() || c.keys == keys {
			return nil
		}
	}
	return nil
}

// takes keeps what was read.
func (c *checking) takes(r *Reading, keys policy.LookupKeys) error {
	if r.Organization != nil {
		if c.org = r.Organization; siteByUID(c.org, c.site.UID) == nil {
			return refuse(ErrSiteNotFound)
		}
		c.site = siteByUID(c.org, c.site.UID)
	}
	c.session, c.subject, c.records = r.Session, r.Subject, policy.Records{}
	if len(r.Records) == 1 {
		c.records = r.Records[0]
	}
	if c.known() {
		c.keys = c.f.keys(c.org.UID, c.session.Subject.AccountID, c.session.Subject.Email)
	}
	if c.subject == nil {
		c.subject = &SubjectRecords{Key: keys.Account}
	}
	return nil
}

// known reports whether it is recorded what the handle is of, and whose.
func (c *checking) known() bool {
	s := c.session
	return s != nil && s.Subject.AccountID != "" && (s.Kind == KindOfToken) == (c.in.Kind == KindOfToken)
}

// found is what a look came to.
type found struct {
	decided
	event audit.Event
}

// decide holds the session or token to the policy, as of now.
func (c *checking) decide() found {
	s := c.session
	in := c.input()
	result := policy.Decide(in)
	d := result.Decision
	reason := s.overBecause(c.now)
	if reason == "" {
		reason = c.unmet(&result)
	}
	until := c.now.Add(AccessValid)
	for _, at := range []time.Time{policy.ValidUntil(result.Frozen, in), s.Expires} {
		if at.After(c.now) && at.Before(until) {
			until = at
		}
	}
	if d.Verdict, d.Reason = audit.VerdictAllow, reason; reason != "" {
		d.Verdict, until = audit.VerdictDeny, c.now.Add(AccessRecheck)
	}
	if w := d.WouldBe; w != nil && w.Verdict == audit.VerdictContinue { // here as well there is no going on
		would := *w
		would.Verdict = audit.VerdictDeny
		d.WouldBe = &would
	}
	e := c.event(&d)
	a := c.answer(d, until)
	return found{event: e, decided: decided{answer: a, checked: c.now, policy: c.org.PolicyStamp, keys: c.keys, use: c.use(e)}}
}

// input is what the policy looks at.
func (c *checking) input() policy.Input {
	s := &c.session.Subject
	in := policy.Input{Organization: c.org, Site: c.site, Records: c.records, Enrolment: c.subject.enrolment(), Now: c.now,
		Subject: policy.Subject{AccountID: s.AccountID, AccountKey: c.keys.Account, Address: s.Email, AddressKey: c.keys.Address,
			EmailVerified: s.EmailVerified, Kind: s.Kind},
		Context: policy.Context{SiteID: c.site.ID, IP: c.in.Context.IP, Method: c.session.method()}}
	if id := c.in.Context.DeviceID; id != "" {
		in.Device = c.f.device(c.org.UID)(id)
	}
	if p := c.subject.Person; p != nil {
		in.Proofs, in.NotBefore = p.Proofs, p.NotBefore
	}
	in.Shown = c.session.shownAt(in.Context.Method, &in)
	return in
}

// unmet is why the policy refuses, "" when it does not. A token is used where a method was shown before: a rule that lists
// methods has to list tokens, whatever was shown when it was made.
func (c *checking) unmet(r *policy.Result) string {
	methods := r.Frozen.Demands.Methods
	switch {
	case r.Decision.Verdict == audit.VerdictDeny && r.Decision.Reason != "":
		return r.Decision.Reason
	case c.in.Kind == KindOfToken && methods != nil && !slices.Contains(methods, audit.MethodToken):
		return audit.ReasonMethodNotAllowed
	case r.Decision.Verdict == audit.VerdictAllow:
		return ""
	case r.Decision.Reason == "":
		return audit.ReasonPolicyUnreadable // never a refusal without a reason
	}
	return r.Decision.Reason
}

// answer is what the caller is told.
func (c *checking) answer(d audit.Decision, until time.Time) Access {
	a := Access{Organization: c.org.ID, OrganizationUID: c.org.UID, Verdict: d.Verdict, Reason: d.Reason, Decision: d, ValidUntil: until,
		Session: hexHandle(c.handle)}
	if c.session != nil {
		a.Flow = c.session.Flow
	}
	a.Message = render(&Outcome{Verdict: d.Verdict, Decision: d}, c.org)
	a.Decision.Message, a.Decision.HelpURL = a.Message.RuleMessage, a.Message.HelpURL
	return a
}

// stranger answers for a handle that is not recorded, or not whose it is. Only how many there were is recorded: anybody can make
// up handles.
func (c *checking) stranger() Access {
	d := audit.Decision{Source: policy.SourceDefault, Verdict: audit.VerdictDeny, Reason: audit.ReasonSessionUnknown,
		PolicyRevision: c.org.PolicyStamp.Counter()}
	t := audit.TypeSessionRejected
	if c.in.Kind == KindOfToken {
		t, d.Reason = audit.TypeTokenBlocked, audit.ReasonTokenUnknown
	}
	e := c.begin(t)
	e.Reason, e.Session, e.Personal = d.Reason, "", audit.Personal{}
	c.f.uses.add(&use{key: useKey{organization: c.org.UID, site: c.site.UID, typ: t, reason: d.Reason}, event: e}, c.now)
	c.session = nil
	return c.answer(d, c.now.Add(AccessRecheck))
}
