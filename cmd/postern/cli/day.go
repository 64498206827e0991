package cli

import (
	"time"

	_ "time/tzdata" // zones are the same wherever this runs

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// localDay is a calendar day of a time zone on the command line.
type localDay struct{ on, zone string }

func (d *localDay) flags(f *pflag.FlagSet) {
	f.StringVar(&d.on, "on", "", "that whole day: 2026-03-29, in the time zone of --tz; in the place of --since and --until")
	f.StringVar(&d.zone, "tz", "", "time zone of --on, for example Europe/Berlin (default UTC)")
}

// times returns the first moment of the day, and the first one after it.
func (d *localDay) times() (start, end *timestamppb.Timestamp, err error) {
	there, err := d.location()
	if err != nil {
		return nil, nil, err
	}
	date, err := time.Parse(time.DateOnly, d.on)
	if err != nil {
		return nil, nil, usagef("--on must be a date such as 2026-03-29")
	}
	from, to := dayIn(there, date)
	if !from.Before(to) {
		return nil, nil, usagef("there was no %s in %s: clocks were set past it", d.on, there)
	}
	return timestamppb.New(from), timestamppb.New(to), nil
}

func (d *localDay) location() (*time.Location, error) {
	there, err := time.LoadLocation(d.zone)
	if err != nil {
		return nil, usagef("--tz: there is no time zone %q: give a name such as Europe/Berlin", d.zone)
	}
	return there, nil
}

// widestOffset is more than any zone was ever ahead of UTC or behind it.
const widestOffset = 26 * time.Hour

// dayIn returns from when until when it is the date of a moment in UTC somewhere: 23 or 25 hours on days on which clocks change, none
// at all when they were set past it. Between two changes of a zone's clocks a day is where the offset puts it.
func dayIn(there *time.Location, date time.Time) (from, to time.Time) {
	end := date.Add(day + widestOffset)
	for t := date.Add(-widestOffset); t.Before(end); {
		begins, ends := t.In(there).ZoneBounds()
		_, seconds := t.In(there).Zone()
		offset := time.Duration(seconds) * time.Second
		first, last := date.Add(-offset), date.Add(day-offset)
		if !begins.IsZero() && first.Before(begins) {
			first = begins
		}
		if !ends.IsZero() && ends.Before(last) {
			last = ends
		}
		if first.Before(last) {
			if from.IsZero() {
				from = first
			}
			to = last
		}
		if ends.IsZero() {
			break
		}
		t = ends
	}
	return from.UTC(), to.UTC()
}
