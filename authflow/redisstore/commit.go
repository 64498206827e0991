package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

// endedFor is how long an ended flow stays readable in Redis: after its commit when it is not recorded, else after its
// ending was archived.
const endedFor = 15 * time.Minute

// Commit implements authflow.Store.
func (s *Store) Commit(ctx context.Context, c *authflow.Commit) (*authflow.Committed, error) {
	if err := s.needKey(ctx, c.OrganizationUID); err != nil {
		return nil, err
	}
	p, err := s.prepare(c)
	if err != nil {
		return nil, err
	}
	reply, err := s.scripts.commit.Run(ctx, s.client, p.call())
	if err != nil {
		return nil, err
	}
	return s.committed(ctx, p, redisx.NewReply(reply))
}

// prepared is a commit with everything encoded.
type prepared struct {
	c       *authflow.Commit
	space   redisx.Space
	outcome []byte
	state   []byte
	parts   *parts
	stamp   policy.Stamp
	events  [][]byte
	session []byte
	store   *Store
}

func (s *Store) prepare(c *authflow.Commit) (*prepared, error) {
	p := &prepared{c: c, space: s.keys.Of(c.OrganizationUID), store: s, events: make([][]byte, len(c.Events))}
	var err error
	if c.Outcome != nil && c.Key != (authflow.CommitKey{}) {
		if p.outcome, err = encodeOutcome(c.Request, c.Outcome); err != nil {
			return nil, err
		}
	}
	var steps []authflow.Step
	if c.Flow != nil {
		steps = c.Flow.State.Steps
	}
	if err := s.sealSteps(steps, c.Events); err != nil {
		return nil, err
	}
	if c.Flow != nil {
		if p.stamp, err = nextStamp(c.Flow.From); err != nil {
			return nil, err
		}
		if p.state, p.parts, err = s.encodeState(c.Flow.State, c.Flow.From); err != nil {
			return nil, err
		}
		p.parts.stamp = p.stamp
	}
	for i := range c.Events {
		if p.events[i], err = s.codec.Encode(&c.Events[i]); err != nil {
			return nil, err
		}
	}
	if c.Session != nil {
		p.session, err = encodeSession(c.OrganizationUID, &c.Session.Session)
	}
	return p, err
}

// ownKey says that the outcome is kept under a key of its own.
func (p *prepared) ownKey() bool { return p.outcome != nil && (p.c.OwnKey || p.c.Flow == nil) }

// call lays the commit out as commit.lua reads it.
func (p *prepared) call() *redisx.Call {
	c, space := p.c, p.space
	call := redisx.NewCall(24 + len(p.events) + 3*len(c.Claims) + 5*len(c.Tallies))
	flow := ""
	if c.Flow != nil {
		flow = c.Flow.State.ID.String()
	}
	call.Key(space.Organization(c.OrganizationUID), space.Outbox(), space.Flow(flow), space.Deadlines())
	if p.ownKey() {
		call.Key(space.Once(c.Key))
	}
	if c.Last != nil {
		call.Key(space.Last(p.store.lastName(c.OrganizationUID, c.Last.Key)), space.Flow(c.Last.Expect.String()))
	}
	if c.Session != nil {
		call.Key(space.Session(c.Session.Handle))
	}
	for i := range c.Claims {
		call.Key(p.store.claimKey(space, c.OrganizationUID, &c.Claims[i]))
	}
	if len(c.Tallies) > 0 {
		call.Key(space.Tallies())
		for _, t := range c.Tallies {
			call.Key(space.Tally(c.OrganizationUID, t.SiteUID, t.Hour))
		}
	}
	p.arguments(call)
	return call
}

func (p *prepared) arguments(call *redisx.Call) {
	c := p.c
	field := ""
	if p.outcome != nil && !p.ownKey() {
		field = outcomeField(c.Key)
	}
	call.Arg(flag(p.ownKey()), field, p.outcome, stampArg(c.PolicyStamp))
	if w := c.Flow; w != nil {
		deadline, expiry := flowTimes(w)
		call.Arg("1", stampArg(w.From), p.stamp[:], p.state, flag(w.EndsMarked), deadline,
			redisx.Member(c.OrganizationUID, w.State.ID.String()), expiry)
	} else {
		call.Arg("", "", "", "", "", "", "", "")
	}
	call.Arg(len(p.events), flag(c.Last != nil), flag(c.Session != nil), len(c.Claims), len(c.Tallies))
	for _, e := range p.events {
		call.Arg(e)
	}
	if l := c.Last; l != nil {
		call.Arg(l.Expect.String(), l.Next.String(), p.store.millis(l.Until), redisx.Member(c.OrganizationUID, l.Expect.String()))
	}
	if v := c.Session; v != nil {
		call.Arg(p.session, flag(v.IsNew), p.store.millis(sessionUntil(&v.Session)))
	}
	for i := range c.Claims {
		call.Arg(c.Claims[i].Value, p.store.millis(c.Claims[i].Until))
	}
	for _, t := range c.Tallies {
		hour := t.Hour.UTC()
		call.Arg(tallyMember(c.OrganizationUID, t.SiteUID, hour), hour.UnixMilli(), t.Site, t.Field)
	}
}

// flowTimes says what becomes of a flow's deadline and expiry: it is in the deadlines from start to ending, and only an
// ended flow expires, a recorded one once its ending is archived (see Source.Done).
func flowTimes(w *authflow.FlowWrite) (deadline, expiry string) {
	switch {
	case w.State.Phase != authflow.PhaseEnded && w.From.IsZero():
		return strconv.FormatInt(w.State.Deadline.UnixMilli(), 10), ""
	case w.State.Phase != authflow.PhaseEnded:
		return "", ""
	case w.State.Recorded:
		return "x", ""
	default:
		return "x", strconv.FormatInt(endedFor.Milliseconds(), 10)
	}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
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

// committed reads the script's answer.
func (s *Store) committed(ctx context.Context, p *prepared, r *redisx.Reply) (*authflow.Committed, error) {
	switch r.Text(0) {
	case "OK":
		at := recordedTime(r.Text(1))
		return s.written(p, at), r.Err()
	case "REPEATED":
		o, err := decodeOutcome(r.Text(1), p.c.Request)
		if err != nil {
			return nil, err
		}
		return &authflow.Committed{Repeated: o}, r.Err()
	case "CONFLICT":
		return s.conflict(ctx, p, r)
	}
	return nil, errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")
}

func (s *Store) written(p *prepared, at time.Time) *authflow.Committed {
	if w := p.c.Flow; w != nil {
		if w.State.Phase == authflow.PhaseEnded {
			s.parts.drop(w.State.ID)
		} else {
			s.parts.put(w.State.ID, p.parts)
		}
	}
	return &authflow.Committed{Stamp: p.stamp, Recorded: at}
}

// conflict reads what stands there now. A flow that has the very stamp of this commit was written by it: the script ran a
// second time after a redirection in a cluster, and the first run counts.
func (s *Store) conflict(ctx context.Context, p *prepared, r *redisx.Reply) (*authflow.Committed, error) {
	out := &authflow.Conflict{LastMoved: r.Text(5) != "", SessionTaken: r.Text(6) != ""}
	uid := p.c.OrganizationUID
	if n := r.Int(7); n >= 1 && n <= int64(len(p.c.Claims)) {
		out.Claimed = &p.c.Claims[n-1]
	}
	if r.Text(3) != "" {
		organization, _ := r.List(4)
		if _, exists := organization.Find(0); !exists {
			return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
		}
		o, err := s.cache.Fill(uid, nil, organization)
		if err != nil {
			return nil, err
		}
		out.Organization = o
	}
	if r.Text(1) != "" {
		flow, _ := r.List(2)
		stamp, exists := flow.Find(0)
		switch {
		case !exists:
			out.Gone = true
		case stamp == string(p.stamp[:]):
			return s.written(p, s.now()), r.Err()
		default:
			var err error
			if out.Flow, err = s.loaded(ctx, uid, flow); err != nil {
				return nil, err
			}
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return nil, out
}

// recordedTime is the time in a stream id, or in milliseconds alone.
func recordedTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// Encoded is the state and the events of a commit as they are sent, for the benchmark's floor, which writes the same bytes.
func (s *Store) Encoded(c *authflow.Commit) (state []byte, events [][]byte, err error) {
	p, err := s.prepare(c)
	if err != nil {
		return nil, nil, err
	}
	return p.state, p.events, nil
}
