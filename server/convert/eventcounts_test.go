package convert_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

const (
	byHour  = posternv1.GetEventHistogramRequest_STEP_HOUR
	byDay   = posternv1.GetEventHistogramRequest_STEP_DAY
	byWeek  = posternv1.GetEventHistogramRequest_STEP_WEEK
	byMonth = posternv1.GetEventHistogramRequest_STEP_MONTH
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	m, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStretchesFollowTheCalendarOfTheZone(t *testing.T) {
	for name, tt := range map[string]struct {
		step       posternv1.GetEventHistogramRequest_Step
		zone       string
		start, end string
		want       string // edges in UTC
	}{
		"hours of UTC":                      {byHour, "", "2026-01-01T00:30:00Z", "2026-01-01T02:00:00Z", "01T00:00 01T01:00 01T02:00"},
		"hours where the offset has a half": {byHour, "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "31T23:30 01T00:30 01T01:30"},
		"hours around a lost hour":          {byHour, "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z", "29T00:00 29T01:00 29T02:00 29T03:00"},
		"hours around half a lost hour":     {byHour, "Australia/Lord_Howe", "2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", "03T14:30 03T15:30 03T16:00 03T17:00"},
		"days of UTC":                       {byDay, "UTC", "2026-02-27T00:00:00Z", "2026-03-01T00:00:00Z", "27T00:00 28T00:00 01T00:00"},
		"a day of 23 hours":                 {byDay, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-30T00:00:00Z", "28T23:00 29T22:00 30T22:00"},
		"a day of 25 hours":                 {byDay, "America/New_York", "2026-11-01T12:00:00Z", "2026-11-02T05:00:00Z", "01T04:00 02T05:00"},
		"a day without a midnight":          {byDay, "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-07T00:00:00Z", "05T04:00 06T04:00 07T03:00"},
		"a day that never was":              {byDay, "Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z", "29T10:00 30T10:00 31T10:00 01T10:00"},
		"weeks begin on Monday":             {byWeek, "", "2026-11-22T23:00:00Z", "2026-11-24T00:00:00Z", "16T00:00 23T00:00 30T00:00"},
		"a week with a change of clocks":    {byWeek, "Europe/Berlin", "2026-03-24T00:00:00Z", "2026-03-29T00:00:00Z", "22T23:00 29T22:00"},
		"months":                            {byMonth, "Europe/Berlin", "2026-02-10T00:00:00Z", "2026-04-01T00:00:00Z", "31T23:00 28T23:00 31T22:00 30T22:00"},
		"a leap day":                        {byMonth, "", "2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z", "01T00:00 01T00:00"},
		"before 1970":                       {byHour, "", "1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z", "31T23:00 01T00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &posternv1.GetEventHistogramRequest{Step: tt.step, TimeZone: tt.zone}
			bounds, err := convert.HistogramBounds(r, at(t, tt.start), at(t, tt.end), time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range bounds {
				got = append(got, b.UTC().Format("02T15:04"))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// Whatever the zone, stretches join, rise, hold the whole time and are of a length that such a stretch can have.
func TestStretchesJoinInEveryZone(t *testing.T) {
	longest := map[posternv1.GetEventHistogramRequest_Step]time.Duration{
		byHour: time.Hour + 30*time.Minute, byDay: 26 * time.Hour, byWeek: 7*24*time.Hour + 2*time.Hour, byMonth: 31*24*time.Hour + 2*time.Hour,
	}
	for _, zone := range []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Beirut",
		"America/Havana", "Pacific/Chatham", "Africa/Casablanca", "Pacific/Kiritimati",
	} {
		for step, most := range longest {
			start := at(t, "2026-01-01T05:17:00Z")
			end := start.Add(min(900*most, 365*24*time.Hour))
			bounds, err := convert.HistogramBounds(&posternv1.GetEventHistogramRequest{Step: step, TimeZone: zone}, start, start.Add(min(900*time.Hour, end.Sub(start))), time.Time{})
			if err != nil {
				t.Fatal(zone, step, err)
			}
			if bounds[0].After(start) || bounds[len(bounds)-1].Before(start.Add(900*time.Hour)) {
				t.Errorf("%s %s: from %v until %v", zone, step, bounds[0], bounds[len(bounds)-1])
			}
			for i := 1; i < len(bounds); i++ {
				if d := bounds[i].Sub(bounds[i-1]); d <= 0 || d > most {
					t.Errorf("%s %s: %v long from %v", zone, step, d, bounds[i-1])
				}
			}
		}
	}
}

func TestHistogramsThatCannotBeAreRefused(t *testing.T) {
	now := at(t, "2026-11-20T12:00:00Z")
	times := func(list ...int64) []*timestamppb.Timestamp {
		var out []*timestamppb.Timestamp
		for _, n := range list {
			out = append(out, timestamppb.New(time.Unix(n, 0)))
		}
		return out
	}
	for name, tt := range map[string]struct {
		r             *posternv1.GetEventHistogramRequest
		start         time.Time
		reason, field string
	}{
		"nothing":              {&posternv1.GetEventHistogramRequest{}, now.Add(-time.Hour), "FIELD_REQUIRED", "step"},
		"both":                 {&posternv1.GetEventHistogramRequest{Step: byDay, Bounds: times(1, 2)}, now.Add(-time.Hour), "FIELD_UNEXPECTED", "bounds"},
		"bounds in a zone":     {&posternv1.GetEventHistogramRequest{Bounds: times(1, 2), TimeZone: "UTC"}, now, "FIELD_UNEXPECTED", "time_zone"},
		"one bound":            {&posternv1.GetEventHistogramRequest{Bounds: times(1)}, now, "FIELD_INVALID", "bounds"},
		"equal bounds":         {&posternv1.GetEventHistogramRequest{Bounds: times(1, 2, 2)}, now, "FIELD_INVALID", "bounds"},
		"open start":           {&posternv1.GetEventHistogramRequest{Step: byDay}, time.Time{}, "FIELD_REQUIRED", "filter.start_time"},
		"start to come":        {&posternv1.GetEventHistogramRequest{Step: byDay}, now.Add(time.Hour), "FIELD_INVALID", "filter.start_time"},
		"too many":             {&posternv1.GetEventHistogramRequest{Step: byHour}, now.Add(-1001 * time.Hour), "FIELD_INVALID", "step"},
		"a zone of nowhere":    {&posternv1.GetEventHistogramRequest{Step: byDay, TimeZone: "Europe/Nowhere"}, now.Add(-time.Hour), "FIELD_INVALID", "time_zone"},
		"a path":               {&posternv1.GetEventHistogramRequest{Step: byDay, TimeZone: "../../etc/passwd"}, now.Add(-time.Hour), "FIELD_INVALID", "time_zone"},
		"this machine's clock": {&posternv1.GetEventHistogramRequest{Step: byDay, TimeZone: "Local"}, now.Add(-time.Hour), "FIELD_INVALID", "time_zone"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := convert.HistogramBounds(tt.r, tt.start, time.Time{}, now)
			refused(t, err, tt.reason, tt.field)
		})
	}
	most := &posternv1.GetEventHistogramRequest{Step: byHour}
	if bounds, err := convert.HistogramBounds(most, now.Add(-1000*time.Hour), time.Time{}, now); err != nil || len(bounds) != 1001 {
		t.Errorf("1000 stretches: %d bounds, %v", len(bounds), err)
	}
}

// A week or a month may begin before the first moment that messages have, and end behind the last one.
func TestMomentsThatMessagesCannotHaveAreMovedToThoseTheyCan(t *testing.T) {
	for text, m := range map[string]time.Time{
		"0001-01-01T00:00:00Z": time.Date(0, 12, 25, 0, 0, 0, 0, time.UTC), "9999-12-31T23:59:59.999999999Z": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-03-29T00:00:00Z": time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC),
	} {
		if got := convert.Timestamp(m); !got.IsValid() || got.AsTime().Format(time.RFC3339Nano) != text {
			t.Errorf("%v: %v", m, got)
		}
	}
}
