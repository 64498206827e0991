package redisdirectory

import (
	"context"
	_ "embed" // the script

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

//go:embed raise.lua
var raiseText string

// RaiseRevision makes an organization's revision greater than the one given, with stamps that never were: for recovery
// alone, when the archive has seen later revisions than a store that was set back. One that is greater already stays.
func (d *Directory) RaiseRevision(ctx context.Context, uid string, revision int64) error {
	for range 3 {
		o, err := d.Organization(ctx, uid)
		if err != nil || o.Revision > revision {
			return err
		}
		stamp, err := newStamp(revision + 1)
		if err != nil {
			return err
		}
		call := redisx.NewCall(6)
		call.Key(d.keys.Of(uid).Organization(uid))
		call.Arg(o.Stamp[:], stamp[:], revision+1, stamp[:])
		reply, err := redisx.NewScript(raiseText).Run(ctx, d.client, call)
		if err != nil || reply == "OK" {
			return err
		}
	}
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization is changing; try again")
}
