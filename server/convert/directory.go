package convert

import (
	"net/netip"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// Apply is a document to apply.
type Apply struct {
	Organization string // id
	Document     []byte
	Etag         string
	RequestID    string
	ValidateOnly bool
	Reason       string
	Force        bool
	Admin        policy.Address // whose way in must not be lost; zero: nobody's in particular
}

// ApplyOrganization converts a request to apply a document.
func (c *Converter) ApplyOrganization(r *posternv1.ApplyOrganizationRequest) (Apply, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return Apply{}, err
	}
	organization, err := names.Organization("name", r.GetName())
	if err != nil {
		return Apply{}, err
	}
	if r.GetDocument() == "" {
		return Apply{}, required("document")
	}
	who, err := admin(r.GetAdminEmail())
	if err != nil {
		return Apply{}, err
	}
	return Apply{
		Organization: organization, Document: []byte(r.GetDocument()), Etag: r.GetEtag(), RequestID: r.GetRequestId(),
		ValidateOnly: r.GetValidateOnly(), Reason: r.GetReason(), Force: r.GetForce(), Admin: who,
	}, nil
}

// ExportOrganization converts a request for an export to the id of its organization.
func (c *Converter) ExportOrganization(r *posternv1.ExportOrganizationRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("name", r.GetName())
}

// GetOrganization converts a request for one organization to its id.
func (c *Converter) GetOrganization(r *posternv1.GetOrganizationRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("name", r.GetName())
}

// Question is what Explain is asked about.
type Question struct {
	Organization  string // id
	Site          string // id
	AccountID     string
	Address       policy.Address // zero without a usable one
	AddressReason string         // why the e-mail given is not usable
	Kind          audit.SubjectKind
	IP            netip.Addr
	Method        audit.Method
	As            applying.AsOf // zero: everything as it is; with a revision the policy alone is of then
}

// Explain converts a question about a subject.
func (c *Converter) Explain(r *posternv1.ExplainRequest) (Question, error) {
	if err := c.Check(r); err != nil {
		return Question{}, err
	}
	q := Question{AccountID: r.GetAccountId(), Kind: audit.SubjectKind(r.GetKind())} //nolint:gosec // checked against the enum
	var err error
	if q.Organization, q.Site, err = names.Site("site", r.GetSite()); err != nil {
		return Question{}, err
	}
	if q.As, err = asOf(r.GetRevision(), r.GetTime()); err != nil {
		return Question{}, err
	}
	if q.IP, err = address("context.ip", r.GetContext().GetIp()); err != nil {
		return Question{}, err
	}
	if r.GetMethod() != "" {
		if q.Method, err = audit.ParseMethod(r.GetMethod()); err != nil {
			return Question{}, about("method", err)
		}
	}
	if r.GetEmail() == "" {
		return q, nil
	}
	a, err := policy.ParseUsableAddress(r.GetEmail())
	if err != nil {
		q.AddressReason = policy.Inspect(r.GetEmail()).Reason
		return q, nil //nolint:nilerr // an address that is not usable is an answer here
	}
	q.Address = a
	return q, nil
}
