package past

import (
	"context"
	"math"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Revisions is every revision of policies: what the live store keeps joined with what the archive has. That is more when there
// were more revisions than are kept, and when the store was set back: the archive then has what the store lost.
type Revisions struct{ past *Past }

var _ policy.History = Revisions{}

// Revisions returns the history of policies as a whole.
func (p *Past) Revisions() Revisions { return Revisions{p} }

// PolicyRevision implements policy.History.
func (r Revisions) PolicyRevision(ctx context.Context, uid string, at int64) (*policy.Revision, error) {
	p := r.past
	recent, notKept := p.Recent.PolicyRevision(ctx, uid, at)
	switch {
	case notKept != nil && !errs.Is(notKept, policy.ReasonRevisionNotFound):
		return nil, notKept
	case notKept == nil && recent.Number == at:
		return recent, nil
	}
	o, err := p.Directory.Organization(ctx, uid)
	if err != nil {
		return nil, err
	}
	if at < 1 || at > o.Revision {
		return nil, notKept
	}
	list, err := p.Archive.Versions(ctx, audit.VersionQuery{OrganizationUID: uid, Before: at + 1, PolicyOnly: true, WithRecords: true, Limit: 1})
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0 || notKept == nil && recent.Number >= list[0].Revision:
		return recent, notKept
	}
	return p.revision(&list[0])
}

// PolicyRevisions implements policy.History.
func (r Revisions) PolicyRevisions(ctx context.Context, uid string, before int64, limit int) ([]policy.Revision, error) {
	p := r.past
	recent, err := p.Recent.PolicyRevisions(ctx, uid, before, limit)
	if err != nil {
		return nil, err
	}
	list, err := p.Archive.Versions(ctx, audit.VersionQuery{OrganizationUID: uid, Before: before, PolicyOnly: true, Limit: limit})
	if err != nil {
		return nil, err
	}
	out := make([]policy.Revision, 0, limit)
	for last := int64(math.MaxInt64); len(out) < limit && len(recent)+len(list) > 0; last = out[len(out)-1].Number {
		switch {
		case len(list) > 0 && list[0].Revision >= last:
			list = list[1:] // told already
		case len(list) == 0 || len(recent) > 0 && recent[0].Number >= list[0].Revision:
			out, recent = append(out, recent[0]), recent[1:]
		default:
			archived, err := p.revision(&list[0])
			if err != nil {
				return nil, err
			}
			out, list = append(out, *archived), list[1:]
		}
	}
	return out, nil
}
