package cli

import (
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// eventFilter is the filter of the commands about events.
type eventFilter struct {
	period
	include, exclude eventMatch
	text             string
	saved            string
	last             string
	sandbox          string
}

// eventMatch is the lists of a filter.
type eventMatch struct {
	posternv1.EventMatch
	outcomes, classes, evidences []string
}

// filterHelp says how the flags of a filter go together.
const filterHelp = `A filter: a list may be given as a,b or by repeating its flag, and an event fits when it has one of the values. It must fit
every flag, and none of those that begin with --not.`

// savedHelp says how a saved filter goes with flags.
const savedHelp = " With --saved, the other flags stand in the place of what the saved filter says."

// flags are those of commands that search.
func (e *eventFilter) flags(f *pflag.FlagSet) {
	e.own(f)
	f.StringVar(&e.saved, "saved", "", "id of a saved filter")
}

// own are the flags that say something themselves.
func (e *eventFilter) own(f *pflag.FlagSet) {
	e.period.flags(f)
	f.StringVar(&e.last, "last", "", "from so long ago on: 24h, 7d; like --since, and kept so in a saved filter")
	e.include.flags(f, "", "")
	f.StringVar(&e.text, "text", "", "up to 5 words, each the beginning of a word of type, reason, method, connection, rule, target, caller or site; or a support code")
	f.StringVar(&e.sandbox, "sandbox", "include", "events made while the organization was for trying things out: include or exclude")
	e.exclude.flags(f, "not-", "not ")
}

func (m *eventMatch) flags(f *pflag.FlagSet, prefix, not string) {
	for _, l := range []struct {
		list *[]string
		name string
		help string
	}{
		{&m.Types, "type", "type, or a family such as password.*"},
		{&m.Sites, "site", "site id"},
		{&m.Emails, "email", "the subject's address, proven or typed"},
		{&m.AccountIds, "account-id", "the subject's account id"},
		{&m.EmailDomains, "email-domain", "domain of the subject's address"},
		{&m.Flows, "flow", "flow id"},
		{&m.SupportCodes, "support-code", "support code"},
		{&m.outcomes, "outcome", "info, success or failure"},
		{&m.Reasons, "reason", "reason, for example BAD_CREDENTIALS"},
		{&m.Methods, "method", "method, for example magic_link"},
		{&m.Factors, "factor", "factor, for example TOTP"},
		{&m.Connections, "connection", "connection id"},
		{&m.Networks, "ip", "IP address, or network of length 32, 24, 16 (IPv6: 128, 64, 48, 32)"},
		{&m.classes, "class", "undetermined, external, managed or claimed"},
		{&m.evidences, "evidence", "asserted or verified"},
		{&m.Rules, "rule", "rule that decided"},
		{&m.TargetTypes, "target-type", "kind of object, for example domain"},
		{&m.TargetIds, "target-id", "id of that object"},
		{&m.Callers, "caller", "who called"},
	} {
		f.StringSliceVar(l.list, prefix+l.name, nil, not+l.help)
	}
	f.StringArrayVar(&m.DisplayNames, prefix+"display-name", nil, not+"the subject's name, whole, in any case; commas belong to it")
}

// filter returns what the flags say of an organization, whose full name is parent.
func (e *eventFilter) filter(parent string, now time.Time) (*posternv1.EventFilter, error) {
	start, end, err := e.times(now)
	if err != nil {
		return nil, err
	}
	sandbox, err := enum("sandbox", "SANDBOX", e.sandbox, posternv1.EventFilter_Sandbox_value)
	if err != nil {
		return nil, err
	}
	out := &posternv1.EventFilter{StartTime: start, EndTime: end, Text: e.text}
	if e.saved == "" || e.sandbox != "include" { // what is the default must not stand in the place of a saved choice
		out.Sandbox = posternv1.EventFilter_Sandbox(sandbox)
	}
	if e.last != "" {
		d, err := span(e.last)
		if err != nil || d <= 0 {
			return nil, usagef("--last must be a duration such as 24h or 7d")
		}
		out.Last = durationpb.New(d)
	}
	if e.saved != "" {
		out.SavedFilter = savedName(parent, e.saved)
	}
	if out.Include, err = e.include.match(""); err != nil {
		return nil, err
	}
	out.Exclude, err = e.exclude.match("not-")
	return out, err
}

// savedName completes the id of a saved filter.
func savedName(parent, id string) string {
	if strings.HasPrefix(id, "organizations/") {
		return id
	}
	return parent + "/savedFilters/" + id
}

// match returns the lists, nil when all are empty.
func (m *eventMatch) match(prefix string) (*posternv1.EventMatch, error) {
	out := &posternv1.EventMatch{}
	proto.Merge(out, &m.EventMatch)
	for _, text := range m.outcomes {
		v, err := enum(prefix+"outcome", "OUTCOME", text, posternv1.Outcome_value)
		if err != nil {
			return nil, err
		}
		out.Outcomes = append(out.Outcomes, posternv1.Outcome(v))
	}
	for _, text := range m.classes {
		v, err := enum(prefix+"class", "CLASS", text, posternv1.Class_value)
		if err != nil {
			return nil, err
		}
		out.Classes = append(out.Classes, posternv1.Class(v))
	}
	for _, text := range m.evidences {
		v, err := enum(prefix+"evidence", "EVIDENCE", text, posternv1.Evidence_value)
		if err != nil {
			return nil, err
		}
		out.Evidences = append(out.Evidences, posternv1.Evidence(v))
	}
	if proto.Size(out) == 0 {
		return nil, nil //nolint:nilnil // nothing must match
	}
	return out, nil
}
