package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// resourceFlags are what commands that make, change or remove a resource have in common.
type resourceFlags struct {
	etag, reason, requestID, admin string
	check, force                   bool
}

// flags defines them: a command that may lock somebody out also has guarded ones, one that can be tried --dry-run.
func (r *resourceFlags) flags(a *app, cmd *cobra.Command, dry, guarded bool) {
	f := cmd.Flags()
	f.StringVar(&r.etag, "etag", "", "version of the organization the change is based on (default: whatever there is)")
	f.StringVar(&r.reason, "reason", "", "why; kept in the record")
	f.StringVar(&r.requestID, "request-id", "", "idempotency key (default: a new one)")
	if dry {
		f.BoolVar(&r.check, "dry-run", false, "say what would come of it, and change nothing")
	}
	if guarded {
		a.guardFlags(cmd, &r.force, &r.admin)
	}
}

// guardFlags are how a command is told whom a change must not lock out, and that it may.
func (a *app) guardFlags(cmd *cobra.Command, force *bool, admin *string) {
	f := cmd.Flags()
	f.BoolVar(force, "force", false, "make the change although it locks people out; kept in the record")
	f.StringVar(admin, "admin-email", a.getenv("POSTERN_ADMIN_EMAIL", ""), "your own address: a change that would deny you is refused too (POSTERN_ADMIN_EMAIL)")
}

func (r *resourceFlags) id() string {
	if r.requestID == "" {
		r.requestID = newRequestID()
	}
	return r.requestID
}

// given is the mask of the flags that a command line has, by the fields they set. Without any there is nothing to change.
func given(cmd *cobra.Command, fields map[string]string) (*fieldmaskpb.FieldMask, error) {
	mask := &fieldmaskpb.FieldMask{}
	var names []string
	for flag, field := range fields {
		names = append(names, "--"+flag)
		if cmd.Flags().Changed(flag) {
			mask.Paths = append(mask.Paths, field)
		}
	}
	if len(mask.GetPaths()) == 0 {
		return nil, usagef("nothing to change: give one of %s", strings.Join(sorted(names), ", "))
	}
	mask.Paths = sorted(mask.GetPaths())
	return mask, nil
}
