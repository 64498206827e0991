package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) authenticator() *cobra.Command {
	return group(&cobra.Command{Use: "authenticator", Short: "Second factors of external users, and what is remembered of them"},
		a.authenticatorEnroll(), a.authenticatorConfirm(), a.authenticatorGet(), a.authenticatorList(), a.authenticatorUnlock(),
		a.authenticatorReset(), a.authenticatorRecoveryCodes(), a.authenticatorImport(), a.authenticatorRevokeProofs())
}

// whose names an authenticator on the command line: by its name, or by organization and account.
type whose struct{ account string }

// byName is how commands about one authenticator are used.
const byName = `The authenticator is given as ORGANIZATION/ID or its full name, as list and enroll show it, or as the organization with
--account-id.`

func (w *whose) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.account, "account-id", "", "the account, where only the organization is given")
}

// find returns the name of the authenticator meant.
func (w *whose) find(ctx context.Context, c *client.Client, arg string) (string, error) {
	if w.account == "" {
		return resource(arg, "authenticators")
	}
	parent, err := resource(arg, "")
	if err != nil {
		return "", err
	}
	r, err := c.Authenticators.ListAuthenticators(ctx, &posternv1.ListAuthenticatorsRequest{Parent: parent, AccountId: w.account})
	if err != nil {
		return "", err
	}
	if len(r.GetAuthenticators()) != 1 {
		return "", fmt.Errorf("%s has no authenticator of this account", parent)
	}
	return r.GetAuthenticators()[0].GetName(), nil
}

// showAuthenticator prints one authenticator.
func (a *app) showAuthenticator(m *posternv1.Authenticator) error {
	if a.json() {
		return a.message(m)
	}
	rows := [][]string{
		{"name", m.GetName()}, {"account", m.GetAccountId()}, {"state", show.Enum("STATE", m.GetState())}, {"uid", m.GetUid()},
		{"codes", codesOf(m)}, {"failures", strconv.Itoa(int(m.GetFailures()))}, {"locked until", show.Time(m.GetLockUntil())},
		{"enrolled", words(show.Time(m.GetEnrollTime()), "by", m.GetEnrolledBy())}, {"in flow", m.GetEnrolledFlow()},
		{"confirmed", show.Time(m.GetConfirmTime())}, {"recovery codes left", strconv.Itoa(int(m.GetRecoveryCodesLeft()))},
		{"new secret waits", strconv.FormatBool(m.GetReplacementPending())},
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows)
}

func codesOf(m *posternv1.Authenticator) string {
	if m.GetAlgorithm() == "" {
		return ""
	}
	return fmt.Sprintf("%d digits every %d s, %s", m.GetDigits(), m.GetPeriod(), m.GetAlgorithm())
}

func (a *app) authenticatorEnroll() *cobra.Command {
	r := &posternv1.EnrollTotpRequest{}
	var digits, period int
	cmd := &cobra.Command{
		Use:   "enroll ORGANIZATION ACCOUNT_ID",
		Short: "Make a TOTP secret for an account, and show it once",
		Long: `Make a TOTP secret for an account, and show it once: as otpauth URI, and as a QR code where standard output is a terminal.
It counts once "authenticator confirm" has seen a code of it. A first factor is enrolled in a flow that has met everything
else (--flow), or by the help desk, which says why (--reason).`,
		Example: `  postern authenticator enroll acme acct-mia --issuer "Acme Wiki" --label mia@gmail.com --reason "phone lost, known by voice"
  postern authenticator enroll acme acct-mia --issuer "Acme Wiki" --label mia@gmail.com --flow acme/0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e`,
		Args: exactly("ORGANIZATION", "ACCOUNT_ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			if r.Flow != "" {
				if r.Flow, err = resource(r.GetFlow(), "flows"); err != nil {
					return err
				}
			}
			if digits < 0 || digits > 8 || period < 0 || period > 120 {
				return usagef("--digits must be 6 to 8, --period 15 to 120")
			}
			r.AccountId, r.RequestId, r.Digits, r.Period = args[1], newRequestID(), int32(digits), int32(period)
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Authenticators.EnrollTotp, r)
				if err != nil {
					return err
				}
				return a.enrolled(answer)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Issuer, "issuer", "", "name of the service as the app shows it, without ':'")
	f.StringVar(&r.Label, "label", "", "name of the account as the app shows it, without ':'")
	f.StringVar(&r.Flow, "flow", "", "the person's flow, ORGANIZATION/FLOW")
	f.StringVar(&r.Reason, "reason", "", "why the help desk enrols without a flow; kept in the record")
	codeForm(cmd, &r.Algorithm, &digits, &period)
	return cmd
}

func (a *app) enrolled(answer *posternv1.EnrollTotpResponse) error {
	if a.json() {
		return a.message(answer)
	}
	fmt.Fprintf(a.stdout, "%s\n%s\n", answer.GetAuthenticator().GetName(), printable.Escape(answer.GetOtpauthUri()))
	if show.IsTerminal(a.stdout) {
		if err := show.QR(a.stdout, answer.GetQrPng()); err != nil {
			fmt.Fprintf(a.stderr, "postern: %v\n", err) // the URI is there all the same
		}
	}
	fmt.Fprintf(a.stderr, "It counts once confirmed: postern authenticator confirm %s CODE\n", answer.GetAuthenticator().GetName())
	return nil
}

func (a *app) authenticatorConfirm() *cobra.Command {
	var w whose
	cmd := &cobra.Command{
		Use:   "confirm AUTHENTICATOR CODE",
		Short: "Put a new secret in force with a first code of it",
		Long: `Put a new secret in force with a first code of it ("-" reads the code from standard input). That code cannot be used again
to sign in. ` + byName,
		Example: "  postern authenticator confirm acme --account-id acct-mia 492039",
		Args:    exactly("AUTHENTICATOR", "CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			code := args[1]
			if code == "-" {
				var err error
				if code, err = a.readSecret("-"); err != nil {
					return err
				}
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				name, err := w.find(ctx, c, args[0])
				if err != nil {
					return err
				}
				m, err := client.Repeat(ctx, c.Authenticators.ConfirmTotp, &posternv1.ConfirmTotpRequest{Name: name, RequestId: newRequestID(), Code: code})
				if err != nil {
					return err
				}
				return a.showAuthenticator(m)
			})
		},
	}
	w.flags(cmd)
	return cmd
}

func (a *app) authenticatorGet() *cobra.Command {
	var w whose
	cmd := &cobra.Command{
		Use:   "get AUTHENTICATOR",
		Short: "One authenticator, without secrets",
		Long:  "One authenticator, without secrets. " + byName,
		Example: `  postern authenticator get acme --account-id acct-mia
  postern authenticator get acme/00112233445566778899aabbccddeeff`,
		Args: exactly("AUTHENTICATOR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				name, err := w.find(ctx, c, args[0])
				if err != nil {
					return err
				}
				m, err := c.Authenticators.GetAuthenticator(ctx, &posternv1.GetAuthenticatorRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showAuthenticator(m)
			})
		},
	}
	w.flags(cmd)
	return cmd
}

func (a *app) authenticatorList() *cobra.Command {
	r := &posternv1.ListAuthenticatorsRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Authenticators of an organization",
		Example: `  postern authenticator list acme
  postern authenticator list acme --account-id acct-mia --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Authenticator, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Authenticators.ListAuthenticators(ctx, r)
					return answer.GetAuthenticators(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, []string{"AUTHENTICATOR", "ACCOUNT", "STATE", "FAILURES", "LOCKED UNTIL", "ENROLLED", "BY", "RECOVERY"}, func(m *posternv1.Authenticator) []string {
					return []string{m.GetName()[strings.LastIndexByte(m.GetName(), '/')+1:], m.GetAccountId(), show.Enum("STATE", m.GetState()),
						strconv.Itoa(int(m.GetFailures())), show.Time(m.GetLockUntil()), show.Time(m.GetEnrollTime()), m.GetEnrolledBy(),
						strconv.Itoa(int(m.GetRecoveryCodesLeft()))}
				})
			})
		},
	}
	cmd.Flags().StringVar(&r.AccountId, "account-id", "", "only this account's")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	return cmd
}
