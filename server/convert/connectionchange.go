package convert

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// CreateConnection converts a connection to make.
func (c *Converter) CreateConnection(r *posternv1.CreateConnectionRequest) (applying.ConnectionInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.ConnectionInput{}, err
	}
	if change.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return applying.ConnectionInput{}, err
	}
	m := r.GetConnection()
	switch {
	case r.GetConnectionId() == "":
		return applying.ConnectionInput{}, required("connection_id")
	case m == nil:
		return applying.ConnectionInput{}, required("connection")
	case m.GetKind() == posternv1.Connection_KIND_UNSPECIFIED:
		return applying.ConnectionInput{}, required("connection.kind")
	}
	if err := only("connection", m.ProtoReflect(), "display_name", "kind", "protocol", "disabled", "preset", "oidc", "saml", "domains", "trusts_email",
		"links_by_email"); err != nil {
		return applying.ConnectionInput{}, err
	}
	in := applying.ConnectionInput{ResourceChange: change}
	in.Connection, err = connectionOf(m, r.GetConnectionId())
	return in, err
}

// UpdateConnection converts a change of a connection.
func (c *Converter) UpdateConnection(r *posternv1.UpdateConnectionRequest) (applying.ConnectionInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.ConnectionInput{}, err
	}
	m := r.GetConnection()
	organization, id, err := names.Connection("connection.name", m.GetName())
	if err != nil {
		return applying.ConnectionInput{}, err
	}
	in := applying.ConnectionInput{ResourceChange: change}
	if in.Organization = organization; in.Etag == "" {
		in.Etag = m.GetEtag()
	}
	if in.Fields, err = paths("update_mask", r.GetUpdateMask(), policypb.ConnectionPaths()...); err != nil {
		return in, err
	}
	in.Connection, err = connectionOf(m, id)
	return in, err
}

// DeleteConnection converts a request to remove a connection.
func (c *Converter) DeleteConnection(r *posternv1.DeleteConnectionRequest) (applying.ConnectionInput, error) {
	change, err := c.change(r)
	if err != nil {
		return applying.ConnectionInput{}, err
	}
	in := applying.ConnectionInput{ResourceChange: change}
	in.Organization, in.Connection.ID, err = names.Connection("name", r.GetName())
	return in, err
}

// connectionOf converts a connection as a caller describes it. Its uid, its secret and who maintains it are not the caller's to say.
func connectionOf(m *posternv1.Connection, id string) (policy.Connection, error) {
	if m.GetOidc() != nil && m.GetSaml() != nil {
		return policy.Connection{}, errs.Field("connection.oidc", "FIELD_UNEXPECTED", "a connection speaks one protocol: give oidc or saml")
	}
	given := &posternv1.Connection{DisplayName: m.GetDisplayName(), Kind: m.GetKind(), Protocol: m.GetProtocol(), Disabled: m.GetDisabled(), Preset: m.GetPreset(),
		Oidc: m.GetOidc(), Saml: m.GetSaml(), TrustsEmail: m.GetTrustsEmail(), LinksByEmail: m.GetLinksByEmail()}
	for i, d := range m.GetDomains() {
		parsed, err := policy.ParseDomain(d.GetDomain())
		if err != nil {
			return policy.Connection{}, about("connection.domains["+strconv.Itoa(i)+"].domain", err)
		}
		given.Domains = append(given.Domains, &posternv1.DomainMatch{Domain: parsed.String(), IncludeSubdomains: d.GetIncludeSubdomains()})
	}
	given, _ = proto.Clone(given).(*posternv1.Connection)
	return policypb.ParseConnection(id, given)
}
