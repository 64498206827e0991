package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) identity() *cobra.Command {
	return group(&cobra.Command{Use: "identity", Short: "Identities at identity providers, and the accounts they are linked to"},
		a.identityList(), a.identityUnlink())
}

func (a *app) identityList() *cobra.Command {
	r := &posternv1.ListIdentitiesRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Identities of an organization that are linked to accounts",
		Example: `  postern identity list acme
  postern identity list acme --account-id acct-mia --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Identity, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Identities.ListIdentities(ctx, r)
					return answer.GetIdentities(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.IdentityHeader(), show.Identity)
			})
		},
	}
	cmd.Flags().StringVar(&r.AccountId, "account-id", "", "only this account's")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	return cmd
}

func (a *app) identityUnlink() *cobra.Command {
	r := &posternv1.UnlinkIdentityRequest{}
	cmd := &cobra.Command{
		Use:   "unlink ORGANIZATION IDENTITY",
		Short: "Take an identity from its account",
		Long: `Take an identity from its account. Its next use is a first use again: the login service has to say whose it is. The identity
is given as list shows it. No session ends by it, and what was proven with it still counts: see "authenticator revoke-proofs".`,
		Example: "  postern identity unlink acme 3f9c0d5e2b7a41868c13f0a9d6e4b25717c8a03be95d4f62a1e07b3c48d96f50 --reason \"left the partner, says their administrator\"",
		Args:    exactly("ORGANIZATION", "IDENTITY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			switch {
			case err != nil:
				return err
			case args[1] == "" || strings.Contains(args[1], "/"):
				return usagef("%q must be an identity as \"identity list\" shows it: 64 hexadecimal digits", args[1])
			case r.GetReason() == "":
				return usagef("--reason is needed: it goes on the record")
			}
			r.Name, r.RequestId = parent+"/identities/"+args[1], newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Identities.UnlinkIdentity, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				fmt.Fprintf(a.stdout, "unlinked %s\n", printable.Escape(r.GetName()))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}
