package directory

import (
	"context"
	"time"

	"github.com/postern-audit/postern/policy"
)

// AsOf says which policy is asked for; the zero value: the one that is. At most one field is given.
type AsOf struct {
	Revision int64     // in force at this revision
	Time     time.Time // in force at this moment
}

// then returns the policy as it was at a moment, with what stood beside it.
func (p *Policies) then(ctx context.Context, uid string, at time.Time) (PolicyState, error) {
	m, err := p.Past.At(ctx, uid, at)
	if err != nil {
		return PolicyState{}, err
	}
	r, err := p.Past.Written(ctx, m)
	if err != nil {
		return PolicyState{}, err
	}
	s := stateOf(m.Organization)
	s.Revision, s.Written, s.Past, s.At, s.Change = r.Number, r.Event.Time, true, at, r
	return s, nil
}

// whole is the history with what the archive has, where that is wired.
func (p *Policies) whole() policy.History {
	if p.Whole == nil {
		return p.History
	}
	return p.Whole
}
