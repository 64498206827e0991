package cli

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) explain() *cobra.Command {
	request := &posternv1.ExplainRequest{Context: &posternv1.Context{}}
	var kind, at string
	cmd := &cobra.Command{
		Use:   "explain SITE [ADDRESS]",
		Short: "What the policy makes of somebody at a site, without a sign-in",
		Long: `What the policy makes of somebody at a site, without a sign-in: the class, the rule that decides, every condition
looked at, what is demanded and what would come next. The address is taken as verified. With --revision the policy is that of
then; with --at sites, connections, domains and claims are as well, from the archive's history, and rules are judged as of then.`,
		Example: `  postern explain acme/wiki guest@gmail.com
  postern explain acme/wiki guest@gmail.com --method sso:partner-okta --ip 203.0.113.9
  postern explain acme/wiki --account-id 4711
  postern explain acme/wiki guest@gmail.com --revision 17
  postern explain acme/wiki guest@gmail.com --method password --at 2026-11-20T08:00:00Z`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return usagef("postern explain takes SITE [ADDRESS]")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := resource(args[0], "sites")
			if err != nil {
				return err
			}
			request.Site = site
			if request.Time, err = a.past("--at", at, request.GetRevision()); err != nil {
				return err
			}
			if len(args) == 2 {
				request.Email = args[1]
			}
			if kind != "" {
				v, err := enum("kind", "SUBJECT_KIND", kind, posternv1.SubjectKind_value)
				if err != nil {
					return err
				}
				request.Kind = posternv1.SubjectKind(v)
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := c.Policy.Explain(ctx, request)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				return a.explained(answer)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.AccountId, "account-id", "", "the login service's key for the account")
	f.StringVar(&request.Method, "method", "", "method the person would use, for example password or sso:partner-okta")
	f.StringVar(&request.Context.Ip, "ip", "", "where the sign-in would come from")
	f.StringVar(&kind, "kind", "", "person, service or app")
	f.Int64Var(&request.Revision, "revision", 0, "ask the policy in force at this revision (default: as it is)")
	f.StringVar(&at, "at", "", "ask what was in force at this moment, such as 2026-11-20T08:00:00Z")
	return cmd
}

func (a *app) explained(answer *posternv1.ExplainResponse) error {
	d := answer.GetDecision()
	fmt.Fprintf(a.stdout, "Class %s", show.Enum("CLASS", d.GetClass()))
	if b := d.GetClassBasis(); b.GetBy() != "" {
		fmt.Fprint(a.stdout, printable.Escape(words(" by "+b.GetBy(), b.GetDomain())))
	}
	fmt.Fprint(a.stdout, ".\n")
	if answer.GetAddressReason() != "" {
		fmt.Fprintf(a.stdout, "The address is not usable: %s.\n", printable.Escape(answer.GetAddressReason()))
	}
	fmt.Fprintln(a.stdout, show.Decision(d))
	if d.GetMessage() != "" {
		fmt.Fprintf(a.stdout, "The person is told: %s\n", printable.Escape(words(d.GetMessage(), d.GetHelpUrl())))
	}
	if next := nextSteps(answer.GetNext()); next != "" {
		fmt.Fprintf(a.stdout, "Next: %s\n", next)
	}
	if len(d.GetConditions()) == 0 {
		return nil
	}
	rows := make([][]string, len(d.GetConditions()))
	for i, c := range d.GetConditions() {
		rows[i] = []string{c.GetName(), when(c.GetMet(), "met") + when(!c.GetMet(), "not met"), c.GetDetail()}
	}
	return show.Table(a.stdout, []string{"CONDITION", "", "DETAIL"}, rows)
}

// nextSteps lists moves as a phrase.
func nextSteps(next []*posternv1.NextStep) string {
	parts := make([]string, len(next))
	for i, n := range next {
		parts[i] = words(n.GetMethod(), n.GetFactor(), when(n.GetConnection() != "", "through "+n.GetConnection()))
	}
	return printable.Escape(strings.Join(parts, ", or "))
}

func (a *app) addresses() *cobra.Command {
	check := &cobra.Command{
		Use:   "check [--] ADDRESS...",
		Short: "What Postern makes of e-mail addresses",
		Long: `What Postern makes of e-mail addresses: one JSON line each, with the canonical form, its domains, whether it is free
mail, and, when it is not usable, the reason. Exit code 1 when one is not usable. No sidecar is needed.`,
		Example: `  postern address check guest@Gmail.COM
  postern address check -- -x@example.org "a b@example.org"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("postern address check takes at least one ADDRESS")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			usable := true
			for _, arg := range args {
				r := policy.Inspect(arg)
				usable = usable && r.Reason == ""
				b, err := show.Line(r)
				if err != nil {
					return err
				}
				if err := a.write(b); err != nil {
					return err
				}
			}
			if !usable {
				return errNo
			}
			return nil
		},
	}
	return group(&cobra.Command{Use: "address", Short: "E-mail addresses as Postern reads them"}, check)
}

// Version is set when a release is built (-ldflags "-X …/cmd/postern/cli.Version=v1.2.3"); else the module's own is used.
var Version = ""

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Which build this is",
		Example: "  postern version --output json",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			v, revision := build()
			if a.json() {
				b, err := show.Line(map[string]string{"version": v, "revision": revision, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
				if err != nil {
					return err
				}
				return a.write(b)
			}
			fmt.Fprintln(a.stdout, words("postern", v, revision, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH))
			return nil
		},
	}
}

// build returns the version and the revision it was built from.
func build() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return words(Version, when(Version == "", "unknown")), ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			revision += "+changes"
		}
	}
	if Version != "" {
		return Version, revision
	}
	return info.Main.Version, revision
}
