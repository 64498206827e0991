package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) subject() *cobra.Command {
	return group(&cobra.Command{Use: "subject", Short: "Forget a person"}, a.subjectErase(), a.subjectErasure(), a.subjectErasures())
}

func (a *app) subjectErase() *cobra.Command {
	r := &posternv1.EraseSubjectRequest{}
	var wait bool
	cmd := &cobra.Command{
		Use:   "erase ORGANIZATION",
		Short: "Erase a person from an organization's record and memory",
		Long: `Erase a person: events keep their place, type and reason and say no more who it was, and what is kept of the account goes: sessions,
tokens, linked identities, authenticator, remembered proofs. Give both --account-id and --email where both are known: what is kept of an account is
found by its id, and attempts before the account was known by the address. This cannot be undone, and is on the record.

It is carried out in the background. It waits until sign-ins of the organization that are under way have ended and uses of the
account's sessions are on record, two hours and a few minutes at most, and erases what they left. --wait follows it to its end. Claims and policies that name the person are the
organization's own and stay, as do exports that were made before: see docs/erasure.md.`,
		Example: `  postern subject erase acme --account-id 4711 --email ann@partner.example --dry-run
  postern subject erase acme --account-id 4711 --email ann@partner.example --reason "request 2026-114 of the data subject" --wait
  postern subject erase acme --email typo@partner.example --reason "never had an account" --output json | jq -r .name`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			switch {
			case r.GetAccountId() == "" && r.GetEmail() == "":
				return usagef("--account-id or --email is needed, or both")
			case r.GetReason() == "" && !r.GetDryRun():
				return usagef("--reason is needed: it is kept in the record")
			}
			r.RequestId = newRequestID()
			return a.connect(func(c *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
				defer cancel()
				e, err := client.Repeat(ctx, c.Events.EraseSubject, r)
				if err != nil {
					return err
				}
				if wait && !r.GetDryRun() {
					return a.followErasure(cmd.Context(), c, e)
				}
				return a.showErasure(e)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.AccountId, "account-id", "", "the person's account id")
	f.StringVar(&r.Email, "email", "", "the person's e-mail address")
	f.StringVar(&r.Reason, "reason", "", "why; kept in the record")
	f.BoolVar(&r.DryRun, "dry-run", false, "count what would go, up to 1000 of each, and erase nothing")
	f.BoolVar(&wait, "wait", false, "until it is done")
	return cmd
}

func (a *app) subjectErasure() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "erasure ORGANIZATION ERASURE",
		Short: "How far an erasure is",
		Long:  "How far an erasure is. It is given as ORGANIZATION ERASURE, as ORGANIZATION/ERASURE or by its full name, as erase and erasures show it.",
		Example: `  postern subject erasure acme 01a1fa35-9be4-7a15-89b7-6f4a50e4317d
  postern subject erasure organizations/acme/erasures/01a1fa35-9be4-7a15-89b7-6f4a50e4317d --wait`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usagef("%s takes ORGANIZATION ERASURE", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(strings.Join(args, "/"), "erasures")
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				e, err := a.erasure(cmd.Context(), c, name)
				if err != nil {
					return err
				}
				if wait {
					return a.followErasure(cmd.Context(), c, e)
				}
				return a.showErasure(e)
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "until it is done")
	return cmd
}

func (a *app) subjectErasures() *cobra.Command {
	r := &posternv1.ListErasuresRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:   "erasures ORGANIZATION",
		Short: "Erasures of an organization, newest first",
		Long:  "Erasures of an organization, newest first, until 400 days after they were done. They do not say of whom: that was erased.",
		Example: `  postern subject erasures acme
  postern subject erasures acme --output json | jq -r 'select(.state!="STATE_DONE") | .name'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Erasure, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Events.ListErasures(ctx, r)
					return answer.GetErasures(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.ErasureHeader(), show.ErasureRow)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 means all")
	return cmd
}

// erasure reads one erasure, in the time a call may take.
func (a *app) erasure(ctx context.Context, c *client.Client, name string) (*posternv1.Erasure, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return c.Events.GetErasure(ctx, &posternv1.GetErasureRequest{Name: name})
}

// followErasure waits until an erasure is done and shows it.
func (a *app) followErasure(ctx context.Context, c *client.Client, e *posternv1.Erasure) error {
	for e.GetState() != posternv1.Erasure_STATE_DONE {
		timer := time.NewTimer(500 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		var err error
		if e, err = a.erasure(ctx, c, e.GetName()); err != nil {
			return err
		}
	}
	return a.showErasure(e)
}

func (a *app) showErasure(e *posternv1.Erasure) error {
	if a.json() {
		return a.message(e)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Erasure(e))
}
