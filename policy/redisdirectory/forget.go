package redisdirectory

import (
	"context"
	_ "embed" // the script

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/redisx"
)

//go:embed forget.lua
var forgetText string

// ForgetKey takes an organization's key away without an event: for recovery alone, when the archive knows that it was destroyed and
// a store that was set back has it again. An organization that is not there stays away.
func (d *Directory) ForgetKey(ctx context.Context, uid string) error {
	call := redisx.NewCall(2)
	call.Key(d.keys.Of(uid).Organization(uid))
	call.Arg(audit.DestroyedKey(uid).Wrapped)
	_, err := redisx.NewScript(forgetText).Run(ctx, d.client, call)
	return err
}
