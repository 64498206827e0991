package redisdirectory

import (
	"context"
	"strconv"

	"github.com/postern-audit/postern/internal/redisx"
)

// RaiseRevision lifts an organization's revision to one that the archive has seen: the store was set back, and a revision must
// never name two states. It is for recovery alone, before anything is served.
func (d *Directory) RaiseRevision(ctx context.Context, uid string, revision int64) error {
	key := d.keys.Of(uid).Organization(uid)
	return redisx.Classify(d.client.HSet(ctx, key, "rev", strconv.FormatInt(revision, 10)).Err(), true)
}
