package cli

import (
	"testing"
	"time"
)

func TestADayIsAsLongAsItIsThere(t *testing.T) {
	for _, c := range []struct {
		on, zone, from string
		hours          float64
	}{
		{"2026-11-20", "", "2026-11-20T00:00:00Z", 24},
		{"2026-11-20", "Europe/Berlin", "2026-11-19T23:00:00Z", 24},
		{"2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", 23},
		{"2026-10-25", "Europe/Berlin", "2026-10-24T22:00:00Z", 25},
		{"2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", 23},     // clocks went on at midnight: the day began at one
		{"2018-02-17", "America/Sao_Paulo", "2018-02-17T02:00:00Z", 25},     // and back at midnight: the day before went on
		{"2026-04-05", "Australia/Lord_Howe", "2026-04-04T13:00:00Z", 24.5}, // by half an hour
		{"2026-01-01", "Pacific/Kiritimati", "2025-12-31T10:00:00Z", 24},
		{"2026-01-01", "Pacific/Pago_Pago", "2026-01-01T11:00:00Z", 24},
		{"2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00Z", 24},
		{"2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z", 24},
		{"2024-02-29", "Asia/Kathmandu", "2024-02-28T18:15:00Z", 24},
	} {
		start, end, err := (&localDay{c.on, c.zone}).times()
		if err != nil {
			t.Errorf("%s in %s: %v", c.on, c.zone, err)
			continue
		}
		if got := start.AsTime().Format(time.RFC3339); got != c.from || end.AsTime().Sub(start.AsTime()).Hours() != c.hours {
			t.Errorf("%s in %s begins at %s and has %v, want %s and %v hours", c.on, c.zone, got, end.AsTime().Sub(start.AsTime()), c.from, c.hours)
		}
	}
	for _, d := range []localDay{
		{"2011-12-30", "Pacific/Apia"}, // clocks were set past it
		{"2026-02-29", "UTC"}, {"2026-13-01", ""}, {"29.03.2026", ""}, {"2026-3-9", ""}, {"", ""}, {"2026-03-29T00:00:00Z", ""},
		{"2026-03-29", "Europe/Bonn"}, {"2026-03-29", "../etc/passwd"}, {"2026-03-29", "CET+1"},
	} {
		if start, end, err := d.times(); err == nil || exitCode(err) != 2 {
			t.Errorf("%s in %s: from %v to %v, %v", d.on, d.zone, start, end, err)
		}
	}
}

func TestDaysFollowEachOtherWithoutGapOrOverlap(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran", "America/Nuuk"} {
		there, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		var before time.Time
		for date := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC); date.Year() < 2027; date = date.AddDate(0, 0, 1) {
			from, to := dayIn(there, date)
			if !before.IsZero() && !from.Equal(before) {
				t.Errorf("%s in %s begins at %v, the day before ended at %v", date.Format(time.DateOnly), zone, from, before)
			}
			if got := from.In(there).Format(time.DateOnly); got != date.Format(time.DateOnly) {
				t.Errorf("%s in %s begins on %s", date.Format(time.DateOnly), zone, got)
			}
			before = to
		}
	}
}
