package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) flow() *cobra.Command {
	return group(&cobra.Command{Use: "flow", Short: "Sign-ins, step by step"}, a.flowGet(), a.flowList(), a.flowWatch())
}

func (a *app) flowGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get FLOW",
		Short: "One sign-in by its id or support code, live or archived",
		Example: `  postern flow get acme/K3J9Z-8Q2WM
  postern flow get acme/0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e --output json`,
		Args: exactly("FLOW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "flows")
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				f, err := c.Flows.GetFlow(ctx, &posternv1.GetFlowRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showFlow(f)
			})
		},
	}
}

func (a *app) showFlow(f *posternv1.Flow) error {
	if a.json() {
		return a.message(f)
	}
	return show.Flow(a.stdout, f)
}

func (a *app) flowList() *cobra.Command {
	var (
		filter flowFilter
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Recorded sign-ins, newest first",
		Long: `Recorded sign-ins, newest first: one row for each flow, with its ending.

A filter: a list may be given as a,b or by repeating its flag, and a flow fits when it has one of the values; methods, factors,
connections, rules, evidence, addresses and networks are those of any of its steps. It must fit every flag, and none of those that
begin with --not.`,
		Example: `  postern flow list acme
  postern flow list acme --ending denied,failed --since 24h
  postern flow list acme --method sso --connection okta --not-ending succeeded
  postern flow list acme --class external --not-factor TOTP --ip 203.0.113.0/24
  postern flow list acme --email guest@gmail.com --limit 0 --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			chosen, err := filter.filter(a.now())
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Flow, string, error) {
					r, err := c.Flows.ListFlows(ctx, &posternv1.ListFlowsRequest{Parent: parent, Filter: chosen, PageSize: size, PageToken: token})
					a.explainNothing(r.GetNothingFound())
					return r.GetFlows(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, []string{"STARTED", "CODE", "SITE", "CLASS", "ENDING", "REASON", "WHO", "FLOW"}, func(f *posternv1.Flow) []string {
					return []string{show.Time(f.GetStartTime()), f.GetSupportCode(), f.GetSite(), show.Enum("CLASS", f.GetClass()),
						show.Enum("ENDING", f.GetEnding()), f.GetReason(), show.Person(f.GetPersonal()), f.GetId()}
				})
			})
		},
	}
	filter.flags(cmd.Flags())
	filter.localDay.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	return cmd
}

func (a *app) flowWatch() *cobra.Command {
	return &cobra.Command{
		Use:   "watch FLOW",
		Short: "Follow one sign-in until it has ended",
		Long: `Follow one sign-in until it has ended: it is shown now and after every change. With "--output json" each state is one
line; else each step is printed once, when it happens.`,
		Example: "  postern flow watch acme/K3J9Z-8Q2WM",
		Args:    exactly("FLOW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "flows")
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				s, err := c.Flows.WatchFlow(cmd.Context(), &posternv1.WatchFlowRequest{Name: name})
				if err != nil {
					return err
				}
				return a.followFlow(cmd.Context(), s.Recv)
			})
		},
	}
}

func (a *app) followFlow(ctx context.Context, next func() (*posternv1.Flow, error)) error {
	var last *posternv1.Flow
	for {
		f, err := next()
		switch {
		case errors.Is(err, io.EOF) && last != nil && !a.json():
			fmt.Fprintln(a.stdout)
			return show.Flow(a.stdout, last)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted: that is how watching ends
		case err != nil:
			return err
		case a.json():
			err = a.message(f)
		default:
			err = show.Steps(a.stdout, f.GetSteps()[min(len(last.GetSteps()), len(f.GetSteps())):])
		}
		if err != nil {
			return err
		}
		last = f
	}
}
