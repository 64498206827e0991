package redisstore

import (
	"sync"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

// prepared is a commit with everything encoded.
type prepared struct {
	c       *authflow.Commit
	store   *Store
	space   redisx.Space
	stamp   policy.Stamp // the flow's new one
	parts   *parts
	head    [headSize]byte
	field   [outcomeFieldSize]byte
	outcome []byte
	state   []byte   // in the memory of parts
	records []byte   // events, one behind the other
	events  [][]byte // parts of records
	session []byte
	subject subjectParts
	link    linkParts
}

// preparedPool keeps the buffers of outcome and events between commits: nothing holds on to them once a command was written.
type preparedPool struct{ pool sync.Pool }

func (p *preparedPool) get(s *Store, c *authflow.Commit) *prepared {
	x, ok := p.pool.Get().(*prepared)
	if !ok {
		x = &prepared{outcome: make([]byte, 0, maxOutcome), records: make([]byte, 0, 2<<10)}
	}
	x.c, x.store, x.space = c, s, s.keys.Of(c.OrganizationUID)
	return x
}

func (p *preparedPool) put(x *prepared) {
	if x.parts != nil {
		x.parts.taken.Store(false)
	}
	clear(x.events)
	*x = prepared{outcome: x.outcome[:0], records: x.records[:0], events: x.events[:0],
		subject: subjectParts{authenticator: x.subject.authenticator[:0], person: x.subject.person[:0]}}
	p.pool.Put(x)
}

// encode fills in what the commit writes.
func (p *prepared) encode() error {
	c, s := p.c, p.store
	var err error
	if c.Outcome != nil && c.Key != (authflow.CommitKey{}) {
		if p.outcome, err = encodeOutcome(p.outcome, c.Request, c.Outcome); err != nil {
			return err
		}
	}
	var steps []authflow.Step
	if c.Flow != nil {
		steps = c.Flow.State.Steps
	}
	if err := s.sealSteps(steps, c); err != nil {
		return err
	}
	if c.Flow != nil {
		if p.stamp, err = nextStamp(c.Flow.From); err != nil {
			return err
		}
		if err = p.encodeState(c.Flow); err != nil {
			return err
		}
	}
	for i := range c.Events {
		from := len(p.records)
		if p.records, err = s.codec.Append(p.records, &c.Events[i]); err != nil {
			return err
		}
		p.events = append(p.events, p.records[from:]) // bytes that stay where they are when records has to grow
	}
	if c.Session != nil {
		if p.session, err = s.encodeSession(c.OrganizationUID, c.Session); err != nil {
			return err
		}
	}
	if err := p.encodeLink(); err != nil {
		return err
	}
	return p.encodeSubject()
}

// Places of the bytes that begin a commit's arguments: see commit.lua.
const (
	headOutcome = iota
	headFlow
	headDeadline
	headExpires
	headLast
	headSession
	headEvents
	headClaims
	headTallies
	headAuthenticator
	headPerson
	headLink
	headSize
)

const maxCount = 255 // of events, claims or tallies in one commit

// fillHead says what is in the commit.
func (p *prepared) fillHead() error {
	c, h := p.c, &p.head
	if max(len(p.events), len(c.Claims), len(c.Tallies)) > maxCount {
		return errs.Newf(errs.Internal, "COMMIT_TOO_LARGE", "at most %d events, claims or tallies in one commit", maxCount)
	}
	switch {
	case len(p.outcome) == 0:
	case c.OwnKey || c.Flow == nil:
		h[headOutcome] = 1
	default:
		h[headOutcome] = 2
	}
	if w := c.Flow; w != nil {
		h[headFlow] = 1
		if w.EndsMarked {
			h[headFlow] = 2
		}
		h[headDeadline], h[headExpires] = flowTimes(w)
	}
	h[headLast], h[headSession] = flag(c.Last != nil), flag(c.Session != nil)
	h[headAuthenticator], h[headPerson] = p.subjectHead()
	h[headLink] = p.linkHead()
	h[headEvents], h[headClaims], h[headTallies] = byte(len(p.events)), byte(len(c.Claims)), byte(len(c.Tallies)) //nolint:gosec // bounded above
	return nil
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// flowTimes says what becomes of a flow's deadline (0 stays, 1 set, 2 gone) and whether the flow now expires: it is in the
// deadlines from start to ending, and only an ended flow expires, a recorded one once its ending is archived (see Source.Done).
func flowTimes(w *authflow.FlowWrite) (deadline, expires byte) {
	switch {
	case w.State.Phase != authflow.PhaseEnded && w.From.IsZero():
		return 1, 0
	case w.State.Phase != authflow.PhaseEnded:
		return 0, 0
	default:
		return 2, flag(!w.State.Recorded)
	}
}

// call lays the commit out as commit.lua reads it.
func (p *prepared) call() (*redisx.Call, error) {
	if err := p.fillHead(); err != nil {
		return nil, err
	}
	c := p.c
	call := redisx.NewCall(24 + len(p.events) + 3*len(c.Claims) + 6*len(c.Tallies))
	p.keys(call, &p.head)
	p.arguments(call, &p.head)
	return call, nil
}

func (p *prepared) keys(call *redisx.Call, h *[headSize]byte) {
	c, space := p.c, p.space
	flow := ""
	if c.Flow != nil {
		flow = c.Flow.State.ID.String()
	}
	call.Key(space.Organization(c.OrganizationUID), space.Outbox(), space.Flow(flow))
	if h[headDeadline] != 0 || c.Last != nil {
		call.Key(space.Deadlines())
	}
	if h[headOutcome] == 1 {
		call.Key(space.Once(c.Key))
	}
	if c.Last != nil {
		call.Key(space.Last(p.store.lastName(c.OrganizationUID, c.Last.Key)), space.Flow(c.Last.Expect.String()))
	}
	if c.Session != nil {
		call.Key(space.Session(c.Session.Handle))
	}
	p.subjectKeys(call, h)
	for i := range c.Claims {
		call.Key(p.store.claimKey(space, c.OrganizationUID, &c.Claims[i]))
	}
	if len(c.Tallies) > 0 {
		call.Key(space.Tallies())
		for _, t := range c.Tallies {
			call.Key(space.Tally(c.OrganizationUID, t.SiteUID, t.Hour))
		}
	}
	p.linkKeys(call, h)
}

func (p *prepared) arguments(call *redisx.Call, h *[headSize]byte) {
	c := p.c
	call.Bytes(h[:], stampArg(&c.PolicyStamp))
	switch h[headOutcome] {
	case 1:
		call.Arg(keepFor(c).Milliseconds())
	case 2:
		call.Bytes(appendOutcomeField(p.field[:0], c.Key))
	default:
		call.Text("")
	}
	call.Bytes(p.outcome)
	if w := c.Flow; w != nil {
		call.Bytes(stampArg(&w.From), p.stamp[:], p.state)
		if h[headDeadline] != 0 {
			call.Arg(redisx.Member(c.OrganizationUID, w.State.ID.String()))
		}
		if h[headDeadline] == 1 {
			call.Arg(w.State.Deadline.UnixMilli())
		}
		if h[headExpires] == 1 {
			call.Arg(endedFor.Milliseconds())
		}
	} else {
		call.Text("", "", "")
	}
	call.Bytes(p.events...)
	if l := c.Last; l != nil {
		call.Arg(l.Expect.String(), l.Next.String(), p.store.millis(l.Until), redisx.Member(c.OrganizationUID, l.Expect.String()))
	}
	if v := c.Session; v != nil {
		call.Arg(p.session, v.From, p.store.millis(sessionUntil(&v.Session)))
	}
	p.subjectArguments(call, h)
	for i := range c.Claims {
		call.Arg(c.Claims[i].Value, p.store.millis(c.Claims[i].Until))
	}
	for _, t := range c.Tallies {
		hour := t.Hour.UTC()
		call.Arg(tallyMember(c.OrganizationUID, t.SiteUID, hour), hour.UnixMilli(), t.Site, t.Field)
	}
	p.linkArguments(call, h)
}

// onceFor is how long the answer of a call is kept that has no flow to keep it with, unless the call says otherwise.
const onceFor = 24 * time.Hour

func keepFor(c *authflow.Commit) time.Duration {
	if c.KeepKey > 0 {
		return max(c.KeepKey, time.Millisecond)
	}
	return onceFor
}

func stampArg(s *policy.Stamp) []byte {
	if s.IsZero() {
		return nil
	}
	return s[:]
}

const outcomeFieldSize = 2 + len(authflow.CommitKey{})

// appendOutcomeField writes under which field of its flow an answer is kept.
func appendOutcomeField(b []byte, key authflow.CommitKey) []byte {
	return append(append(b, 'k', ':'), key[:]...)
}

// lastName hashes a place in the supersession index.
func (s *Store) lastName(organizationUID string, k authflow.LastKey) [32]byte {
	return s.namer.NameStrings("last", organizationUID, k.SiteUID, string(k.Subject[:]), k.DeviceID)
}

func (s *Store) claimKey(space redisx.Space, organizationUID string, c *authflow.Claim) string {
	if c.Kind == "code" {
		return space.Code(organizationUID, c.Name)
	}
	return space.Taken(c.Kind, organizationUID, s.namer.NameStrings("claim", organizationUID, c.Kind, c.Name))
}

func tallyMember(organizationUID, siteUID string, hour time.Time) string {
	return redisx.Member(organizationUID, siteUID+"/"+hour.Format(redisx.TallyHour))
}
