package convert

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Events converts a checked filter to the part of a query it chooses. People and networks become blind indexes of the
// organization. The filter names no saved one and no relative start: see WithSaved and At.
func Events(f *posternv1.EventFilter, organizationUID string, x Indexer) (audit.Query, error) {
	q := audit.Query{
		OrganizationUID: organizationUID, Start: when(f.GetStartTime()), End: when(f.GetEndTime()),
		NoSandbox: f.GetSandbox() == posternv1.EventFilter_SANDBOX_EXCLUDE,
	}
	switch {
	case f.GetSavedFilter() != "":
		return audit.Query{}, errs.Field("filter.saved_filter", "FIELD_UNEXPECTED", "is not taken here: leave it out")
	case f.GetLast() != nil:
		return audit.Query{}, errs.Field("filter.last", "FIELD_UNEXPECTED", "is not taken here: leave it out")
	}
	if err := rangeOf("filter.", f.GetStartTime(), f.GetEndTime()); err != nil {
		return audit.Query{}, err
	}
	var err error
	if q.Match, err = match("filter.include.", f.GetInclude(), organizationUID, x); err != nil {
		return audit.Query{}, err
	}
	if q.Exclude, err = match("filter.exclude.", f.GetExclude(), organizationUID, x); err != nil {
		return audit.Query{}, err
	}
	err = lookFor(f.GetText(), &q)
	return q, err
}

// WithSaved puts a filter on top of a saved one: each list, the words, the choice about sandboxes and the time as a whole stand in
// the place of the saved ones where they are given. Neither is changed.
func WithSaved(saved, f *posternv1.EventFilter) *posternv1.EventFilter {
	out := cloned(saved)
	out.SavedFilter = ""
	if f.GetStartTime() != nil || f.GetEndTime() != nil || f.GetLast() != nil {
		out.StartTime, out.EndTime, out.Last = nil, nil, nil
	}
	given := cloned(f)
	given.SavedFilter = ""
	replace(out.ProtoReflect(), given.ProtoReflect())
	return out
}

func cloned(f *posternv1.EventFilter) *posternv1.EventFilter {
	out := &posternv1.EventFilter{}
	proto.Merge(out, f)
	return out
}

// replace writes each field that is set in from into to; matches are gone through list by list.
func replace(to, from protoreflect.Message) {
	from.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() != nil && fd.Message().FullName() == "postern.v1.EventMatch" {
			replace(to.Mutable(fd).Message(), v.Message())
		} else {
			to.Set(fd, v)
		}
		return true
	})
}

// At gives a filter with a relative start the moment it means, seen from now.
func At(f *posternv1.EventFilter, now time.Time) (*posternv1.EventFilter, error) {
	switch {
	case f.GetLast() == nil:
		return f, nil
	case f.GetStartTime() != nil:
		return nil, errs.Field("filter.last", "FIELD_UNEXPECTED", "give last or start_time, not both")
	}
	out := cloned(f)
	out.StartTime, out.Last = timestamppb.New(now.Add(-f.GetLast().AsDuration())), nil
	return out, nil
}

// match converts what must or must not match.
func match(prefix string, m *posternv1.EventMatch, organizationUID string, x Indexer) (audit.Match, error) {
	if field := emptyText(m); field != "" {
		return audit.Match{}, wrong(prefix+field, "must not hold an empty text")
	}
	q := audit.Match{
		Sites: m.GetSites(), Connections: m.GetConnections(), Reasons: m.GetReasons(), Methods: m.GetMethods(), Factors: m.GetFactors(),
		Rules: m.GetRules(), TargetTypes: m.GetTargetTypes(), TargetIDs: m.GetTargetIds(), Callers: m.GetCallers(), Types: m.GetTypes(),
	}
	if slices.ContainsFunc(m.GetTypes(), func(t string) bool { return !knownType(t) }) {
		return audit.Match{}, wrong(prefix+"types", "are the types of the catalogue, or families such as password.*")
	}
	for _, s := range m.GetFlows() {
		id, err := authflow.ParseFlowID(s)
		if err != nil {
			return audit.Match{}, about(prefix+"flows", err)
		}
		q.Flows = append(q.Flows, id.String())
	}
	for _, s := range m.GetSupportCodes() {
		code, err := authflow.ParseSupportCode(s)
		if err != nil {
			return audit.Match{}, about(prefix+"support_codes", err)
		}
		q.SupportCodes = append(q.SupportCodes, code)
	}
	if err := enums(prefix, m, &q); err != nil {
		return audit.Match{}, err
	}
	return q, subjectIndexes(prefix, m, &q, organizationUID, x)
}

// emptyText names the first list of a match that holds an empty text: whoever means "without a value" cannot say so.
func emptyText(m proto.Message) string {
	found := ""
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		for i := range v.List().Len() {
			if fd.Kind() == protoreflect.StringKind && v.List().Get(i).String() == "" {
				found = string(fd.Name())
			}
		}
		return found == ""
	})
	return found
}

func enums(prefix string, m *posternv1.EventMatch, q *audit.Match) error {
	const what = "must be specified"
	for _, v := range m.GetOutcomes() {
		if v == posternv1.Outcome_OUTCOME_UNSPECIFIED {
			return wrong(prefix+"outcomes", what)
		}
		q.Outcomes = append(q.Outcomes, audit.Outcome(v)) //nolint:gosec // checked against the enum
	}
	for _, v := range m.GetClasses() {
		if v == posternv1.Class_CLASS_UNSPECIFIED {
			return wrong(prefix+"classes", what)
		}
		q.Classes = append(q.Classes, audit.Class(v)) //nolint:gosec // checked against the enum
	}
	for _, v := range m.GetEvidences() {
		if v == posternv1.Evidence_EVIDENCE_UNSPECIFIED {
			return wrong(prefix+"evidences", what)
		}
		q.Evidences = append(q.Evidences, audit.Evidence(v)) //nolint:gosec // checked against the enum
	}
	return nil
}

// subjectIndexes makes the blind indexes of a match.
func subjectIndexes(prefix string, m *posternv1.EventMatch, q *audit.Match, organizationUID string, x Indexer) error {
	var err error
	if q.Subjects, err = subjects(prefix, m.GetEmails(), m.GetAccountIds(), organizationUID, x); err != nil {
		return err
	}
	for _, s := range m.GetEmailDomains() {
		d, err := policy.ParseDomain(s)
		if err != nil {
			return about(prefix+"email_domains", err)
		}
		if q.Domains, err = with(q.Domains, organizationUID, audit.IndexEmailDomain, d.String(), x); err != nil {
			return err
		}
	}
	for _, s := range m.GetDisplayNames() {
		if q.Names, err = with(q.Names, organizationUID, audit.IndexName, s, x); err != nil {
			return err
		}
	}
	q.Networks, err = networks(prefix+"networks", m.GetNetworks(), organizationUID, x)
	return err
}

// lookFor adds the words to look for. What can be nothing but a flow id or a support code is looked for as that.
func lookFor(given string, q *audit.Query) error {
	const field = "filter.text"
	list := strings.Fields(given)
	if len(list) > audit.MaxWords {
		return wrong(field, "must have at most 5 words")
	}
	for _, w := range list {
		id, err := authflow.ParseFlowID(w)
		code, isCode := supportCode(w)
		switch {
		case err == nil && len(q.Flows) > 0, isCode && len(q.SupportCodes) > 0:
			return errs.Field(field, "FIELD_UNEXPECTED", "holds a flow id or support code beside another one: list them under include")
		case err == nil:
			q.Flows = []string{id.String()}
		case isCode:
			q.SupportCodes = []string{code}
		default:
			q.Text = append(q.Text, w)
		}
	}
	return nil
}

// supportCode reads a word as a support code when it can hardly be anything else: written as codes are shown, in upper case or with
// a digit.
func supportCode(word string) (string, bool) {
	code, err := authflow.ParseSupportCode(word)
	return code, err == nil && (word == strings.ToUpper(word) || strings.ContainsAny(word, "0123456789"))
}

// knownType accepts a type of the catalogue, or a family of at least one.
func knownType(s string) bool {
	family, ok := strings.CutSuffix(s, "*")
	if !ok {
		return audit.Known(audit.Type(s))
	}
	if !strings.HasSuffix(family, ".") {
		return false
	}
	for _, t := range audit.Types() {
		if strings.HasPrefix(string(t.Type), family) {
			return true
		}
	}
	return false
}

func networks(field string, list []string, organizationUID string, x Indexer) ([]audit.Index, error) {
	var out []audit.Index
	for _, s := range list {
		prefix, err := network(s)
		if err != nil {
			return nil, wrong(field, "must be IP addresses or networks in CIDR form")
		}
		purpose, value, err := audit.NetworkIndex(prefix)
		if err != nil {
			return nil, about(field, err)
		}
		if out, err = with(out, organizationUID, purpose, value, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// network reads an address as the network of itself.
func network(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s) //nolint:wrapcheck // the text does not leave this file
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, errs.New(errs.Invalid, "NETWORK_INVALID", "not an address")
	}
	ip = ip.Unmap()
	return netip.PrefixFrom(ip, ip.BitLen()), nil
}
