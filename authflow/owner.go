package authflow

import (
	"sync"

	"github.com/postern-audit/postern/policy"
)

// owners remembers whose identities were: a guess at what else a call will have to read, which the link that is read with it
// confirms. Nothing rests on it.
type owners struct {
	mu    sync.Mutex
	limit int
	known map[IdentityKey]string
}

func newOwners(limit int) *owners { return &owners{limit: limit, known: make(map[IdentityKey]string)} }

func (o *owners) of(k IdentityKey) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known[k]
}

func (o *owners) note(l *Link) {
	if l == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.known) >= o.limit {
		clear(o.known)
	}
	o.known[l.Identity] = l.AccountID
}

// owned takes the link of the identity that was judged. Whose it is says the link; what was looked up for somebody else is
// looked up again.
func (c *call) owned(l *Link) {
	c.link, c.linkRead = l, true
	c.f.owners.note(l)
	account := policy.AccountKey{}
	if l != nil {
		account = c.f.c.Namer.AccountKey(c.uid, l.AccountID)
	}
	c.naming = account
	if c.binder.Account != account {
		c.binder.Account, c.looked, c.records, c.subject = account, false, policy.Records{}, nil
	}
}

// moved takes what a lost race says of claims and links.
func (c *call) moved(conflict *Conflict) error {
	if conflict.LinkMoved {
		if c.identity == (IdentityKey{}) {
			return refuse(ErrIdentityLinked)
		}
		c.linkRead = false
	}
	if conflict.Claimed != nil && c.taken != nil {
		return c.taken(conflict)
	}
	return nil
}

// linkWrite is what becomes of the link of the identity the flow is bound to: it is made or kept up to date. One that was read
// must still stand when what it let in is committed.
func (c *call) linkWrite(m *Moved) *LinkWrite { return c.f.linkWrite(c.uid, c.identity, c.link, m) }

func (f *Flows) linkWrite(uid string, identity IdentityKey, read *Link, m *Moved) *LinkWrite {
	if m.Link == nil && identity == (IdentityKey{}) {
		return nil
	}
	w := &LinkWrite{Identity: identity}
	if read != nil {
		w.From, w.Account = read.Stored, read.AccountKey
	}
	if m.Link != nil {
		next := *m.Link
		next.AccountKey = f.c.Namer.AccountKey(uid, next.AccountID)
		w.Identity, w.Next, w.Account = next.Identity, &next, next.AccountKey
	}
	return w
}
