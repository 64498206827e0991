package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// period is a time range on the command line: a moment in RFC 3339 form, or a duration back from now.
type period struct {
	since, until string
	localDay     // of commands that take it
}

func (p *period) flags(f *pflag.FlagSet) {
	f.StringVar(&p.since, "since", "", "from then on: 2026-11-20T08:00:00Z, or 24h or 7d back from now")
	f.StringVar(&p.until, "until", "", "before then, likewise")
}

func (p *period) times(now time.Time) (start, end *timestamppb.Timestamp, err error) {
	switch {
	case p.on != "" && (p.since != "" || p.until != ""):
		return nil, nil, usagef("--on is the whole day: leave out --since and --until")
	case p.on != "":
		return p.localDay.times()
	case p.zone != "":
		return nil, nil, usagef("--tz goes with --on")
	}
	if start, err = moment("since", p.since, now); err != nil {
		return nil, nil, err
	}
	end, err = moment("until", p.until, now)
	return start, end, err
}

func moment(flag, text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no moment is a valid answer
	}
	if d, err := span(text); err == nil && d >= 0 {
		return timestamppb.New(now.Add(-d)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, usagef("--%s must be a moment such as 2026-11-20T08:00:00Z, or a duration back from now such as 24h or 7d", flag)
	}
	return timestamppb.New(t), nil
}

// span reads a duration, which may be in days: 90m, 24h, 7d.
func span(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * day, err
	}
	return time.ParseDuration(text)
}
