package convert

import (
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

const maxDomainText = 1024 // as typed: the A-label form is shorter

// domainName is a name that ends in a domain.
func domainName() Bound {
	return token(names.LongestDomain, "a resource name", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '/' || c == '.' })
	})
}

// domains are the bounds of what is about domains.
func domains() map[string]Bound {
	return map[string]Bound{
		"CreateDomainRequest.parent":             name(),
		"CreateDomainRequest.domain":             text(maxDomainText),
		"CreateDomainRequest.include_subdomains": flag(),
		"CreateDomainRequest.lapse_after":        span(domaincheck.MinLapse, domaincheck.MaxLapse),
		"CreateDomainRequest.request_id":         requestID(),
		"CreateDomainRequest.reason":             lines(maxReason),

		"GetDomainRequest.name": domainName(),

		"UpdateDomainRequest.domain":      message(),
		"UpdateDomainRequest.update_mask": mask(),
		"UpdateDomainRequest.etag":        requestIDOf(64),
		"UpdateDomainRequest.request_id":  requestID(),
		"UpdateDomainRequest.reason":      lines(maxReason),
		"UpdateDomainRequest.force":       flag(),
		"UpdateDomainRequest.admin_email": text(maxEmail),

		"Domain.domain":             text(maxDomainText),
		"Domain.include_subdomains": flag(),
		"Domain.verified_by":        text(64),
		"Domain.revision":           count(),
		"Domain.origin":             enum(),
		"Domain.name":               domainName(),
		"Domain.state":              enum(),
		"Domain.record_name":        text(maxDomainText),
		"Domain.record_text":        text(maxDomainText),
		"Domain.dnssec":             flag(),
		"Domain.stale":              flag(),
		"Domain.verify_time":        moment(),
		"Domain.check_time":         moment(),
		"Domain.check_outcome":      text(64),
		"Domain.check_detail":       text(64),
		"Domain.next_check_time":    moment(),
		"Domain.negative_count":     count(),
		"Domain.fail_time":          moment(),
		"Domain.lapse_after":        span(domaincheck.MinLapse, domaincheck.MaxLapse),
		"Domain.create_time":        moment(),
		"Domain.etag":               requestIDOf(64),

		"ListDomainsRequest.parent":     name(),
		"ListDomainsRequest.page_size":  count(),
		"ListDomainsRequest.page_token": opaque(),
		"ListDomainsRequest.state":      enum(),

		"VerifyDomainRequest.name":       domainName(),
		"VerifyDomainRequest.request_id": requestID(),

		"ConfirmDomainRemovalRequest.name":        domainName(),
		"ConfirmDomainRemovalRequest.request_id":  requestID(),
		"ConfirmDomainRemovalRequest.etag":        requestIDOf(64),
		"ConfirmDomainRemovalRequest.reason":      lines(maxReason),
		"ConfirmDomainRemovalRequest.force":       flag(),
		"ConfirmDomainRemovalRequest.admin_email": text(maxEmail),

		"DeleteDomainRequest.name":        domainName(),
		"DeleteDomainRequest.request_id":  requestID(),
		"DeleteDomainRequest.etag":        requestIDOf(64),
		"DeleteDomainRequest.reason":      lines(maxReason),
		"DeleteDomainRequest.force":       flag(),
		"DeleteDomainRequest.admin_email": text(maxEmail),
	}
}

// NewDomain is a domain to verify.
type NewDomain struct {
	Organization string // id
	Domain       policy.Domain
	Subdomains   bool
	LapseAfter   time.Duration // zero: never
	RequestID    string
	Reason       string
}

// DomainChange names a domain to do something with.
type DomainChange struct {
	Organization string // id
	Domain       policy.Domain
	RequestID    string
	Etag         string
	Reason       string
	Admin        policy.Address // of who makes the change; zero: nobody in particular
	Force        bool
}

// DomainUpdate is what is chosen anew about a domain; nil stays as it is.
type DomainUpdate struct {
	DomainChange
	Subdomains *bool
	LapseAfter *time.Duration // zero: never
}

// UpdateDomain converts what is chosen anew about a domain.
func (c *Converter) UpdateDomain(r *posternv1.UpdateDomainRequest) (DomainUpdate, error) {
	var in DomainUpdate
	var err error
	in.DomainChange, err = c.domainChange(r, "domain.name", r.GetDomain().GetName(), DomainChange{RequestID: r.GetRequestId(), Etag: r.GetEtag(), Reason: r.GetReason(), Force: r.GetForce()})
	if err != nil {
		return in, err
	}
	changed, err := paths("update_mask", r.GetUpdateMask(), "include_subdomains", "lapse_after")
	for _, path := range changed {
		switch path {
		case "include_subdomains":
			yes := r.GetDomain().GetIncludeSubdomains()
			in.Subdomains = &yes
		case "lapse_after":
			after := r.GetDomain().GetLapseAfter().AsDuration()
			in.LapseAfter = &after
		}
	}
	return in, err
}

// CreateDomain converts a domain to verify.
func (c *Converter) CreateDomain(r *posternv1.CreateDomainRequest) (NewDomain, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return NewDomain{}, err
	}
	in := NewDomain{Subdomains: r.GetIncludeSubdomains(), LapseAfter: r.GetLapseAfter().AsDuration(), RequestID: r.GetRequestId(), Reason: r.GetReason()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return NewDomain{}, err
	}
	if r.GetDomain() == "" {
		return NewDomain{}, required("domain")
	}
	if in.Domain, err = domaincheck.Check(r.GetDomain()); err != nil {
		return NewDomain{}, about("domain", err)
	}
	return in, nil
}

// domainOf reads the name of a domain, which is in canonical form.
func domainOf(field, name string) (organization string, d policy.Domain, err error) {
	organization, text, err := names.Domain(field, name)
	if err != nil {
		return "", policy.Domain{}, err
	}
	d, err = policy.ParseDomain(text)
	if err != nil || d.String() != text {
		return "", policy.Domain{}, errs.Field(field, "NAME_INVALID", "must end in a domain in A-label form, as an answer named it")
	}
	return organization, d, nil
}

// GetDomain converts a request for one domain.
func (c *Converter) GetDomain(r *posternv1.GetDomainRequest) (organization string, d policy.Domain, err error) {
	if err := c.Check(r); err != nil {
		return "", policy.Domain{}, err
	}
	return domainOf("name", r.GetName())
}

// ListDomains converts a request for a page of domains to the id of their organization.
func (c *Converter) ListDomains(r *posternv1.ListDomainsRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("parent", r.GetParent())
}

// VerifyDomain converts a request to look at a domain's zone.
func (c *Converter) VerifyDomain(r *posternv1.VerifyDomainRequest) (DomainChange, error) {
	return c.domainChange(r, "name", r.GetName(), DomainChange{RequestID: r.GetRequestId()})
}

// ConfirmDomainRemoval converts a request to end a domain that fails.
func (c *Converter) ConfirmDomainRemoval(r *posternv1.ConfirmDomainRemovalRequest) (DomainChange, error) {
	return c.domainChange(r, "name", r.GetName(), DomainChange{RequestID: r.GetRequestId(), Etag: r.GetEtag(), Reason: r.GetReason(), Force: r.GetForce()})
}

// DeleteDomain converts a request to remove a domain.
func (c *Converter) DeleteDomain(r *posternv1.DeleteDomainRequest) (DomainChange, error) {
	return c.domainChange(r, "name", r.GetName(), DomainChange{RequestID: r.GetRequestId(), Etag: r.GetEtag(), Reason: r.GetReason(), Force: r.GetForce()})
}

func (c *Converter) domainChange(m request, field, name string, in DomainChange) (DomainChange, error) {
	if err := c.mutation(m, in.RequestID); err != nil {
		return DomainChange{}, err
	}
	var err error
	if m, ok := m.(interface{ GetAdminEmail() string }); ok {
		if in.Admin, err = admin(m.GetAdminEmail()); err != nil {
			return in, err
		}
	}
	in.Organization, in.Domain, err = domainOf(field, name)
	return in, err
}
