package redisstore

import (
	"strconv"
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
	outcome []byte
	state   []byte
	events  [][]byte
	session []byte
	subject subjectParts
	link    linkParts
}

// preparedPool keeps the buffers of outcome and state between commits: nothing holds on to them once a command was written.
type preparedPool struct{ pool sync.Pool }

func (p *preparedPool) get(s *Store, c *authflow.Commit) *prepared {
	x, ok := p.pool.Get().(*prepared)
	if !ok {
		x = &prepared{outcome: make([]byte, 0, maxOutcome), state: make([]byte, 0, 4<<10)}
	}
	x.c, x.store, x.space = c, s, s.keys.Of(c.OrganizationUID)
	return x
}

func (p *preparedPool) put(x *prepared) {
	clear(x.events)
	*x = prepared{outcome: x.outcome[:0], state: x.state[:0], events: x.events[:0],
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
	if err := s.sealSteps(steps, c.Events); err != nil {
		return err
	}
	if c.Flow != nil {
		if p.stamp, err = nextStamp(c.Flow.From); err != nil {
			return err
		}
		if p.state, p.parts, err = s.encodeState(p.state, c.Flow.State, c.Flow.From); err != nil {
			return err
		}
		p.parts.stamp = p.stamp
	}
	for i := range c.Events {
		b, err := s.codec.Encode(&c.Events[i])
		if err != nil {
			return err
		}
		p.events = append(p.events, b)
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

// head says what is in the commit.
func (p *prepared) head() (h [headSize]byte, err error) {
	c := p.c
	if max(len(p.events), len(c.Claims), len(c.Tallies)) > maxCount {
		return h, errs.Newf(errs.Internal, "COMMIT_TOO_LARGE", "at most %d events, claims or tallies in one commit", maxCount)
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
	return h, nil
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
	h, err := p.head()
	if err != nil {
		return nil, err
	}
	c := p.c
	call := redisx.NewCall(24 + len(p.events) + 3*len(c.Claims) + 6*len(c.Tallies))
	p.keys(call, &h)
	p.arguments(call, &h)
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
	field := ""
	switch h[headOutcome] {
	case 1:
		field = strconv.FormatInt(keepFor(c).Milliseconds(), 10)
	case 2:
		field = outcomeField(c.Key)
	}
	call.Arg(string(h[:]), stampArg(c.PolicyStamp), field, p.outcome)
	if w := c.Flow; w != nil {
		call.Arg(stampArg(w.From), p.stamp[:], p.state)
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
		call.Arg("", "", "")
	}
	for _, e := range p.events {
		call.Arg(e)
	}
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

func stampArg(s policy.Stamp) any {
	if s.IsZero() {
		return ""
	}
	return s[:]
}

func outcomeField(key authflow.CommitKey) string {
	var b [2 + len(key)]byte
	b[0], b[1] = 'k', ':'
	copy(b[2:], key[:])
	return string(b[:])
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
