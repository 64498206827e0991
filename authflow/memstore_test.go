package authflow

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// memStore honours the contract of Store in memory: keys first, then every comparison, then every write. Tests break it at
// will: before decides over a commit that was not made yet, after over the reply of one that was.
type memStore struct {
	mu       sync.Mutex
	org      *policy.Organization
	now      func() time.Time
	flows    map[FlowID]*memFlow
	once     map[CommitKey]memOutcome
	last     map[LastKey]FlowID
	sessions map[[32]byte]Session
	subjects map[policy.AccountKey]SubjectRecords
	links    map[IdentityKey]Link
	untold   bool // the store does not tell new stamps of subjects
	claims   map[string]Claim
	tallies  map[DueTallyKey]map[string]int64
	due      map[FlowID]time.Time
	outbox   []audit.Event
	records  map[policy.LookupKeys]policy.Records
	leases   map[int]string
	counter  uint64
	trips    int
	before   func(c *Commit) error
	after    func(c *Commit) error
	down     error
}

type memFlow struct {
	l        Loaded
	outcomes map[CommitKey]memOutcome
}

type memOutcome struct {
	request Digest
	o       Outcome
}

// DueTallyKey names the counters of a site's hour.
type DueTallyKey struct {
	site, id string
	hour     time.Time
}

func newMemStore(org *policy.Organization, now func() time.Time) *memStore {
	return &memStore{org: org, now: now, flows: map[FlowID]*memFlow{}, once: map[CommitKey]memOutcome{}, last: map[LastKey]FlowID{},
		sessions: map[[32]byte]Session{}, claims: map[string]Claim{}, tallies: map[DueTallyKey]map[string]int64{}, due: map[FlowID]time.Time{},
		records: map[policy.LookupKeys]policy.Records{}, leases: map[int]string{}, subjects: map[policy.AccountKey]SubjectRecords{},
		links: map[IdentityKey]Link{}}
}

func (m *memStore) stored(o memOutcome, request Digest) (*Outcome, error) {
	if o.request != request {
		return nil, errs.New(errs.AlreadyExists, ErrRequestIDReused, "reused")
	}
	first := o.o
	return &first, nil
}

func (m *memStore) Read(_ context.Context, r Read) (*Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trips++
	if m.down != nil {
		return nil, m.down
	}
	out := &Reading{}
	if r.Organization {
		out.Organization = m.org
	}
	f := m.flows[r.Flow]
	if f != nil && f.l.State.OrganizationUID == r.OrganizationUID {
		l := f.l
		out.Flow = &l
	}
	if r.Key != (CommitKey{}) {
		o, ok := m.once[r.Key]
		if !r.Flow.IsZero() {
			ok = false
			if f != nil {
				o, ok = f.outcomes[r.Key]
			}
		}
		if ok {
			var err error
			if out.Outcome, err = m.stored(o, r.Request); err != nil {
				return nil, err
			}
		}
	}
	for _, k := range r.Lookups {
		out.Records = append(out.Records, m.records[k])
	}
	if r.Last != nil {
		out.Last = m.last[*r.Last]
	}
	if s, ok := m.sessions[r.Session]; ok && r.Session != ([32]byte{}) {
		out.Session = &s
	}
	if r.Subject != nil {
		out.Subject = m.subject(*r.Subject)
	}
	if l, ok := m.links[r.Identity]; ok {
		out.Link = &l
	}
	if c, ok := m.claims["code/"+r.SupportCode]; ok {
		out.FlowID, _ = ParseFlowID(c.Value)
	}
	return out, nil
}

func (m *memStore) subject(key policy.AccountKey) *SubjectRecords {
	s := m.subjects[key]
	s.Key = key
	return &s
}

// Authenticators lists subjects that have one.
func (m *memStore) Authenticators(_ context.Context, _ string, after policy.AccountKey, limit int) ([]SubjectRecords, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []SubjectRecords
	for key := range m.subjects {
		if s := m.subject(key); s.Authenticator != nil && bytes.Compare(key[:], after[:]) > 0 {
			s.Person, s.PersonStamp = nil, policy.Stamp{}
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b SubjectRecords) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out[:min(limit, len(out))], m.down
}

func (m *memStore) Commit(ctx context.Context, c *Commit) (*Committed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trips++
	if m.down != nil {
		return nil, m.down
	}
	if m.before != nil {
		if err := m.before(c); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, errs.Wrap(ctx.Err(), errs.Unavailable, "OUTCOME_UNKNOWN", "cancelled")
	}
	if first, err := m.first(c); first != nil || err != nil {
		return &Committed{Repeated: first}, err
	}
	if conflict := m.conflict(c); conflict != nil {
		return nil, conflict
	}
	done := m.write(c)
	if m.after != nil {
		if err := m.after(c); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func (m *memStore) first(c *Commit) (*Outcome, error) {
	if c.Key == (CommitKey{}) {
		return nil, nil
	}
	if o, ok := m.once[c.Key]; ok && c.OwnKey {
		return m.stored(o, c.Request)
	}
	if c.Flow != nil && !c.OwnKey {
		if f := m.flows[c.Flow.State.ID]; f != nil {
			if o, ok := f.outcomes[c.Key]; ok {
				return m.stored(o, c.Request)
			}
		}
	}
	return nil, nil
}

func (m *memStore) conflict(c *Commit) error {
	var out Conflict
	moved := false
	if c.PolicyStamp != (policy.Stamp{}) && c.PolicyStamp != m.org.PolicyStamp {
		out.Organization, moved = m.org, true
	}
	if w := c.Flow; w != nil {
		f := m.flows[w.State.ID]
		switch {
		case f == nil && !w.From.IsZero():
			out.Gone, moved = true, true
		case f != nil && (f.l.Stamp != w.From || f.l.SupersededBy.IsZero() == w.EndsMarked):
			l := f.l
			out.Flow, moved = &l, true
		}
	}
	if c.Last != nil && m.last[c.Last.Key] != c.Last.Expect {
		out.LastMoved, moved = true, true
	}
	if c.Session != nil && c.Session.IsNew {
		if _, taken := m.sessions[c.Session.Handle]; taken {
			out.SessionTaken, moved = true, true
		}
	}
	if w := c.Session; w != nil && !w.IsNew && w.From != m.sessions[w.Handle].Stored {
		out.SessionTaken, moved = true, true
	}
	if w := c.Authenticator; w != nil && m.subjects[w.Subject].AuthenticatorStamp != w.From {
		out.Subject, moved = m.subject(w.Subject), true
	}
	if w := c.Person; w != nil && m.subjects[w.Subject].PersonStamp != w.From {
		out.Subject, moved = m.subject(w.Subject), true
	}
	for i, cl := range c.Claims {
		if have, ok := m.claims[cl.Kind+"/"+cl.Name]; ok && have.Value != cl.Value && out.Claimed == nil {
			out.Claimed, out.Holder, moved = &c.Claims[i], have.Value, true
		}
	}
	if w := c.Link; w != nil && w.From != m.links[w.Identity].Stored {
		out.LinkMoved, moved = true, true
	}
	if !moved {
		return nil
	}
	return &out
}

func (m *memStore) write(c *Commit) *Committed {
	m.counter++
	done := &Committed{Recorded: m.now()}
	binary.BigEndian.PutUint64(done.Stamp[:8], m.counter)
	copy(done.Stamp[8:], "memstore")
	o := memOutcome{request: c.Request}
	if c.Outcome != nil {
		o.o = *c.Outcome
	}
	if w := c.Flow; w != nil {
		f := m.flows[w.State.ID]
		if f == nil {
			f = &memFlow{outcomes: map[CommitKey]memOutcome{}}
			m.flows[w.State.ID] = f
		}
		f.l.State, f.l.Stamp = w.State, done.Stamp
		if c.Key != (CommitKey{}) && !c.OwnKey {
			f.outcomes[c.Key] = o
		}
		m.due[w.State.ID] = w.State.Deadline
		if w.State.Phase == PhaseEnded {
			delete(m.due, w.State.ID)
		}
	}
	if c.OwnKey {
		m.once[c.Key] = o
	}
	if l := c.Last; l != nil {
		m.last[l.Key] = l.Next
		if f := m.flows[l.Expect]; f != nil && f.l.State.Phase != PhaseEnded && f.l.SupersededBy.IsZero() {
			f.l.SupersededBy = l.Next
			m.due[l.Expect] = m.now()
		}
	}
	if c.Session != nil {
		s := c.Session.Session
		s.Stored = fmt.Sprint("stored-", m.counter)
		m.sessions[c.Session.Handle] = s
	}
	if w := c.Authenticator; w != nil && w.Next != nil {
		s := m.subjects[w.Subject]
		s.Authenticator, s.AuthenticatorStamp = w.Next, done.Stamp
		if m.subjects[w.Subject] = s; !m.untold {
			done.AuthenticatorStamp = done.Stamp
		}
	}
	if w := c.Person; w != nil && w.Next != nil {
		s := m.subjects[w.Subject]
		s.Person, s.PersonStamp = w.Next, done.Stamp
		if m.subjects[w.Subject] = s; !m.untold {
			done.PersonStamp = done.Stamp
		}
	}
	m.writeLink(c.Link)
	for _, cl := range c.Claims {
		m.claims[cl.Kind+"/"+cl.Name] = cl
	}
	for _, t := range c.Tallies {
		k := DueTallyKey{t.SiteUID, t.Site, t.Hour}
		if m.tallies[k] == nil {
			m.tallies[k] = map[string]int64{}
		}
		m.tallies[k][t.Field]++
	}
	m.outbox = append(m.outbox, c.Events...)
	return done
}

func (m *memStore) writeLink(w *LinkWrite) {
	switch {
	case w == nil:
	case w.Remove:
		delete(m.links, w.Identity)
	case w.Next != nil:
		l := *w.Next
		l.Stored = fmt.Sprint("stored-", m.counter)
		m.links[w.Identity] = l
	}
}

func (m *memStore) Due(_ context.Context, _ []int, now time.Time, limit int) ([]DueFlow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	var out []DueFlow
	for id, at := range m.due {
		if !at.After(now) && len(out) < limit {
			out = append(out, DueFlow{m.org.UID, id})
		}
	}
	return out, nil
}

func (m *memStore) DueTallies(_ context.Context, _ []int, closed time.Time, limit int) ([]DueTally, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []DueTally
	for k, counts := range m.tallies {
		if !k.hour.Add(time.Hour).After(closed) && len(out) < limit {
			out = append(out, DueTally{m.org.UID, k.site, k.id, k.hour, maps.Clone(counts), ""})
		}
	}
	return out, m.down
}

func (m *memStore) CloseTally(_ context.Context, t DueTally, e audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := DueTallyKey{t.SiteUID, t.Site, t.Hour}
	if !maps.Equal(m.tallies[k], t.Counts) {
		return &Conflict{}
	}
	delete(m.tallies, k)
	m.outbox = append(m.outbox, e)
	return nil
}

func (m *memStore) Lease(_ context.Context, partitions []int, what, holder string) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	held := make([]bool, len(partitions))
	for i, p := range partitions {
		if h := m.leases[p]; h == "" && what != "" {
			m.leases[p] = holder
		}
		held[i] = m.leases[p] == holder
	}
	return held, nil
}
