package convert

import (
	"slices"
	"strconv"
	"time"
	_ "time/tzdata" // histograms are the same on machines without a time zone database

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// How many values of a field are counted.
const (
	defaultValues = 10
	maxFacet      = 100
)

// CountFields converts the checked fields to count by, and how many values of each.
func CountFields(r *posternv1.CountEventsRequest) ([]audit.Field, int, error) {
	var out []audit.Field
	for _, f := range r.GetFields() {
		field := audit.Field(f) //nolint:gosec // checked against the enum
		switch {
		case f == posternv1.EventField_EVENT_FIELD_UNSPECIFIED:
			return nil, 0, wrong("fields", "must be specified")
		case slices.Contains(out, field):
			return nil, 0, wrong("fields", "must not be given twice")
		}
		out = append(out, field)
	}
	limit := int(r.GetLimit())
	if limit == 0 {
		limit = defaultValues
	}
	return out, min(limit, maxFacet), nil
}

// FieldCounts is a facet as answers show it.
func FieldCounts(f *audit.Facet) *posternv1.EventFieldCounts {
	out := &posternv1.EventFieldCounts{Field: posternv1.EventField(f.Field), More: f.More}
	for _, v := range f.Values {
		out.Values = append(out.Values, &posternv1.EventValueCount{Value: valueOf(f.Field, v.Value), Count: v.Count})
	}
	return out
}

// valueOf shows a term's value: numbers of enums by their names.
func valueOf(f audit.Field, value string) string {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return value
	}
	switch f { //nolint:exhaustive // the others are texts
	case audit.FieldOutcome:
		return posternv1.Outcome(n).String()
	case audit.FieldClass:
		return posternv1.Class(n).String()
	case audit.FieldEvidence:
		return posternv1.Evidence(n).String()
	}
	return value
}

// HistogramBounds converts a checked request to the edges of its stretches. start and end are those of its filter, zero when open; an
// open end is now.
func HistogramBounds(r *posternv1.GetEventHistogramRequest, start, end, now time.Time) ([]time.Time, error) {
	step := r.GetStep()
	switch {
	case step == posternv1.GetEventHistogramRequest_STEP_UNSPECIFIED && len(r.GetBounds()) == 0:
		return nil, required("step")
	case step == posternv1.GetEventHistogramRequest_STEP_UNSPECIFIED && r.GetTimeZone() != "":
		return nil, errs.Field("time_zone", "FIELD_UNEXPECTED", "goes with a step: bounds are moments")
	case step == posternv1.GetEventHistogramRequest_STEP_UNSPECIFIED:
		return givenBounds(r.GetBounds())
	case len(r.GetBounds()) > 0:
		return nil, errs.Field("bounds", "FIELD_UNEXPECTED", "give step or bounds, not both")
	case start.IsZero():
		return nil, errs.Field("filter.start_time", "FIELD_REQUIRED", "must say from when on, or filter.last how long back")
	}
	if end.IsZero() {
		end = now
	}
	if !start.Before(end) {
		return nil, wrong("filter.start_time", "must be before the end, which is now when none is given")
	}
	zone, err := location(r.GetTimeZone())
	if err != nil {
		return nil, err
	}
	return stretches{step, zone}.bounds(start, end)
}

func givenBounds(list []*timestamppb.Timestamp) ([]time.Time, error) {
	out := make([]time.Time, len(list))
	for i, t := range list {
		if out[i] = t.AsTime(); i > 0 && !out[i].After(out[i-1]) {
			return nil, wrong("bounds", "must each come after the one before")
		}
	}
	if len(out) < 2 {
		return nil, wrong("bounds", "must have 2 to 1001 values")
	}
	return out, nil
}

func location(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // that of this machine is nobody's business
		return nil, wrong("time_zone", "is no time zone of the IANA database, such as Europe/Berlin")
	}
	return zone, nil
}

// stretches are steps of a calendar.
type stretches struct {
	step posternv1.GetEventHistogramRequest_Step
	zone *time.Location
}

// bounds returns the edges from the one at or before start to the one at or after end.
func (s stretches) bounds(start, end time.Time) ([]time.Time, error) {
	out := []time.Time{s.floor(start)}
	for last := out[0]; last.Before(end); {
		if len(out) == audit.MaxBounds {
			return nil, wrong("step", "is too short: at most 1000 stretches come out of a histogram")
		}
		last = s.next(last)
		out = append(out, last.UTC())
	}
	out[0] = out[0].UTC()
	return out, nil
}

// floor returns the last edge that is not after t.
func (s stretches) floor(t time.Time) time.Time {
	t = t.In(s.zone)
	if s.step == posternv1.GetEventHistogramRequest_STEP_HOUR {
		_, offset := t.Zone()
		clock := t.Unix() + int64(offset)
		hour := time.Unix(t.Unix()-(clock%3600+3600)%3600, 0).In(s.zone)
		if changed, _ := t.ZoneBounds(); changed.After(hour) { // clocks changed by half an hour
			return changed
		}
		return hour
	}
	return s.begin(s.date(t))
}

// next returns the edge after an edge.
func (s stretches) next(t time.Time) time.Time {
	if s.step == posternv1.GetEventHistogramRequest_STEP_HOUR {
		return s.floor(t.Add(time.Hour))
	}
	date := s.date(t)
	for {
		switch s.step {
		case posternv1.GetEventHistogramRequest_STEP_MONTH:
			date = date.AddDate(0, 1, 0)
		case posternv1.GetEventHistogramRequest_STEP_WEEK:
			date = date.AddDate(0, 0, 7)
		default:
			date = date.AddDate(0, 0, 1)
		}
		if n := s.begin(date); n.After(t) { // not so where a zone left a day out
			return n
		}
	}
}

// date returns the first day of the stretch that holds t, as midnight in UTC: calendars are counted there, since it has all days.
func (s stretches) date(t time.Time) time.Time {
	y, m, d := t.In(s.zone).Date()
	switch s.step { //nolint:exhaustive // days are themselves
	case posternv1.GetEventHistogramRequest_STEP_MONTH:
		d = 1
	case posternv1.GetEventHistogramRequest_STEP_WEEK:
		day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// begin returns the first moment that the zone's calendar shows this day or a later one: not every day has a midnight.
func (s stretches) begin(date time.Time) time.Time {
	const widest = 30 * 3600 // seconds; no zone is further from UTC
	first := date.Unix() - widest
	after := func(n int) int {
		y, m, d := time.Unix(first+int64(n), 0).In(s.zone).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Compare(date)
	}
	low, high := 0, 2*widest
	for low < high {
		if middle := (low + high) / 2; after(middle) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return time.Unix(first+int64(low), 0).In(s.zone)
}

// GroupBy converts a checked way to fold.
func GroupBy(by posternv1.GroupEventsRequest_GroupBy) (audit.GroupBy, error) {
	if by == posternv1.GroupEventsRequest_GROUP_BY_UNSPECIFIED {
		return 0, required("group_by")
	}
	return audit.GroupBy(by), nil //nolint:gosec // checked against the enum; the numbers are the same
}
