package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// mend is a command of the help desk about one authenticator. make builds and sends its call.
func (a *app) mend(verb, short, long string, send func(ctx context.Context, c *client.Client, name, reason string) (*posternv1.Authenticator, error)) *cobra.Command {
	var w whose
	var reason string
	cmd := &cobra.Command{
		Use: verb + " AUTHENTICATOR", Short: short, Long: long + " " + byName,
		Example: "  postern authenticator " + verb + ` acme --account-id acct-mia --reason "called from the number we know"`,
		Args:    exactly("AUTHENTICATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usagef("--reason is needed: it goes on the record")
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				name, err := w.find(ctx, c, args[0])
				if err != nil {
					return err
				}
				m, err := send(ctx, c, name, reason)
				if err != nil {
					return err
				}
				return a.showAuthenticator(m)
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the record")
	return cmd
}

func (a *app) authenticatorUnlock() *cobra.Command {
	return a.mend("unlock", "End a lock after too many wrong codes",
		"End a lock after too many wrong codes. Codes that were used stay used. A disabled factor cannot be unlocked, only reset.",
		func(ctx context.Context, c *client.Client, name, reason string) (*posternv1.Authenticator, error) {
			return client.Repeat(ctx, c.Authenticators.UnlockAuthenticator, &posternv1.UnlockAuthenticatorRequest{Name: name, RequestId: newRequestID(), Reason: reason})
		})
}

func (a *app) authenticatorReset() *cobra.Command {
	return a.mend("reset", "Take a factor away, so that the person can enrol anew",
		"Take a factor away with its recovery codes, so that the person can enrol anew. Be sure who is asking.",
		func(ctx context.Context, c *client.Client, name, reason string) (*posternv1.Authenticator, error) {
			return client.Repeat(ctx, c.Authenticators.ResetAuthenticator, &posternv1.ResetAuthenticatorRequest{Name: name, RequestId: newRequestID(), Reason: reason})
		})
}

func (a *app) authenticatorRecoveryCodes() *cobra.Command {
	var w whose
	var flow, reason string
	cmd := &cobra.Command{
		Use:   "recovery-codes AUTHENTICATOR",
		Short: "Make new recovery codes, and show them once",
		Long: `Make ten new recovery codes, and show them once. Each can be used once in place of a one-time code; those made before count
no more. ` + byName,
		Example: `  postern authenticator recovery-codes acme --account-id acct-mia --reason "lost the sheet, known by voice"`,
		Args:    exactly("AUTHENTICATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flow == "" && reason == "" {
				return usagef("--flow or --reason is needed")
			}
			if flow != "" {
				var err error
				if flow, err = resource(flow, "flows"); err != nil {
					return err
				}
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				name, err := w.find(ctx, c, args[0])
				if err != nil {
					return err
				}
				answer, err := client.Repeat(ctx, c.Authenticators.GenerateRecoveryCodes, &posternv1.GenerateRecoveryCodesRequest{
					Name: name, RequestId: newRequestID(), Flow: flow, Reason: reason})
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				for _, code := range answer.GetCodes() {
					fmt.Fprintln(a.stdout, printable.Escape(code))
				}
				return nil
			})
		},
	}
	w.flags(cmd)
	cmd.Flags().StringVar(&flow, "flow", "", "the person's flow, ORGANIZATION/FLOW, with every demand met")
	cmd.Flags().StringVar(&reason, "reason", "", "why the help desk does it without a flow; kept in the record")
	return cmd
}

func (a *app) authenticatorRevokeProofs() *cobra.Command {
	var account, site, reason string
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke-proofs ORGANIZATION",
		Short: "Make what was proven before now count no more",
		Long: `Make what was proven before now count no more: a password, a single sign-on, a second factor that is remembered. Who comes
with a session or token has to prove it again, from the next call on. It is about one account, everybody at one site, or
everybody in the organization.`,
		Example: `  postern authenticator revoke-proofs acme --account-id acct-mia --reason "laptop stolen"
  postern authenticator revoke-proofs acme --site wiki --reason "session store leaked"
  postern authenticator revoke-proofs acme --all --reason "yearly"`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			r := &posternv1.RevokeProofsRequest{Parent: parent, RequestId: newRequestID(), Reason: reason}
			given := 0
			if account != "" {
				given++
				r.Scope = &posternv1.RevokeProofsRequest_AccountId{AccountId: account}
			}
			if site != "" {
				given++
				r.Scope = &posternv1.RevokeProofsRequest_Site{Site: site}
			}
			if all {
				given++
				r.Scope = &posternv1.RevokeProofsRequest_Organization{Organization: true}
			}
			if given != 1 {
				return usagef("give one of --account-id, --site and --all")
			}
			if reason == "" {
				return usagef("--reason is needed: it goes on the record")
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Authenticators.RevokeProofs, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				fmt.Fprintf(a.stdout, "what was proven before %s counts no more (event %s)\n", show.Time(answer.GetNotBefore()), printable.Escape(answer.GetEvent()))
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&account, "account-id", "", "one account's")
	f.StringVar(&site, "site", "", "everybody's at one site: its id")
	f.BoolVar(&all, "all", false, "everybody's in the organization")
	f.StringVar(&reason, "reason", "", "why; kept in the record")
	return cmd
}
