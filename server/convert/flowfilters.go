package convert

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Flows converts a checked filter to the part of a query it chooses. People and networks become blind indexes of the organization.
func Flows(f *posternv1.FlowFilter, organizationUID string, x Indexer) (audit.FlowQuery, error) {
	q := audit.FlowQuery{OrganizationUID: organizationUID, Start: when(f.GetStartTime()), End: when(f.GetEndTime())}
	if err := rangeOf("filter.", f.GetStartTime(), f.GetEndTime()); err != nil {
		return audit.FlowQuery{}, err
	}
	include := &posternv1.FlowMatch{Sites: f.GetSites(), Emails: f.GetEmails(), AccountIds: f.GetAccountIds(), Endings: f.GetEndings(), SupportCodes: f.GetSupportCodes()}
	prefix := "filter."
	if f.GetInclude() != nil {
		if field := givenTwice(include, f.GetInclude()); field != "" {
			return audit.FlowQuery{}, errs.Field("filter.include."+field, "FIELD_UNEXPECTED", "is given in the filter itself as well: leave one of them out")
		}
		proto.Merge(include, f.GetInclude())
		prefix = "filter.include."
	}
	var err error
	if q.FlowMatch, err = flowMatch(prefix, include, organizationUID, x); err != nil {
		return audit.FlowQuery{}, err
	}
	q.Exclude, err = flowMatch("filter.exclude.", f.GetExclude(), organizationUID, x)
	return q, err
}

// givenTwice names a list that both have.
func givenTwice(a, b *posternv1.FlowMatch) (field string) {
	a.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if b.ProtoReflect().Has(fd) {
			field = string(fd.Name())
		}
		return field == ""
	})
	return field
}

// flowMatch converts what must or must not match.
func flowMatch(prefix string, m *posternv1.FlowMatch, organizationUID string, x Indexer) (audit.FlowMatch, error) {
	if field := emptyText(m); field != "" {
		return audit.FlowMatch{}, wrong(prefix+field, "must not hold an empty text")
	}
	q := audit.FlowMatch{Sites: m.GetSites(), Reasons: m.GetReasons(), Methods: m.GetMethods(), Factors: m.GetFactors(),
		Connections: m.GetConnections(), Rules: m.GetRules()}
	for _, e := range m.GetEndings() {
		q.Endings = append(q.Endings, audit.Ending(e)) //nolint:gosec // checked against the enum
	}
	for _, c := range m.GetClasses() {
		if c == posternv1.Class_CLASS_UNSPECIFIED {
			return audit.FlowMatch{}, wrong(prefix+"classes", "must be specified")
		}
		q.Classes = append(q.Classes, audit.Class(c)) //nolint:gosec // checked against the enum
	}
	for _, e := range m.GetEvidences() {
		if e == posternv1.Evidence_EVIDENCE_UNSPECIFIED {
			return audit.FlowMatch{}, wrong(prefix+"evidences", "must be specified")
		}
		q.Evidences = append(q.Evidences, audit.Evidence(e)) //nolint:gosec // checked against the enum
	}
	for _, s := range m.GetSupportCodes() {
		code, err := authflow.ParseSupportCode(s)
		if err != nil {
			return audit.FlowMatch{}, about(prefix+"support_codes", err)
		}
		q.SupportCodes = append(q.SupportCodes, code)
	}
	return q, flowIndexes(prefix, m, &q, organizationUID, x)
}

// flowIndexes makes the blind indexes of a match.
func flowIndexes(prefix string, m *posternv1.FlowMatch, q *audit.FlowMatch, organizationUID string, x Indexer) error {
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
