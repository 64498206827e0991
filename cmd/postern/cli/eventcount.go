package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) eventCount() *cobra.Command {
	var (
		filter eventFilter
		by     []string
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "count ORGANIZATION",
		Short: "How many archived events match, in all and by field",
		Long: `How many archived events match a filter, in all and by the values of fields. Counts are exact. By more than one value of one field,
beside site and time, events are counted one by one, the newest first and not endlessly: how far it went is then said on standard error.

` + filterHelp + savedHelp,
		Example: `  postern event count acme --last 24h --by reason,site
  postern event count acme --type 'sign_in.*' --since 7d --by type,class --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			r := &posternv1.CountEventsRequest{Parent: parent, Limit: int32(min(max(limit, 0), maxCounted))}
			if r.Filter, err = filter.filter(parent, a.now()); err != nil {
				return err
			}
			for _, text := range by {
				v, err := enum("by", "EVENT_FIELD", strings.ReplaceAll(text, "-", "_"), posternv1.EventField_value)
				if err != nil {
					return err
				}
				r.Fields = append(r.Fields, posternv1.EventField(v))
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := c.Events.CountEvents(ctx, r)
				if err != nil {
					return err
				}
				return a.showCounts(answer)
			})
		},
	}
	filter.flags(cmd.Flags())
	filter.localDay.flags(cmd.Flags())
	cmd.Flags().StringSliceVar(&by, "by", nil, "fields: type, outcome, reason, method, factor, connection, class, evidence, rule, target-type, target-id, caller, site")
	cmd.Flags().IntVar(&limit, "limit", 10, "how many values of each field, at most 100")
	return cmd
}

// maxCounted is how many values of a field one call counts.
const maxCounted = 100

func (a *app) showCounts(r *posternv1.CountEventsResponse) error {
	if a.json() {
		return a.message(r)
	}
	rows := [][]string{{"", "total", strconv.FormatInt(r.GetTotal(), 10)}}
	for _, f := range r.GetFields() {
		name := strings.ToLower(strings.ReplaceAll(show.Enum("EVENT_FIELD", f.GetField()), "_", "-"))
		for _, v := range f.GetValues() {
			rows = append(rows, []string{name, fieldValue(f.GetField(), v.GetValue()), strconv.FormatInt(v.GetCount(), 10)})
		}
		if f.GetMore() {
			rows = append(rows, []string{name, "…", ""})
		}
	}
	if err := show.Table(a.stdout, []string{"FIELD", "VALUE", "COUNT"}, rows); err != nil {
		return err
	}
	a.incomplete(r.GetComplete(), r.GetCountedFromTime())
	return nil
}

// fieldValue shows a value as a flag takes it.
func fieldValue(f posternv1.EventField, value string) string {
	prefix := ""
	switch f {
	case posternv1.EventField_EVENT_FIELD_OUTCOME:
		prefix = "OUTCOME_"
	case posternv1.EventField_EVENT_FIELD_CLASS:
		prefix = "CLASS_"
	case posternv1.EventField_EVENT_FIELD_EVIDENCE:
		prefix = "EVIDENCE_"
	default:
		return value
	}
	return strings.ToLower(strings.TrimPrefix(value, prefix))
}

// incomplete says when not everything was counted.
func (a *app) incomplete(complete bool, from *timestamppb.Timestamp) {
	if !complete {
		fmt.Fprintf(a.stderr, "postern: what was recorded before %s was not counted; narrow the time or the filter\n", show.Time(from))
	}
}

// backs is how far back a histogram goes by itself.
var backs = map[posternv1.GetEventHistogramRequest_Step]string{
	posternv1.GetEventHistogramRequest_STEP_HOUR: "24h", posternv1.GetEventHistogramRequest_STEP_DAY: "30d",
	posternv1.GetEventHistogramRequest_STEP_WEEK: "180d", posternv1.GetEventHistogramRequest_STEP_MONTH: "365d",
}

func (a *app) eventHistogram() *cobra.Command {
	var (
		filter     eventFilter
		step, zone string
	)
	cmd := &cobra.Command{
		Use:   "histogram ORGANIZATION",
		Short: "How many archived events match, hour by hour or day by day",
		Long: `How many archived events match a filter, by hours, days, weeks (from Monday) or months of a time zone: where clocks change, a day is as long as
it is there. Without a time it goes back 24 hours by hours, 30 days by days, 180 days by weeks and 365 by months.

` + filterHelp + savedHelp,
		Example: `  postern event histogram acme --step day --tz Europe/Berlin
  postern event histogram acme --step hour --last 48h --outcome failure --output json | jq -c '.intervals[]'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			v, err := enum("step", "STEP", step, posternv1.GetEventHistogramRequest_Step_value)
			if err != nil {
				return err
			}
			r := &posternv1.GetEventHistogramRequest{Parent: parent, Step: posternv1.GetEventHistogramRequest_Step(v), TimeZone: zone}
			if filter.since == "" && filter.last == "" && filter.saved == "" {
				filter.last = backs[r.GetStep()]
			}
			if r.Filter, err = filter.filter(parent, a.now()); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				h, err := c.Events.GetEventHistogram(ctx, r)
				if err != nil {
					return err
				}
				return a.showHistogram(h, zone)
			})
		},
	}
	filter.flags(cmd.Flags())
	cmd.Flags().StringVar(&step, "step", "day", "hour, day, week or month")
	cmd.Flags().StringVar(&zone, "tz", "UTC", "time zone whose hours and days are meant, for example Europe/Berlin")
	_ = cmd.RegisterFlagCompletionFunc("step", cobra.FixedCompletions([]string{"hour", "day", "week", "month"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// barWidth is how long the longest bar is.
const barWidth = 40

func (a *app) showHistogram(h *posternv1.EventHistogram, zone string) error {
	if a.json() {
		return a.message(h)
	}
	there, err := time.LoadLocation(zone)
	if err != nil {
		there = time.UTC // the sidecar knows it, this machine does not
	}
	most := int64(1)
	for _, i := range h.GetIntervals() {
		most = max(most, i.GetCount())
	}
	rows := make([][]string, 0, len(h.GetIntervals()))
	for _, i := range h.GetIntervals() {
		rows = append(rows, []string{i.GetStartTime().AsTime().In(there).Format("2006-01-02 15:04 MST"), strconv.FormatInt(i.GetCount(), 10), bar(i.GetCount(), most)})
	}
	if err := show.Table(a.stdout, []string{"FROM", "COUNT", "BAR"}, rows); err != nil {
		return err
	}
	a.incomplete(h.GetComplete(), h.GetCountedFromTime())
	return nil
}

// bar draws a count beside the largest one: what is not zero is seen.
func bar(count, most int64) string {
	n := int(float64(count) / float64(most) * barWidth)
	if n == 0 && count > 0 {
		n = 1
	}
	return strings.Repeat("█", n)
}

// eventGroups lists events folded.
func (a *app) eventGroups(ctx context.Context, parent string, filter *posternv1.EventFilter, by string, limit int, oldest bool) error {
	if oldest {
		return usagef("--oldest-first does not go with --group-by: groups come with the newest first")
	}
	v, err := enum("group-by", "GROUP_BY", strings.ReplaceAll(by, "-", "_"), posternv1.GroupEventsRequest_GroupBy_value)
	if err != nil {
		return err
	}
	r := &posternv1.GroupEventsRequest{Parent: parent, Filter: filter, GroupBy: posternv1.GroupEventsRequest_GroupBy(v)}
	return a.connect(func(c *client.Client) error {
		all, err := pages(ctx, a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.EventGroup, string, error) {
			r.PageSize, r.PageToken = size, token
			answer, err := c.Events.GroupEvents(ctx, r)
			return answer.GetGroups(), answer.GetNextPageToken(), err
		})
		if err != nil {
			return err
		}
		return list(a, all, []string{"COUNT", "FIRST", "LAST", "REASON", "TYPE", "SITE", "FLOW", "WHO", "IP", "HOW"}, groupRow)
	})
}

func groupRow(g *posternv1.EventGroup) []string {
	e := g.GetNewest()
	reason := g.GetReason()
	if reason == "" {
		reason = e.GetReason()
	}
	return []string{strconv.FormatInt(g.GetCount(), 10), show.Time(g.GetFirstTime()), show.Time(g.GetLastTime()), reason, e.GetType(), e.GetSite(), flowOf(e),
		show.Person(e.GetPersonal()), e.GetPersonal().GetIp(), show.How(e)}
}
