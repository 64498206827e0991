package cli

import (
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// flowFilter is the filter of the commands about flows.
type flowFilter struct {
	period
	include, exclude flowMatch
}

// flowMatch is the lists of a filter.
type flowMatch struct {
	posternv1.FlowMatch
	endings, classes, evidences []string
}

func (l *flowFilter) flags(f *pflag.FlagSet) {
	l.period.flags(f)
	l.include.flags(f, "", "")
	l.exclude.flags(f, "not-", "not ")
}

func (m *flowMatch) flags(f *pflag.FlagSet, prefix, not string) {
	for _, l := range []struct {
		list *[]string
		name string
		help string
	}{
		{&m.Sites, "site", "site id"},
		{&m.Emails, "email", "the subject's address, proven or typed"},
		{&m.AccountIds, "account-id", "the subject's account id"},
		{&m.EmailDomains, "email-domain", "domain of the subject's address"},
		{&m.SupportCodes, "code", "support code"},
		{&m.endings, "ending", "open, succeeded, denied, failed, cancelled, abandoned or superseded"},
		{&m.Reasons, "reason", "reason of the ending, for example MFA_REQUIRED"},
		{&m.classes, "class", "undetermined, external, managed or claimed"},
		{&m.Methods, "method", "method of a step, for example magic_link"},
		{&m.Factors, "factor", "factor of a step, for example TOTP"},
		{&m.Connections, "connection", "connection id of a step"},
		{&m.Rules, "rule", "rule that decided"},
		{&m.evidences, "evidence", "evidence of a step: asserted or verified"},
		{&m.Networks, "ip", "IP address, or network of length 32, 24, 16 (IPv6: 128, 64, 48, 32)"},
	} {
		f.StringSliceVar(l.list, prefix+l.name, nil, not+l.help)
	}
	f.StringArrayVar(&m.DisplayNames, prefix+"display-name", nil, not+"the subject's name, whole, in any case; commas belong to it")
}

// filter returns what the flags say.
func (l *flowFilter) filter(now time.Time) (*posternv1.FlowFilter, error) {
	out := &posternv1.FlowFilter{}
	var err error
	if out.StartTime, out.EndTime, err = l.times(now); err != nil {
		return nil, err
	}
	if out.Include, err = l.include.match(""); err != nil {
		return nil, err
	}
	out.Exclude, err = l.exclude.match("not-")
	return out, err
}

// match returns the lists, nil when all are empty.
func (m *flowMatch) match(prefix string) (*posternv1.FlowMatch, error) {
	out := &posternv1.FlowMatch{}
	proto.Merge(out, &m.FlowMatch)
	for _, text := range m.endings {
		v := int32(posternv1.Ending_ENDING_UNSPECIFIED)
		if text != "open" {
			var err error
			if v, err = enum(prefix+"ending", "ENDING", text, posternv1.Ending_value); err != nil {
				return nil, err
			}
		}
		out.Endings = append(out.Endings, posternv1.Ending(v))
	}
	var err error
	if out.Classes, err = classes(prefix+"class", m.classes); err != nil {
		return nil, err
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

func classes(flag string, texts []string) ([]posternv1.Class, error) {
	var out []posternv1.Class
	for _, text := range texts {
		v, err := enum(flag, "CLASS", text, posternv1.Class_value)
		if err != nil {
			return nil, err
		}
		out = append(out, posternv1.Class(v))
	}
	return out, nil
}
