package redisdirectory

import (
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

// Bounds of what a process keeps: how many policy records, and how many bytes they have as stored. In memory a record takes a few
// times as much.
const (
	maxCached      = 16384
	maxCachedBytes = 64 << 20
)

// Cache keeps policy records by their stamp, and gives organization keys to the sealer as it meets them. The directory and
// the flow store of a process share one. Safe for concurrent use.
type Cache struct {
	keys  audit.Keys
	mu    sync.RWMutex
	all   map[string]cached // by uid; organizations are never changed
	bytes int               // of all, as stored
}

type cached struct {
	o    *policy.Organization
	size int // as stored
}

// NewCache returns an empty cache that adds organization keys to keys.
func NewCache(keys audit.Keys) *Cache {
	return &Cache{keys: keys, all: map[string]cached{}}
}

// Peek returns the record as last seen, nil when there is none.
func (c *Cache) Peek(uid string) *policy.Organization {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.all[uid].o
}

// Known returns what a script is told so that it sends the record only when it moved: known's policy stamp.
func Known(known *policy.Organization) []byte {
	if known == nil {
		return nil
	}
	return known.PolicyStamp[:]
}

// Fields of an organization as scripts send them: {ps, st, rev, ut} and, unless the policy stamp was known, {…, id, ct, key,
// un, p}.
const (
	atPolicyStamp = iota
	atStamp
	atRevision
	atUpdated
	atID
	atCreated
	atKey
	atUnreadable
	atRecord
	shortFields = atID
)

// Fill returns the organization that a script answered with, taking what the answer leaves out from known, the record whose
// stamp the script was told (nil: none). A record with an unknown stamp is decoded and kept.
func (c *Cache) Fill(uid string, known *policy.Organization, r *redisx.Reply) (*policy.Organization, error) {
	policyStamp, err := stampOf(r.Text(atPolicyStamp))
	if err != nil {
		return nil, err
	}
	stamp, err := stampOf(r.Text(atStamp))
	if err != nil {
		return nil, err
	}
	var o *policy.Organization
	size := 0 // as it was
	if r.Len() <= shortFields {
		if known == nil || known.PolicyStamp != policyStamp {
			return nil, errs.New(errs.Internal, "STORE_REPLY", "the store left out a policy record that is not known")
		}
		if known.Stamp == stamp {
			return known, nil
		}
		o = shallow(known)
	} else if o, size, err = c.decode(uid, r); err != nil {
		return nil, err
	}
	o.PolicyStamp, o.Stamp, o.Revision = policyStamp, stamp, r.Int(atRevision)
	o.Updated = time.UnixMilli(r.Int(atUpdated)).UTC()
	if err := r.Err(); err != nil {
		return nil, err
	}
	c.put(o, size)
	return o, nil
}

func shallow(o *policy.Organization) *policy.Organization {
	fresh := *o
	return &fresh
}

func (c *Cache) decode(uid string, r *redisx.Reply) (o *policy.Organization, size int, err error) {
	record, ok := r.Find(atRecord)
	if !ok {
		return nil, 0, errs.New(errs.Internal, "RECORD_MALFORMED", "a stored organization has no policy record")
	}
	if o, err = decodeOrganization([]byte(record), r.Text(atUnreadable) == unreadableAllow); err != nil {
		return nil, 0, err
	}
	if o.UID != uid {
		return nil, 0, errs.New(errs.Internal, "RECORD_MALFORMED", "a stored organization has another uid than its key")
	}
	o.Created = time.UnixMilli(r.Int(atCreated)).UTC()
	o.Key = audit.OrganizationKey{OrganizationUID: uid, Wrapped: []byte(r.Text(atKey))}
	return o, len(record), c.keys.Add(o.Key)
}

// put keeps the newer of two records: an answer may arrive after a younger one. Size 0 is that of the record it replaces; when that
// has gone meanwhile, nothing is kept.
func (c *Cache) put(o *policy.Organization, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, known := c.all[o.UID]
	if known && have.o.Revision > o.Revision || !known && size == 0 {
		return
	}
	if size == 0 {
		size = have.size
	}
	c.bytes += size - have.size
	c.all[o.UID] = cached{o, size}
	for uid, other := range c.all { // any other one goes: it is read again when needed
		if len(c.all) <= maxCached && c.bytes <= maxCachedBytes {
			return
		}
		if uid != o.UID {
			delete(c.all, uid)
			c.bytes -= other.size
		}
	}
}

// The field "un": what an organization chose for an unreadable policy. It stands apart from the policy, so that it can be
// read when the policy cannot.
const (
	unreadableAllow = "ALLOW"
	unreadableDeny  = "DENY"
)

func stampOf(s string) (policy.Stamp, error) {
	if len(s) != len(policy.Stamp{}) {
		return policy.Stamp{}, errs.New(errs.Internal, "RECORD_MALFORMED", "a stored stamp has another length")
	}
	return policy.Stamp([]byte(s)), nil
}
