package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) account() *cobra.Command {
	return group(&cobra.Command{Use: "account", Short: "Accounts an organization claims: its own people, whatever their e-mail says"},
		a.accountClaim(), a.accountImport(), a.accountList(), a.accountGet(), a.accountNote(), a.accountRelease())
}

// byAccount is how commands about accounts are used.
const byAccount = `An account is given by its address, by its account id, or by its full name; what has an @ is taken for an address. Put id: or email: in
front where that is wrong.`

// claimed reads an account as people name it.
func claimed(arg string) *posternv1.Account {
	if id, ok := strings.CutPrefix(arg, "id:"); ok {
		return &posternv1.Account{AccountId: id}
	}
	if email, ok := strings.CutPrefix(arg, "email:"); ok {
		return &posternv1.Account{Email: email}
	}
	if strings.Contains(arg, "@") {
		return &posternv1.Account{Email: arg}
	}
	return &posternv1.Account{AccountId: arg}
}

// accountName is the full name of an account as people name it.
func accountName(parent, arg string) (string, error) {
	if strings.HasPrefix(arg, parent+"/accounts/") {
		return arg, nil
	}
	a := claimed(arg)
	switch {
	case a.GetEmail() != "":
		return parent + "/accounts/email:" + url.PathEscape(a.GetEmail()), nil
	case a.GetAccountId() != "":
		return parent + "/accounts/id:" + url.PathEscape(a.GetAccountId()), nil
	}
	return "", usagef("%q names no account", arg)
}

// atLeast demands an organization and at least one account.
func atLeast(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return usagef("%s takes ORGANIZATION ACCOUNT...", cmd.CommandPath())
	}
	if len(args) > importPage+1 {
		return usagef("at most %d accounts at once; `postern account import` takes any number", importPage)
	}
	return nil
}

func (a *app) accountClaim() *cobra.Command {
	r := &posternv1.BatchCreateAccountsRequest{}
	var note string
	cmd := &cobra.Command{
		Use:   "claim ORGANIZATION ACCOUNT...",
		Short: "Claim accounts or addresses",
		Long: `Claim accounts or addresses: whoever has them is the organization's own from the next sign-in on, whatever the e-mail's domain. An
account belongs to one organization at a time: what another one claims is refused, and then none is claimed. Those that are claimed
already stay as they are. ` + byAccount,
		Example: `  postern account claim acme 4711 --note "contractor until May"
  postern account claim acme jo@gmail.com sam@example.com --reason "board members"
  postern account claim acme id:jo@legacy --check`,
		Args: atLeast,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			for _, arg := range args[1:] {
				one := claimed(arg)
				one.Note = note
				r.Accounts = append(r.Accounts, one)
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Directory.BatchCreateAccounts, r)
				if err != nil {
					return err
				}
				return list(a, answer.GetAccounts(), show.AccountHeader(), show.AccountRow)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "what to remember about them, at most 256 bytes; stored sealed")
	f.StringVar(&r.Reason, "reason", "", "why; kept in the record")
	f.BoolVar(&r.ValidateOnly, "check", false, "say what would come of it; claim nothing")
	return cmd
}

func (a *app) accountList() *cobra.Command {
	r := &posternv1.ListAccountsRequest{}
	var limit int
	var asCSV bool
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Accounts an organization claims",
		Long: `Accounts an organization claims, in an order that says nothing. With --csv they come as a file that "postern account import" takes.
Accounts are printed page by page as they are read, so that any number takes no memory.`,
		Example: `  postern account list acme
  postern account list acme --limit 0 --csv > claimed.csv
  postern account list acme --limit 0 --output json | jq -r .email`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			if asCSV && a.json() {
				return usagef("--csv and --output json exclude each other")
			}
			out := a.accountPrinter(asCSV)
			return a.connect(func(c *client.Client) error {
				return a.eachAccountPage(cmd.Context(), c, r, limit, out)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print account_id,email,note as CSV")
	return cmd
}

// eachAccountPage reads pages and prints each before the next.
func (a *app) eachAccountPage(ctx context.Context, c *client.Client, r *posternv1.ListAccountsRequest, limit int, out func([]*posternv1.Account, bool) error) error {
	for shown := 0; ; {
		r.PageSize = maxPage
		if limit > 0 {
			r.PageSize = int32(min(maxPage, limit-shown))
		}
		bounded, cancel := context.WithTimeout(ctx, a.timeout)
		page, err := c.Directory.ListAccounts(bounded, r)
		cancel()
		if err != nil {
			return err
		}
		if err := out(page.GetAccounts(), shown == 0); err != nil {
			return err
		}
		shown += len(page.GetAccounts())
		r.PageToken = page.GetNextPageToken()
		if r.GetPageToken() == "" || limit > 0 && shown >= limit {
			return nil
		}
	}
}

// accountPrinter prints pages of accounts; the first one brings the header.
func (a *app) accountPrinter(asCSV bool) func(page []*posternv1.Account, first bool) error {
	if !asCSV {
		return func(page []*posternv1.Account, first bool) error {
			if len(page) == 0 && !first {
				return nil
			}
			return list(a, page, show.AccountHeader(), show.AccountRow)
		}
	}
	w := csv.NewWriter(a.stdout)
	return func(page []*posternv1.Account, first bool) error {
		if first {
			_ = w.Write(accountColumns) // Error below has it
		}
		for _, one := range page {
			_ = w.Write([]string{one.GetAccountId(), one.GetEmail(), one.GetNote()})
		}
		w.Flush()
		if err := w.Error(); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		return nil
	}
}

func (a *app) showAccount(one *posternv1.Account) error {
	if a.json() {
		return a.message(one)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Account(one))
}

func (a *app) accountGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ORGANIZATION ACCOUNT",
		Short: "One claimed account",
		Long:  "One claimed account. " + byAccount,
		Example: `  postern account get acme jo@gmail.com
  postern account get acme id:4711 --output json`,
		Args: exactly("ORGANIZATION", "ACCOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			name, err := accountName(parent, args[1])
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				one, err := c.Directory.GetAccount(ctx, &posternv1.GetAccountRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showAccount(one)
			})
		},
	}
}

func (a *app) accountNote() *cobra.Command {
	r := &posternv1.UpdateAccountRequest{UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"note"}}}
	cmd := &cobra.Command{
		Use:     "note ORGANIZATION ACCOUNT TEXT",
		Short:   "Change the note of a claimed account",
		Long:    "Change the note of a claimed account; an empty text takes it away. " + byAccount,
		Example: `  postern account note acme 4711 "left in May"`,
		Args:    exactly("ORGANIZATION", "ACCOUNT", "TEXT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			r.Account = &posternv1.Account{Note: args[2]}
			if r.Account.Name, err = accountName(parent, args[1]); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				one, err := client.Repeat(ctx, c.Directory.UpdateAccount, r)
				if err != nil {
					return err
				}
				return a.showAccount(one)
			})
		},
	}
	cmd.Flags().StringVar(&r.Etag, "etag", "", "version of the account the change is based on (default: whatever there is)")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}

func (a *app) accountRelease() *cobra.Command {
	r := &posternv1.BatchDeleteAccountsRequest{}
	cmd := &cobra.Command{
		Use:   "release ORGANIZATION ACCOUNT...",
		Short: "Give claimed accounts up",
		Long: `Give claimed accounts up: whoever has them is external from the next sign-in on, unless a verified domain says otherwise. Those that are not
claimed are passed over. A claim that a document still lists comes back when the document is applied again. ` + byAccount,
		Example: `  postern account release acme 4711 jo@gmail.com --reason "contract ended"
  postern account release acme boss@example.com --admin-email boss@example.com`,
		Args: atLeast,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			for _, arg := range args[1:] {
				name, err := accountName(r.GetParent(), arg)
				if err != nil {
					return err
				}
				r.Names = append(r.Names, name)
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Directory.BatchDeleteAccounts, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				fmt.Fprintf(a.stdout, "released %d of %d\n", answer.GetDeleted(), len(args)-1)
				for _, arg := range args[1:min(len(args), 2)] {
					if answer.GetDeleted() == 0 {
						fmt.Fprintf(a.stderr, "%s: not claimed by %s\n", printable.Escape(arg), printable.Escape(args[0]))
					}
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Reason, "reason", "", "why; kept in the record")
	f.BoolVar(&r.Force, "force", false, "do it although the person of --admin-email would be locked out")
	f.StringVar(&r.AdminEmail, "admin-email", a.getenv("POSTERN_ADMIN_EMAIL", ""), "whose way in must not be lost (POSTERN_ADMIN_EMAIL)")
	return cmd
}
