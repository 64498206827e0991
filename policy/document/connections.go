package document

import (
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Metadata is what SAML metadata says of an identity provider.
type Metadata struct {
	EntityID     string
	RedirectURL  string
	PostURL      string
	Certificates [][]byte // DER; of keys that may sign
}

// MetadataReader reads SAML metadata of one identity provider. What it says in an errs.Error is shown.
type MetadataReader func(xml []byte) (Metadata, error)

func (r *reader) connections(n *node, list string) []policy.Connection {
	var out []policy.Connection
	r.list(n, list, func(n *node, path string) {
		c := policy.Connection{Origin: audit.OriginDocument}
		path = named(r, n, list, path, "id")
		f := r.connection(&c)
		f["id"] = func(n *node, path string) { c.ID = r.id(n, path) }
		r.table(r.withoutSecrets(n, path), path, f)
		out = append(out, c)
	})
	return out
}

// connection reads all of a connection but its id.
func (r *reader) connection(c *policy.Connection) fields {
	return fields{
		"display_name": func(n *node, path string) { c.DisplayName = r.text(n, path) },
		"kind": func(n *node, path string) {
			c.Kind = choice(r, n, path, []string{"SOCIAL", "SSO"}, []policy.ConnectionKind{policy.ConnectionSocial, policy.ConnectionSSO})
		},
		"protocol": func(n *node, path string) {
			c.Protocol = choice(r, n, path, []string{"OIDC", "SAML"}, []policy.Protocol{policy.ProtocolOIDC, policy.ProtocolSAML})
		},
		"preset":         func(n *node, path string) { c.Preset = choice(r, n, path, policy.Presets(), policy.Presets()) },
		"disabled":       func(n *node, path string) { c.Disabled = r.boolean(n, path) },
		"domains":        r.matchDomains(&c.Domains),
		"trusts_email":   func(n *node, path string) { c.TrustsEmail = r.boolean(n, path) },
		"links_by_email": func(n *node, path string) { c.LinksByEmail = r.boolean(n, path) },
		"oidc":           func(n *node, path string) { c.OIDC = r.oidc(n, path) },
		"saml":           func(n *node, path string) { c.SAML = r.saml(n, path) },
	}
}

// ParseConnection reads one connection as it stands in a document, without its id, and says which keys it has, in their order. With problems
// that are not warnings the connection is nil. Whether it fits an organization is not looked at.
func ParseConnection(b []byte, metadata MetadataReader) (*policy.Connection, []string, Problems) {
	root, p := scan(b)
	if p != nil {
		return nil, nil, Problems{*p}
	}
	r := &reader{places: map[string]place{}, readMetadata: metadata}
	var c policy.Connection
	r.table(r.withoutSecrets(root, ""), "", r.connection(&c))
	if len(r.problems) > 0 {
		return nil, nil, r.problems.sorted()
	}
	keys := make([]string, len(root.entries))
	for i, e := range root.entries {
		keys[i] = e.key
	}
	return &c, keys, nil
}

// secretKeys are what people call the secret of a connection.
var secretKeys = []string{"client_secret", "secret", "private_key", "private_key_pem", "key", "sp_key"}

// withoutSecrets is a table without its secrets, each of them a problem: documents are kept, sent around and compared.
func (r *reader) withoutSecrets(n *node, path string) *node {
	isSecret := func(e entry) bool { return slices.Contains(secretKeys, e.key) }
	if n.kind != isTable || !slices.ContainsFunc(n.entries, isSecret) {
		return n
	}
	rest := *n
	rest.entries = nil
	for _, e := range n.entries {
		if !isSecret(e) {
			rest.entries = append(rest.entries, e)
			continue
		}
		r.problem(e.place, join(path, e.key), "a secret does not stand in a document",
			"remove it here and at the places this text was kept, and give it with: postern connection set-secret ORGANIZATION CONNECTION --file FILE")
	}
	return &rest
}

// line reads a text into a field.
func (r *reader) line(into *string) func(n *node, path string) {
	return func(n *node, path string) { *into = r.text(n, path) }
}

func (r *reader) flag(into *bool) func(n *node, path string) {
	return func(n *node, path string) { *into = r.boolean(n, path) }
}

func (r *reader) oidc(n *node, path string) *policy.OIDC {
	var o policy.OIDC
	r.table(r.withoutSecrets(n, path), path, fields{
		"issuer":                 r.line(&o.Issuer),
		"client_id":              r.line(&o.ClientID),
		"authorization_endpoint": r.line(&o.AuthorizationEndpoint),
		"token_endpoint":         r.line(&o.TokenEndpoint),
		"userinfo_endpoint":      r.line(&o.UserinfoEndpoint),
		"jwks_uri":               r.line(&o.JWKSURI),
		"client_auth":            r.line(&o.ClientAuth),
		"key_id":                 r.line(&o.KeyID),
		"scopes":                 r.texts(&o.Scopes),
		"algorithms":             r.texts(&o.Algorithms),
		"redirect_uris":          r.texts(&o.RedirectURIs),
		"audiences":              r.texts(&o.Audiences),
		"authorized_parties":     r.texts(&o.AuthorizedParties),
		"acr_values":             r.texts(&o.ACRValues),
		"tenant":                 r.line(&o.Tenant),
	})
	return &o
}

func (r *reader) saml(n *node, path string) *policy.SAML {
	var s policy.SAML
	var metadata *node
	r.table(r.withoutSecrets(n, path), path, fields{
		"metadata":     func(n *node, _ string) { metadata = n },
		"entity_id":    r.line(&s.EntityID),
		"redirect_url": r.line(&s.RedirectURL),
		"post_url":     r.line(&s.PostURL),
		"certificates": func(n *node, path string) {
			r.some(n, path, func(n *node, path string) {
				if der := r.certificate(n, path); der != nil {
					s.Certificates = append(s.Certificates, der)
				}
			})
		},
		"metadata_url":            r.line(&s.MetadataURL),
		"metadata_certificate":    func(n *node, path string) { s.MetadataCertificate = r.certificate(n, path) },
		"sp_entity_id":            r.line(&s.SPEntityID),
		"acs_urls":                r.texts(&s.ACSURLs),
		"signs_requests":          r.flag(&s.SignsRequests),
		"allows_unsolicited":      r.flag(&s.AllowsUnsolicited),
		"response_signature_only": r.flag(&s.ResponseSignatureOnly),
		"allows_encryption":       r.flag(&s.AllowsEncryption),
		"allows_prefix_lists":     r.flag(&s.AllowsPrefixLists),
		"name_id_format":          r.line(&s.NameIDFormat),
		"email_attribute":         r.line(&s.EmailAttribute),
		"name_attribute":          r.line(&s.NameAttribute),
		"requested_contexts":      r.texts(&s.RequestedContexts),
	})
	if metadata != nil {
		r.metadata(metadata, path, &s)
	}
	return &s
}

func (r *reader) certificate(n *node, path string) []byte {
	text := r.text(n, path)
	if text == "" {
		return nil
	}
	der, err := policy.ParseCertificate([]byte(text))
	if err != nil {
		r.refused(n, path, err, "write one certificate from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, under a key that ends in: |")
		return nil
	}
	return der
}

// metadata takes what metadata says for what the document does not say itself.
func (r *reader) metadata(n *node, path string, s *policy.SAML) {
	at := join(path, "metadata")
	const fix = "paste the provider's metadata under metadata: |- and indent each line"
	text := strings.TrimSpace(r.text(n, at))
	switch {
	case text == "":
		return
	case len(text) > policy.MaxMetadataBytes:
		r.problem(n.place, at, "metadata of more than 64 KiB", "give entity_id, redirect_url, post_url and certificates, or metadata_url")
		return
	case r.readMetadata == nil:
		r.problem(n.place, at, "metadata cannot be read here", "give entity_id, redirect_url, post_url and certificates")
		return
	case s.RedirectURL != "" || s.PostURL != "" || len(s.Certificates) > 0:
		r.problem(n.place, at, "the metadata says addresses and certificates, and so does the document", "keep the metadata, or redirect_url, post_url and certificates")
		return
	}
	m, err := r.readMetadata([]byte(text))
	if err != nil {
		r.refused(n, at, err, fix)
		return
	}
	if s.EntityID != "" && s.EntityID != m.EntityID {
		r.problem(n.place, at, "the metadata is of another entity than entity_id", "remove entity_id, or paste the metadata of that provider")
		return
	}
	s.EntityID, s.RedirectURL, s.PostURL, s.Certificates = m.EntityID, m.RedirectURL, m.PostURL, m.Certificates
}
