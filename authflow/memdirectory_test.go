package authflow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// RevokeProofs moves the bound of a site or of the organization, like the keeper of policy records does.
func (m *memStore) RevokeProofs(_ context.Context, _, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.once[key.Key]; ok {
		first, err := m.stored(o, key.Digest)
		if err != nil {
			return time.Time{}, "", err
		}
		r, err := decodeRevoked(first.Sealed)
		return r.NotBefore, r.Event, err
	}
	m.counter++
	m.org = changed(m.org, func(o *policy.Organization) {
		o.PolicyStamp = stampOf(byte(100 + m.counter))
		if siteUID == "" {
			o.ProofsNotBefore = notBefore
			return
		}
		for i := range o.Sites {
			if o.Sites[i].UID == siteUID {
				o.Sites[i].ProofsNotBefore = notBefore
			}
		}
	})
	r := Revoked{NotBefore: notBefore, Event: ev.ID}
	m.once[key.Key] = memOutcome{request: key.Digest, o: Outcome{Sealed: r.encode()}}
	m.outbox = append(m.outbox, ev)
	return notBefore, ev.ID, nil
}

var _ LinkStore = (*memStore)(nil)

// Links lists identities; a place is account and identity.
func (m *memStore) Links(_ context.Context, _ string, account policy.AccountKey, after string, limit int) ([]Link, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	place := func(l Link) string { return fmt.Sprintf("%x:%x", l.AccountKey, l.Identity) }
	var out []Link
	for _, l := range m.links {
		if (account == policy.AccountKey{} || l.AccountKey == account) && place(l) > after {
			out = append(out, l)
		}
	}
	slices.SortFunc(out, func(a, b Link) int { return strings.Compare(place(a), place(b)) })
	if len(out) <= limit {
		return out, "", m.down
	}
	return out[:limit], place(out[limit-1]), m.down
}

// memDirectory is the organization as one process last saw it, which may lag behind the store's.
type memDirectory struct {
	mu    sync.Mutex
	store *memStore
	known *policy.Organization
}

func (d *memDirectory) Resolve(_ context.Context, id string) (string, error) {
	if id == "other" {
		return "01890000-0000-7000-8000-0000000000ff", nil
	}
	if id != d.store.org.ID {
		return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "none")
	}
	return d.store.org.UID, nil
}

func (d *memDirectory) Organization(context.Context, string) (*policy.Organization, error) {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	d.store.trips++
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known = d.store.org
	return d.known, nil
}

func (d *memDirectory) Cached(_ context.Context, uid string) (*policy.Organization, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if uid != d.known.UID {
		return changed(d.known, func(o *policy.Organization) { o.UID, o.ID = uid, "other" }), nil
	}
	return d.known, nil
}

func (d *memDirectory) Organizations(context.Context, string, int) ([]policy.Organization, error) {
	return nil, nil
}

func (d *memDirectory) Domains(context.Context, string, policy.Domain, int) (policy.DomainPage, error) {
	return policy.DomainPage{}, nil
}

// ordered returns a flow's events of the outbox, in the order they were written.
func (m *memStore) ordered(id FlowID) []audit.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.outbox), func(e audit.Event) bool { return e.Flow != id.String() })
}

// recordProblem says what is wrong with the record of every flow in the store, "" when nothing is.
func (m *memStore) recordProblem() string {
	m.mu.Lock()
	flows := maps.Clone(m.flows)
	m.mu.Unlock()
	for id, f := range flows {
		steps := slices.DeleteFunc(m.ordered(id), func(e audit.Event) bool { return e.Step == 0 })
		if problem := wrong(f.l.State, steps); problem != "" {
			return fmt.Sprintf("%s: %s", id, problem)
		}
	}
	return ""
}
