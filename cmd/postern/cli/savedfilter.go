package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) filter() *cobra.Command {
	return group(&cobra.Command{Use: "filter", Short: "Saved filters: searches of the record under a name"},
		a.filterCreate(), a.filterList(), a.filterGet(), a.filterUpdate(), a.filterDelete())
}

// byFilter is how commands about one saved filter are used.
const byFilter = `The filter is given as ORGANIZATION FILTER, as ORGANIZATION/FILTER or by its full name.`

// filterName reads one saved filter from one or two arguments.
func filterName(args []string) (string, error) {
	return resource(strings.Join(args, "/"), "savedFilters")
}

// oneFilter demands the arguments that filterName reads.
func oneFilter(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION FILTER", cmd.CommandPath())
	}
	return nil
}

func (a *app) filterCreate() *cobra.Command {
	var filter eventFilter
	r := &posternv1.CreateSavedFilterRequest{SavedFilter: &posternv1.SavedFilter{}}
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION FILTER",
		Short: "Keep a filter under an id",
		Long: `Keep a filter under an id of your choice, for --saved of the commands about events, as in
"postern event list acme --saved refused-yesterday". An organization has at most 200. What a filter says is
kept encrypted. A time given with --last counts from each search, one with --since from a fixed moment.

` + filterHelp,
		Example: `  postern filter create acme refused-yesterday --name "Refused since yesterday" --outcome failure --last 24h`,
		Args:    exactly("ORGANIZATION", "FILTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			if r.GetSavedFilter().GetDisplayName() == "" {
				return usagef("--name is needed: it says what the filter is for")
			}
			if r.SavedFilter.Filter, err = filter.filter(r.GetParent(), a.now()); err != nil {
				return err
			}
			r.SavedFilterId, r.RequestId = args[1], newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				f, err := client.Repeat(ctx, c.Events.CreateSavedFilter, r)
				if err != nil {
					return err
				}
				return a.showFilter(f)
			})
		},
	}
	filter.own(cmd.Flags())
	cmd.Flags().StringVar(&r.SavedFilter.DisplayName, "name", "", "what it is for, at most 128 bytes")
	return cmd
}

func (a *app) filterList() *cobra.Command {
	r := &posternv1.ListSavedFiltersRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:     "list ORGANIZATION",
		Short:   "Saved filters of an organization",
		Example: "  postern filter list acme",
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.SavedFilter, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Events.ListSavedFilters(ctx, r)
					return answer.GetSavedFilters(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.FilterHeader(), show.FilterRow)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 means all")
	return cmd
}

func (a *app) filterGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get ORGANIZATION FILTER",
		Short:   "One saved filter, and what it says",
		Long:    "One saved filter, and what it says. " + byFilter,
		Example: "  postern filter get acme refused-yesterday",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := filterName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				f, err := c.Events.GetSavedFilter(ctx, &posternv1.GetSavedFilterRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showFilter(f)
			})
		},
	}
}

func (a *app) showFilter(f *posternv1.SavedFilter) error {
	if a.json() {
		return a.message(f)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Filter(f))
}

func (a *app) filterUpdate() *cobra.Command {
	var (
		filter      eventFilter
		title, etag string
	)
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION FILTER",
		Short: "Replace what a saved filter says",
		Long: `Replace what a saved filter says. The flags of a filter, when there are any, are the whole new filter; without them it keeps saying what it
says. What was changed by somebody else meanwhile is not overwritten. ` + byFilter + `

` + filterHelp,
		Example: `  postern filter update acme refused-yesterday --outcome failure --not-site test --last 24h
  postern filter update acme refused-yesterday --name "Refused, without tests"`,
		Args: oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := filterName(args)
			if err != nil {
				return err
			}
			chosen, err := filter.filter("", a.now())
			if err != nil {
				return err
			}
			replaced := replaces(cmd.Flags())
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				f, err := c.Events.GetSavedFilter(ctx, &posternv1.GetSavedFilterRequest{Name: name})
				if err != nil {
					return err
				}
				next := &posternv1.SavedFilter{Name: name, DisplayName: f.GetDisplayName(), Filter: f.GetFilter(), Etag: f.GetEtag()}
				if title != "" {
					next.DisplayName = title
				}
				if replaced {
					next.Filter = chosen
				}
				f, err = client.Repeat(ctx, c.Events.UpdateSavedFilter, &posternv1.UpdateSavedFilterRequest{SavedFilter: next, Etag: etag, RequestId: newRequestID()})
				if err != nil {
					return err
				}
				return a.showFilter(f)
			})
		},
	}
	filter.own(cmd.Flags())
	cmd.Flags().StringVar(&title, "name", "", "what it is for, at most 128 bytes")
	cmd.Flags().StringVar(&etag, "etag", "", "version that is meant, as get shows it; else the present one")
	return cmd
}

// replaces reports whether a flag of the filter itself was given.
func replaces(f *pflag.FlagSet) bool {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&eventFilter{}).own(own)
	given := false
	f.Visit(func(x *pflag.Flag) { given = given || own.Lookup(x.Name) != nil })
	return given
}

func (a *app) filterDelete() *cobra.Command {
	r := &posternv1.DeleteSavedFilterRequest{}
	cmd := &cobra.Command{
		Use:     "delete ORGANIZATION FILTER",
		Short:   "Remove a saved filter",
		Long:    "Remove a saved filter. " + byFilter,
		Example: "  postern filter delete acme refused-yesterday",
		Args:    oneFilter,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = filterName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if _, err := client.Repeat(ctx, c.Events.DeleteSavedFilter, r); err != nil {
					return err
				}
				if a.json() {
					return nil
				}
				fmt.Fprintf(a.stdout, "deleted %s\n", r.GetName())
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&r.Etag, "etag", "", "version that is meant, as get shows it; else whatever there is")
	return cmd
}
