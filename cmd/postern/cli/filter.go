package cli

import (
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// period is a time range on the command line: a moment in RFC 3339 form, or a duration back from now.
type period struct{ since, until string }

func (p *period) flags(f *pflag.FlagSet) {
	f.StringVar(&p.since, "since", "", "from then on: 2026-11-20T08:00:00Z, or 24h back from now")
	f.StringVar(&p.until, "until", "", "before then, likewise")
}

func (p *period) times(now time.Time) (start, end *timestamppb.Timestamp, err error) {
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
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return timestamppb.New(now.Add(-d)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, usagef("--%s must be a moment such as 2026-11-20T08:00:00Z, or a duration back from now such as 24h", flag)
	}
	return timestamppb.New(t), nil
}

// eventFilter is the filter of `event list` and `event watch`.
type eventFilter struct {
	period
	match    posternv1.EventMatch
	outcomes []string
	sandbox  string
}

func (e *eventFilter) flags(f *pflag.FlagSet) {
	e.period.flags(f)
	f.StringSliceVar(&e.match.Types, "type", nil, "type, or a family such as password.*; may be repeated, as all of these")
	f.StringSliceVar(&e.match.Sites, "site", nil, "site id")
	f.StringSliceVar(&e.match.Emails, "email", nil, "the subject's address, proven or typed")
	f.StringSliceVar(&e.match.AccountIds, "account-id", nil, "the subject's account id")
	f.StringSliceVar(&e.match.Flows, "flow", nil, "flow id")
	f.StringSliceVar(&e.outcomes, "outcome", nil, "info, success or failure")
	f.StringSliceVar(&e.match.Connections, "connection", nil, "connection id")
	f.StringSliceVar(&e.match.Networks, "ip", nil, "IP address, or network of length 32, 24, 16 (IPv6: 128, 64, 48, 32)")
	f.StringSliceVar(&e.match.Reasons, "reason", nil, "reason, for example BAD_CREDENTIALS")
	f.StringVar(&e.sandbox, "sandbox", "include", "events made while the organization was for trying things out: include or exclude")
}

func (e *eventFilter) filter(now time.Time) (*posternv1.EventFilter, error) {
	start, end, err := e.times(now)
	if err != nil {
		return nil, err
	}
	e.match.Outcomes = nil
	for _, o := range e.outcomes {
		v, err := enum("outcome", "OUTCOME", o, posternv1.Outcome_value)
		if err != nil {
			return nil, err
		}
		e.match.Outcomes = append(e.match.Outcomes, posternv1.Outcome(v))
	}
	sandbox, err := enum("sandbox", "SANDBOX", e.sandbox, posternv1.EventFilter_Sandbox_value)
	if err != nil {
		return nil, err
	}
	return &posternv1.EventFilter{StartTime: start, EndTime: end, Include: &e.match, Sandbox: posternv1.EventFilter_Sandbox(sandbox)}, nil
}
