package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) policyImpact() *cobra.Command {
	var when period
	var rules []string
	var samples int
	cmd := &cobra.Command{
		Use:   "impact ORGANIZATION",
		Short: "What each rule of a policy did, or would have done while on trial",
		Long: `What each rule of a policy did to the sign-ins on record since it was added, or in a time range: those it decided and of these
denied, those it would have decided had it been enforced and of these would have denied though they were let in, how many people
that were, and how many of them have no factor that it demands. It rests on the decisions on record; nothing is decided anew.`,
		Example: `  postern policy impact acme
  postern policy impact acme --rule trial --since 168h --samples 20
  postern policy impact acme --output json | jq 'select(.wouldDeny != null) | .rule'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &posternv1.GetPolicyImpactRequest{Rules: rules}
			var err error
			if r.Name, err = policyName(args[0]); err != nil {
				return err
			}
			if r.StartTime, r.EndTime, err = when.times(a.now()); err != nil {
				return err
			}
			if r.SampleSize, err = sampleSize(samples); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error { return a.impact(cmd.Context(), c, r) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&rules, "rule", nil, "only this rule")
	when.flags(f)
	f.Lookup("since").Usage += " (default: when each rule was added)"
	f.IntVar(&samples, "samples", 3, "how many denied sign-ins of each rule to name, at most 100")
	return cmd
}

func (a *app) impact(ctx context.Context, c *client.Client, r *posternv1.GetPolicyImpactRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		takeLeave(ctx, c)
	}()
	stream, err := c.Policy.GetPolicyImpact(ctx, r)
	if err != nil {
		return err
	}
	last, err := follow(a, stream.Recv)
	switch {
	case err != nil:
		return err
	case last == nil || last.GetProgress() != nil:
		return errNoResult
	}
	return list(a, last.GetRules(), []string{"RULE", "MODE", "SINCE", "DECIDED", "DENIED", "WOULD DECIDE", "WOULD DENY", "PEOPLE", "NEED TO ENROL", "SUCH AS"},
		func(r *posternv1.RuleImpact) []string {
			n := func(v int64) string { return strconv.FormatInt(v, 10) }
			return []string{r.GetRule(), short("MODE", r.GetMode().String()), dash(show.Time(r.GetSince())), n(r.GetDecided()), n(r.GetDenied()), n(r.GetWouldDecide()),
				n(r.GetWouldDeny()), headcount(r.GetPeople()), headcount(r.GetNeedsEnrolment()), bare(r.GetSamples())}
		})
}
