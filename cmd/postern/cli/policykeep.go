package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// policyName is the resource name of an organization's policy.
func policyName(arg string) (string, error) {
	name, err := resource(arg, "")
	return name + "/policy", err
}

func (a *app) policyGet() *cobra.Command {
	var revision int64
	var at string
	cmd := &cobra.Command{
		Use:   "get ORGANIZATION",
		Short: "The policy of an organization in YAML, as it is or as it was",
		Long: `The policy of an organization in YAML, as update takes it: as it is, with --revision as it was at that revision, or with --at as it
was at that moment. Accounts are written as account_keys, which mean nobody in another organization or installation.`,
		Example: `  postern policy get acme > policy.yaml
  postern policy get acme --revision 17 | diff - policy.yaml
  postern policy get acme --at 2026-11-20T08:00:00Z`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			moment, err := a.past("--at", at, revision)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				s, err := c.Policy.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name, Revision: revision, Time: moment})
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(s)
				}
				return a.write([]byte(policyText(s)))
			})
		},
	}
	cmd.Flags().Int64Var(&revision, "revision", 0, "the policy in force at this revision (default: as it is)")
	cmd.Flags().StringVar(&at, "at", "", "the policy in force at this moment, such as 2026-11-20T08:00:00Z")
	return cmd
}

// policyText is a policy in YAML with what is to be known of it as a comment.
func policyText(s *posternv1.PolicyState) string {
	text := fmt.Sprintf("# %s at revision %d", s.GetName(), s.GetRevision())
	if s.GetUpdateTime() != nil {
		text += " of " + show.Time(s.GetUpdateTime())
	}
	text += "\n"
	if s.GetSuspended() {
		text += "# Suspended until " + show.Time(s.GetPolicy().GetSuspendedUntil()) + ": no rule is enforced, stops are.\n"
	}
	if s.GetUnreadable() {
		text += "# What is stored cannot be read: everybody is treated as on_unreadable says. Write it anew.\n"
	}
	return text + s.GetDocument()
}

// policyChange is what commands that change a policy have in common.
type policyChange struct {
	etag, reason, requestID, admin string
	check, force                   bool
}

func (p *policyChange) flags(a *app, cmd *cobra.Command, drafts bool) {
	f := cmd.Flags()
	f.StringVar(&p.etag, "etag", "", "version of the organization the change is based on (default: whatever there is)")
	f.StringVar(&p.reason, "reason", "", "why; kept in the record")
	f.StringVar(&p.requestID, "request-id", "", "idempotency key (default: a new one)")
	if drafts {
		f.BoolVar(&p.check, "dry-run", false, "say what would change, and change nothing")
		a.guardFlags(cmd, &p.force, &p.admin)
	}
}

func (p *policyChange) id() string {
	if p.requestID == "" {
		p.requestID = newRequestID()
	}
	return p.requestID
}

func (a *app) policyUpdate() *cobra.Command {
	var p policyChange
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION FILE",
		Short: "Replace the policy of an organization",
		Long: `Replace the policy of an organization by that of a file ("-" reads standard input): the policy section of an organization
document, with or without the key "policy". What it leaves out is empty afterwards; "postern org apply" leaves that alone.`,
		Example: `  postern policy update acme policy.yaml --reason "partner X joined"
  postern policy update acme policy.yaml --dry-run
  postern policy get acme | sed 's/report_only/enforce/' | postern policy update acme -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("postern policy update takes ORGANIZATION FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			text, err := a.read(args[1], maxDocument)
			if err != nil {
				return err
			}
			resumes := p.requestID != ""
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if p.etag == "" && !resumes {
					now, err := c.Policy.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name})
					if err != nil {
						return err
					}
					p.etag = now.GetEtag()
				}
				answer, err := client.Repeat(ctx, c.Policy.UpdatePolicy, &posternv1.UpdatePolicyRequest{Name: name, Document: string(text), Etag: p.etag,
					RequestId: p.id(), ValidateOnly: p.check, Reason: p.reason, Force: p.force, AdminEmail: p.admin})
				return a.policyChanged(answer, err, p.check)
			})
		},
	}
	p.flags(a, cmd, true)
	return cmd
}

// policyChanged tells what came of a change.
func (a *app) policyChanged(answer *posternv1.ChangePolicyResponse, err error, check bool) error {
	switch {
	case err != nil:
		return err
	case a.json():
		return a.message(answer)
	}
	s := answer.GetState()
	switch {
	case check && len(answer.GetChanges()) == 0:
		fmt.Fprintf(a.stdout, "%s: nothing would change\n", s.GetName())
	case check:
		fmt.Fprintf(a.stdout, "%s would change:\n", s.GetName())
		a.fields(answer.GetChanges())
	case len(answer.GetEvents()) == 0:
		fmt.Fprintf(a.stdout, "%s: nothing changed, revision %d\n", s.GetName(), s.GetRevision())
	default:
		fmt.Fprintf(a.stdout, "%s is at revision %d, etag %s\n", s.GetName(), s.GetRevision(), s.GetEtag())
	}
	if s.GetSuspended() && !check {
		fmt.Fprintf(a.stdout, "suspended until %s: no rule is enforced, stops are\n", show.Time(s.GetPolicy().GetSuspendedUntil()))
	}
	a.warnings(answer.GetWarnings())
	return nil
}

func (a *app) policyRevisions() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "revisions ORGANIZATION",
		Short: "The changes of a policy, newest first: who, when, why and what",
		Example: `  postern policy revisions acme
  postern policy revisions acme --limit 0 --output json | jq -r '.caller'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			if limit < 0 {
				return usagef("--limit must not be negative")
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.PolicyRevision, string, error) {
					r, err := c.Policy.ListPolicyRevisions(ctx, &posternv1.ListPolicyRevisionsRequest{Parent: name, PageSize: size, PageToken: token})
					return r.GetRevisions(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return a.revisions(all)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many; 0: all that are kept")
	return cmd
}

func (a *app) revisions(all []*posternv1.PolicyRevision) error {
	for _, r := range all {
		if a.json() {
			if err := a.message(r); err != nil {
				return err
			}
			continue
		}
		head := words("revision "+strconv.FormatInt(r.GetRevision(), 10), show.Time(r.GetTime()), r.GetType(), "by", r.GetCaller(),
			when(r.GetReason() != "", "because: "+r.GetReason()))
		fmt.Fprintln(a.stdout, printable.Escape(head))
		a.fields(r.GetChanges())
	}
	return nil
}

func (a *app) policyRollback() *cobra.Command {
	var p policyChange
	cmd := &cobra.Command{
		Use:   "rollback ORGANIZATION REVISION",
		Short: "Write the policy of an earlier revision again, as a new one",
		Long: `Write the policy of an earlier revision again, as a new one. Sites, connections, a suspension and revoked proofs stay as they are.
When that policy rests on a connection or site that is not there any more, the change is refused and the rule named.`,
		Example: `  postern policy rollback acme 17 --reason "guests of partner X were refused"
  postern policy rollback acme 17 --dry-run --reason look`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("postern policy rollback takes ORGANIZATION REVISION")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			revision, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || revision <= 0 {
				return usagef("%q is no revision: give a number that postern policy revisions lists", args[1])
			}
			if p.reason == "" {
				return usagef("--reason must say why")
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Policy.RollBackPolicy, &posternv1.RollBackPolicyRequest{Name: name, Revision: revision, Etag: p.etag,
					RequestId: p.id(), ValidateOnly: p.check, Reason: p.reason, Force: p.force, AdminEmail: p.admin})
				return a.policyChanged(answer, err, p.check)
			})
		},
	}
	p.flags(a, cmd, true)
	return cmd
}

func (a *app) policySuspend() *cobra.Command {
	var p policyChange
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "suspend ORGANIZATION --for DURATION --reason TEXT",
		Short: "Enforce no rule for a while; stops still bite",
		Long: `Enforce no rule and no default for a while, 1m to 24h: whoever proves who they are is let in, and each decision says what the
policy would have done. Stops still bite. It binds from the next call on in every process and ends by itself; "resume" ends it
before. Suspending again replaces what is left.`,
		Example: `  postern policy suspend acme --for 1h --reason "the partner's sign-in is down"`,
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			switch {
			case err != nil:
				return err
			case length < time.Minute || length > 24*time.Hour:
				return usagef("--for must be from 1m to 24h")
			case p.reason == "":
				return usagef("--reason must say why")
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Policy.SuspendPolicy, &posternv1.SuspendPolicyRequest{Name: name, Duration: durationpb.New(length),
					Etag: p.etag, RequestId: p.id(), Reason: p.reason})
				return a.policyChanged(answer, err, false)
			})
		},
	}
	p.flags(a, cmd, false)
	cmd.Flags().DurationVar(&length, "for", 0, "how long, 1m to 24h")
	return cmd
}

func (a *app) policyResume() *cobra.Command {
	var p policyChange
	cmd := &cobra.Command{
		Use:     "resume ORGANIZATION",
		Short:   "End a suspension now",
		Example: `  postern policy resume acme --reason "the partner's sign-in is back"`,
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Policy.ResumePolicy, &posternv1.ResumePolicyRequest{Name: name, Etag: p.etag, RequestId: p.id(), Reason: p.reason})
				return a.policyChanged(answer, err, false)
			})
		},
	}
	p.flags(a, cmd, false)
	return cmd
}
