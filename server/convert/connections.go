package convert

import (
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// connections are the bounds of what is about connections.
func connections() map[string]Bound {
	return map[string]Bound{
		"GetConnectionRequest.name": name(),

		"ListConnectionsRequest.parent":     name(),
		"ListConnectionsRequest.page_size":  count(),
		"ListConnectionsRequest.page_token": opaque(),

		"SetConnectionSecretRequest.name":            name(),
		"SetConnectionSecretRequest.request_id":      requestID(),
		"SetConnectionSecretRequest.etag":            requestIDOf(64),
		"SetConnectionSecretRequest.client_secret":   text(policy.MaxClientSecret),
		"SetConnectionSecretRequest.private_key_pem": lines(policy.MaxPrivateKey),

		"ClearConnectionSecretRequest.name":       name(),
		"ClearConnectionSecretRequest.request_id": requestID(),
		"ClearConnectionSecretRequest.etag":       requestIDOf(64),

		"TestConnectionRequest.name": name(),
	}
}

// ConnectionSecret is a change of a connection's secret.
type ConnectionSecret struct {
	Organization string // id
	Connection   string // id
	RequestID    string
	Etag         string
	Secret       secret.Bytes // zero: it is taken away
	PrivateKey   bool         // else a client secret
}

// GetConnection converts a request for one connection to the ids of organization and connection.
func (c *Converter) GetConnection(r *posternv1.GetConnectionRequest) (organization, connection string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.Connection("name", r.GetName())
}

// ListConnections converts a request for a page of connections to the id of their organization.
func (c *Converter) ListConnections(r *posternv1.ListConnectionsRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("parent", r.GetParent())
}

// TestConnection converts a request to test a connection to the ids of organization and connection.
func (c *Converter) TestConnection(r *posternv1.TestConnectionRequest) (organization, connection string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.Connection("name", r.GetName())
}

// SetConnectionSecret converts a secret. What is wrong with the secret itself depends on the connection.
func (c *Converter) SetConnectionSecret(r *posternv1.SetConnectionSecretRequest) (ConnectionSecret, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return ConnectionSecret{}, err
	}
	in := ConnectionSecret{RequestID: r.GetRequestId(), Etag: r.GetEtag()}
	var err error
	if in.Organization, in.Connection, err = names.Connection("name", r.GetName()); err != nil {
		return ConnectionSecret{}, err
	}
	switch s := r.GetSecret().(type) {
	case *posternv1.SetConnectionSecretRequest_ClientSecret:
		if n := len(s.ClientSecret); n < policy.MinClientSecret {
			return ConnectionSecret{}, wrong("client_secret", "must have 8 to 1024 bytes")
		}
		in.Secret = secret.NewBytes([]byte(s.ClientSecret))
	case *posternv1.SetConnectionSecretRequest_PrivateKeyPem:
		if in.PrivateKey = true; s.PrivateKeyPem == "" {
			return ConnectionSecret{}, required("private_key_pem")
		}
		in.Secret = secret.NewBytes([]byte(s.PrivateKeyPem))
	default:
		return ConnectionSecret{}, required("client_secret")
	}
	return in, nil
}

// ClearConnectionSecret converts a request to take a secret away.
func (c *Converter) ClearConnectionSecret(r *posternv1.ClearConnectionSecretRequest) (ConnectionSecret, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return ConnectionSecret{}, err
	}
	in := ConnectionSecret{RequestID: r.GetRequestId(), Etag: r.GetEtag()}
	var err error
	in.Organization, in.Connection, err = names.Connection("name", r.GetName())
	return in, err
}

// ConnectionOf converts a connection that was asked for by itself: with the version of its organization.
func (f Forms) ConnectionOf(o *policy.Organization, c *policy.Connection) *posternv1.Connection {
	out := f.Connection(o.ID, c)
	out.Etag = f.Organization(&policy.Organization{ID: o.ID, UID: o.UID, Stamp: o.Stamp}).GetEtag()
	return out
}

// Findings converts what a test of a connection found.
func Findings(list []policy.Finding) *posternv1.TestConnectionResponse {
	out := &posternv1.TestConnectionResponse{}
	for _, f := range list {
		out.Findings = append(out.Findings, &posternv1.ConnectionFinding{
			Severity: posternv1.ConnectionFinding_Severity(f.Severity), What: f.What, Detail: f.Detail, Fix: f.Fix})
	}
	return out
}
