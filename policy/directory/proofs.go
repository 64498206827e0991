package directory

import (
	"context"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// kindProofs marks, in the progress of a revocation, the moment before which proofs count no more, in nanoseconds.
const kindProofs = "PROOFS_NOT_BEFORE"

// maxMoves is how often a revocation is tried again when the organization has changed meanwhile.
const maxMoves = 5

// Bounds moves the moments before which proofs count no more. It implements authflow.ProofBounds.
type Bounds struct {
	directory policy.Directory
	writer    policy.DirectoryWriter
}

// NewBounds returns bounds kept in the organizations' policy records.
func NewBounds(d policy.Directory, w policy.DirectoryWriter) *Bounds {
	return &Bounds{directory: d, writer: w}
}

// RevokeProofs moves the bound of a site, or of the whole organization when siteUID is empty, with its event. A bound only ever
// moves forward: a later one stays. A key that was used before returns what was committed then.
func (b *Bounds) RevokeProofs(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error) {
	for range maxMoves {
		first, err := b.writer.Progress(ctx, organizationUID, key)
		if err != nil {
			return time.Time{}, "", err
		}
		if first != nil {
			return revoked(first)
		}
		at, change, err := b.change(ctx, organizationUID, siteUID, notBefore, ev)
		if err != nil {
			return time.Time{}, "", err
		}
		change.Request, change.Progress, change.Done = key, []policy.Applied{{Kind: kindProofs, Count: int(at.UnixNano())}}, true
		switch _, _, err = b.writer.Commit(ctx, change); {
		case err == nil:
			return at, ev.ID, nil
		case !errs.Is(err, "ETAG_MISMATCH"):
			return time.Time{}, "", err
		}
	}
	return time.Time{}, "", errs.New(errs.Conflict, "CONFLICT", "the organization kept changing; send the same call with the same request id")
}

// change works out the organization with its bound moved.
func (b *Bounds) change(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event) (time.Time, policy.Change, error) {
	current, err := b.directory.Organization(ctx, organizationUID)
	if err != nil {
		return time.Time{}, policy.Change{}, err
	}
	next := *current
	bound := &next.ProofsNotBefore
	if siteUID != "" {
		next.Sites = slices.Clone(current.Sites)
		i := slices.IndexFunc(next.Sites, func(s policy.Site) bool { return s.UID == siteUID })
		if i < 0 {
			return time.Time{}, policy.Change{}, errs.New(errs.NotFound, "SITE_NOT_FOUND", "the organization has no such site")
		}
		bound = &next.Sites[i].ProofsNotBefore
	}
	before := *bound
	if notBefore.After(before) {
		*bound = notBefore
	}
	e := ev
	e.Changes = append(slices.Clone(ev.Changes), audit.Change{Field: "proofs_not_before", Before: moment(before), After: moment(*bound)})
	return *bound, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{e}}, nil
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// revoked reads the first answer of a revocation back.
func revoked(p *policy.Progress) (time.Time, string, error) {
	var at time.Time
	id := ""
	for _, c := range p.Commits {
		if c.Kind == kindProofs {
			at = time.Unix(0, int64(c.Count)).UTC()
		}
		if len(c.Events) > 0 {
			id = c.Events[0]
		}
	}
	if at.IsZero() || id == "" {
		return time.Time{}, "", errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return at, id, nil
}
