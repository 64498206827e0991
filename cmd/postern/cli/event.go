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

func (a *app) event() *cobra.Command {
	return group(&cobra.Command{Use: "event", Short: "The record: list it, count it, follow it"}, a.eventGet(), a.eventList(), a.eventCount(), a.eventHistogram(), a.eventWatch(),
		a.eventTypes(), a.eventEmitTest())
}

func (a *app) eventGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get EVENT",
		Short:   "One archived event, in full",
		Example: "  postern event get acme/0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e",
		Args:    exactly("EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "events")
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				e, err := c.Events.GetEvent(ctx, &posternv1.GetEventRequest{Name: name})
				if err != nil {
					return err
				}
				return a.message(e)
			})
		},
	}
}

func (a *app) eventList() *cobra.Command {
	var (
		filter  eventFilter
		limit   int
		oldest  bool
		groupBy string
	)
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Archived events, newest first, also folded",
		Long: `Archived events, newest first. With --group-by, events of one flow, or of one reason and subject, or of one reason and IP address,
are one row with their number: that of a page's stretch of the record, so that a group may come again further down.

` + filterHelp + savedHelp,
		Example: `  postern event list acme
  postern event list acme --outcome failure --not-reason USER_CANCELLED --last 24h --group-by subject-reason
  postern event list acme --text okta --site wiki
  postern event list acme --saved refused-yesterday
  postern event list acme --on 2026-03-29 --tz Europe/Berlin
  postern event list acme --type password.rejected,mfa.rejected --since 24h
  postern event list acme --email guest@gmail.com --oldest-first --limit 0 --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			chosen, err := filter.filter(parent, a.now())
			if err != nil {
				return err
			}
			if groupBy != "" {
				return a.eventGroups(cmd.Context(), parent, chosen, groupBy, limit, oldest)
			}
			order := posternv1.ListEventsRequest_ORDER_NEWEST_FIRST
			if oldest {
				order = posternv1.ListEventsRequest_ORDER_OLDEST_FIRST
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Event, string, error) {
					r, err := c.Events.ListEvents(ctx, &posternv1.ListEventsRequest{Parent: parent, Filter: chosen, Order: order, PageSize: size, PageToken: token})
					a.explainNothing(r.GetNothingFound())
					return r.GetEvents(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, eventHeader(), eventRow)
			})
		},
	}
	filter.flags(cmd.Flags())
	filter.localDay.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	cmd.Flags().BoolVar(&oldest, "oldest-first", false, "oldest first")
	cmd.Flags().StringVar(&groupBy, "group-by", "", "fold: flow, subject-reason or ip-reason")
	_ = cmd.RegisterFlagCompletionFunc("group-by", cobra.FixedCompletions([]string{"flow", "subject-reason", "ip-reason"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func eventHeader() []string {
	return []string{"TIME", "SEQUENCE", "TYPE", "SITE", "FLOW", "WHO", "HOW", "NOTE"}
}

// flowOf names an event's flow as people do.
func flowOf(e *posternv1.Event) string {
	if code := e.GetSupportCode(); code != "" {
		return code
	}
	return e.GetFlow()
}

func eventRow(e *posternv1.Event) []string {
	return []string{show.Time(e.GetTime()), strconv.FormatInt(e.GetSequence(), 10), e.GetType(), e.GetSite(), flowOf(e),
		show.Person(e.GetPersonal()), show.How(e), show.Note(e)}
}

func (a *app) eventTypes() *cobra.Command {
	return &cobra.Command{
		Use:     "types",
		Short:   "The catalogue of event types and their reasons",
		Example: "  postern event types --output json | jq -r .type",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				r, err := c.Events.ListEventTypes(ctx, &posternv1.ListEventTypesRequest{})
				if err != nil {
					return err
				}
				return list(a, r.GetEventTypes(), []string{"TYPE", "CATEGORY", "OUTCOME", "REASONS", "DESCRIPTION"}, func(t *posternv1.EventType) []string {
					reasons := make([]string, len(t.GetReasons()))
					for i, x := range t.GetReasons() {
						reasons[i] = x.GetReason()
					}
					return []string{t.GetType(), t.GetCategory(), show.Enum("OUTCOME", t.GetOutcome()), strings.Join(reasons, " "), t.GetDescription()}
				})
			})
		},
	}
}

func (a *app) eventWatch() *cobra.Command {
	var (
		filter eventFilter
		w      watch
	)
	cmd := &cobra.Command{
		Use:   "watch ORGANIZATION",
		Short: "Follow the record as it grows",
		Long: `Follow the record in sequence order, as it grows, through restarts of the sidecar. It ends when interrupted, with exit
code 0, or when the sidecar cannot be reached at its start.

With --cursor-file, the place is remembered: the file is replaced atomically after a line has been handed to standard
output, and the next start goes on behind it. Nothing is left out and, when the command was interrupted or terminated,
nothing comes twice. After kill -9 or a power cut the last lines may come once more; "id" tells them apart. The file
belongs to one organization and one filter. With "--output json" every line is one event, so any log agent can run this
command and forward its output.`,
		Example: `  postern event watch acme
  postern event watch acme --type 'sign_in.*' --from oldest
  postern event watch acme --output json --cursor-file /var/lib/postern/acme.cursor >> events.jsonl`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			chosen, err := filter.filter(parent, a.now())
			if err != nil {
				return err
			}
			w.request = &posternv1.WatchEventsRequest{Parent: parent, Filter: chosen}
			w.line = a.eventLine
			w.stderr = a.stderr
			return a.connect(func(c *client.Client) error { return w.run(cmd.Context(), c) })
		},
	}
	filter.flags(cmd.Flags())
	cmd.Flags().StringVar(&w.from, "from", "", "where to begin without a remembered place: oldest or now (default now; oldest with --cursor-file)")
	cmd.Flags().StringVar(&w.cursorFile, "cursor-file", "", "file that remembers the place")
	cmd.Flags().IntVar(&w.max, "max-events", 0, "end after so many events; 0 means never")
	return cmd
}

// eventLine prints one event of a stream: tables cannot be drawn there.
func (a *app) eventLine(e *posternv1.Event) error {
	if a.json() {
		return a.message(e)
	}
	row := eventRow(e)
	return a.write([]byte(fmt.Sprintln(printable.Escape(row[0] + " " + words(row[2:]...)))))
}
