package redisdirectory

import (
	"context"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// maxRevokeTries bounds how often a revocation begins anew because the organization changed meanwhile: an import changes it
// with every commit.
const maxRevokeTries = 64

// RevokeProofs makes proofs of before the given moment count no more, at a site (by uid) or, when siteUID is empty, in the whole
// organization: bound, policy stamp, event and key move in one commit. A bound never moves back. A key that was used for the
// same request changes nothing and returns the first answer; used for another one it is REQUEST_ID_REUSED. It returns the bound
// and the id of the event as they were committed. It implements authflow.ProofBounds.
func (d *Directory) RevokeProofs(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error) {
	if notBefore.IsZero() || key.Key == [32]byte{} || ev.OrganizationUID != organizationUID {
		return time.Time{}, "", errs.New(errs.Internal, "REVOKE_INCOMPLETE", "a revocation needs a moment, a key and an event of its organization")
	}
	for range maxRevokeTries {
		now, err := d.Organization(ctx, organizationUID)
		if err != nil {
			return time.Time{}, "", err
		}
		// In this order: the same call, if it is committed after this look at its key, moves the stamp that was read before.
		if at, event, err := d.revoked(ctx, organizationUID, key); err != nil || event != "" {
			return at, event, err
		}
		next, before, bound, err := bounded(now, siteUID, notBefore)
		if err != nil {
			return time.Time{}, "", err
		}
		e := ev
		e.Changes = append(slices.Clone(ev.Changes), audit.Change{Field: "proofs_not_before", Before: written(before), After: written(bound)})
		_, _, err = d.write(ctx, policy.Change{
			Organization: next, WritePolicy: true, Events: []audit.Event{e}, Request: key, Done: true,
		}, bound)
		if err == nil {
			return bound, ev.ID, nil
		}
		if !errs.Is(err, "ETAG_MISMATCH") {
			return time.Time{}, "", err
		}
	}
	return time.Time{}, "", errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization keeps changing; try again")
}

// revoked is the first answer to a revocation with this key, an empty event when there is none.
func (d *Directory) revoked(ctx context.Context, organizationUID string, key policy.ApplyKey) (time.Time, string, error) {
	m, _, err := d.progress(ctx, organizationUID, key)
	if m == nil || err != nil {
		return time.Time{}, "", err
	}
	if m.GetProofsNotBefore() == nil || len(m.GetCommits()) != 1 || len(m.GetCommits()[0].GetEvents()) != 1 {
		return time.Time{}, "", errs.New(errs.Internal, "RECORD_MALFORMED", "what is kept of a revocation cannot be read")
	}
	return m.GetProofsNotBefore().AsTime(), m.GetCommits()[0].GetEvents()[0], nil
}

// bounded is an organization with a bound moved forward, and that bound before and after. A policy that cannot be read cannot be
// written back either: it has to be applied anew first.
func bounded(o *policy.Organization, siteUID string, notBefore time.Time) (next *policy.Organization, before, after time.Time, err error) {
	if o.Unreadable {
		return nil, before, after, errs.New(errs.FailedPrecondition, "POLICY_UNREADABLE", "the stored policy cannot be read: apply the organization's document first")
	}
	next = shallow(o)
	if siteUID == "" {
		next.ProofsNotBefore = latest(o.ProofsNotBefore, notBefore)
		return next, o.ProofsNotBefore, next.ProofsNotBefore, nil
	}
	i := slices.IndexFunc(o.Sites, func(s policy.Site) bool { return s.UID == siteUID })
	if i < 0 {
		return nil, before, after, errs.New(errs.NotFound, "SITE_NOT_FOUND", "there is no such site in this organization")
	}
	next.Sites = slices.Clone(o.Sites)
	site := &next.Sites[i]
	before = site.ProofsNotBefore
	site.ProofsNotBefore = latest(before, notBefore)
	return next, before, site.ProofsNotBefore, nil
}

// written is a bound as events tell it.
func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
