package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) key() *cobra.Command {
	return group(&cobra.Command{Use: "key", Short: "API keys, which SIEM pollers read an organization's record with"},
		a.keyCreate(), a.keyList(), a.keyGet(), a.keyRevoke())
}

// byKey is how commands about one key are used.
const byKey = `The key is given as ORGANIZATION KEY, as ORGANIZATION/KEY or by its full name; KEY is the id that list shows.`

// keyName reads one key from one or two arguments.
func keyName(args []string) (string, error) { return resource(strings.Join(args, "/"), "keys") }

// oneKey demands the arguments that keyName reads.
func oneKey(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION KEY", cmd.CommandPath())
	}
	return nil
}

// maxKeyDays is how long a key may live.
const maxKeyDays = 366

func (a *app) keyCreate() *cobra.Command {
	r := &posternv1.CreateKeyRequest{Role: posternv1.Key_ROLE_AUDITOR}
	var days int
	var detail string
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION",
		Short: "Make a key, and show its secret this once",
		Long: `Make a key, and show its secret this once: Postern keeps a hash of it alone. A program sends it as "Authorization: Bearer" to the events
API, see docs/siem.md. It reads the record of this organization and nothing else, until it expires or is revoked.

With --detail flows, the default, a sign-in is one row, its ending, with all steps in it. With --detail steps every event is a row:
a sign-in with four wrong codes is then five failures to a program that counts rows.`,
		Example: `  postern key create acme --name "Elastic, eu cluster" --days 90
  postern key create acme --name detections --detail steps --output json | jq -r .secret`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			n, err := enum("detail", "DETAIL", detail, posternv1.Key_Detail_value)
			switch {
			case err != nil:
				return err
			case r.GetDisplayName() == "":
				return usagef("--name is needed: it says what the key is for")
			case days < 1 || days > maxKeyDays:
				return usagef("--days must be 1 to %d", maxKeyDays)
			}
			r.Detail, r.RequestId = posternv1.Key_Detail(n), newRequestID()
			r.ExpireTime = timestamppb.New(a.now().Add(time.Duration(days) * day).Truncate(time.Second))
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				made, err := client.Repeat(ctx, c.Keys.CreateKey, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(made)
				}
				if err := show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Key(made.GetKey())); err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "\nSecret, shown this once:\n%s\n", made.GetSecret())
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.DisplayName, "name", "", "what it is for, at most 128 bytes")
	f.IntVar(&days, "days", 90, "days until it expires, 1 to 366")
	f.StringVar(&detail, "detail", "flows", "flows (a row for each sign-in) or steps (a row for each event)")
	f.BoolVar(&r.IncludeSandbox, "sandbox", false, "show it also what happened while the organization was a sandbox")
	_ = cmd.RegisterFlagCompletionFunc("detail", cobra.FixedCompletions([]string{"flows", "steps"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) keyList() *cobra.Command {
	r := &posternv1.ListKeysRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Keys of an organization, with their last use",
		Long:  "Keys of an organization, also those that ended in the last 90 days, with their last use to about a minute. Secrets are not shown: nobody has them.",
		Example: `  postern key list acme
  postern key list acme --output json | jq -r 'select(.state=="STATE_ACTIVE") | .name'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Key, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Keys.ListKeys(ctx, r)
					return answer.GetKeys(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.KeyHeader(), show.KeyRow)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 means all")
	return cmd
}

func (a *app) keyGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get ORGANIZATION KEY",
		Short:   "One key",
		Long:    "One key, without its secret. " + byKey,
		Example: "  postern key get acme 9f3a51c07be24d16",
		Args:    oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := keyName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				k, err := c.Keys.GetKey(ctx, &posternv1.GetKeyRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showKey(k)
			})
		},
	}
}

func (a *app) showKey(k *posternv1.Key) error {
	if a.json() {
		return a.message(k)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Key(k))
}

func (a *app) keyRevoke() *cobra.Command {
	r := &posternv1.RevokeKeyRequest{}
	cmd := &cobra.Command{
		Use:     "revoke ORGANIZATION KEY",
		Short:   "End a key at once",
		Long:    "End a key at once, in every process. A key that is revoked already stays as it is. " + byKey,
		Example: `  postern key revoke acme 9f3a51c07be24d16 --reason "the poller moved to another host"`,
		Args:    oneKey,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = keyName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				k, err := client.Repeat(ctx, c.Keys.RevokeKey, r)
				if err != nil {
					return err
				}
				return a.showKey(k)
			})
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}
