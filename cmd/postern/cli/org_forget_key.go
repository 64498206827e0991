package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) orgForgetKey() *cobra.Command {
	r := &posternv1.DestroyOrganizationKeyRequest{}
	cmd := &cobra.Command{
		Use:   "forget-key ORGANIZATION --confirm ORGANIZATION",
		Short: "Destroy the key of an organization that is disabled, for good",
		Long: `Destroy the key that everything personal of an organization is encrypted with, in the store and in the archive. Its record stays, with types,
reasons, times and counts, and says of nobody who it was; nothing can bring that back but a backup of the key made before, so destroy those
too. The organization must be disabled, and its sign-ins under way must have ended; afterwards nobody can sign in to it again, also if it is enabled.
See docs/erasure.md.`,
		Example: `  postern org update acme --disabled && postern org forget-key acme --confirm acme`,
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = resource(args[0], ""); err != nil {
				return err
			}
			if r.GetConfirm() == "" {
				return usagef("--confirm is needed: the organization's id once more. This cannot be undone")
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if _, err := client.Repeat(ctx, c.Directory.DestroyOrganizationKey, r); err != nil {
					return err
				}
				if a.json() {
					return a.write([]byte("{}\n"))
				}
				_, err := fmt.Fprintf(a.stdout, "destroyed the key of %s\n", printable.Escape(r.GetName()))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Confirm, "confirm", "", "the organization's id once more")
	f.StringVar(&r.Etag, "etag", "", "version of the organization this is based on (default: whatever there is)")
	return cmd
}
