package document

import (
	"encoding/pem"
	"strings"

	"github.com/postern-audit/postern/policy"
)

func (w *writer) connection(c *policy.Connection) {
	w.text("id", c.ID)
	w.text("display_name", c.DisplayName)
	w.text("kind", map[policy.ConnectionKind]string{policy.ConnectionSocial: "social", policy.ConnectionSSO: "sso"}[c.Kind])
	w.text("protocol", map[policy.Protocol]string{policy.ProtocolOIDC: "oidc", policy.ProtocolSAML: "saml"}[c.Protocol])
	w.text("preset", c.Preset)
	w.flag("disabled", c.Disabled)
	w.domains("domains", c.Domains)
	w.flag("trusts_email", c.TrustsEmail)
	w.flag("links_by_email", c.LinksByEmail)
	if c.OIDC != nil {
		w.table("oidc", func(w *writer) { w.oidc(c.OIDC) })
	}
	if c.SAML != nil {
		w.table("saml", func(w *writer) { w.saml(c.SAML) })
	}
}

func (w *writer) oidc(o *policy.OIDC) {
	w.text("issuer", o.Issuer)
	w.text("client_id", o.ClientID)
	w.text("authorization_endpoint", o.AuthorizationEndpoint)
	w.text("token_endpoint", o.TokenEndpoint)
	w.text("userinfo_endpoint", o.UserinfoEndpoint)
	w.text("jwks_uri", o.JWKSURI)
	w.text("client_auth", o.ClientAuth)
	w.text("key_id", o.KeyID)
	w.list("scopes", o.Scopes)
	w.list("algorithms", o.Algorithms)
	w.list("redirect_uris", o.RedirectURIs)
	w.list("audiences", o.Audiences)
	w.list("authorized_parties", o.AuthorizedParties)
	w.list("acr_values", o.ACRValues)
	w.text("tenant", o.Tenant)
}

func (w *writer) saml(s *policy.SAML) {
	w.text("entity_id", s.EntityID)
	w.text("redirect_url", s.RedirectURL)
	w.text("post_url", s.PostURL)
	if len(s.Certificates) > 0 {
		w.items("certificates", len(s.Certificates), func(i int) { w.block("", certificatePEM(s.Certificates[i])) })
	}
	w.text("metadata_url", s.MetadataURL)
	if len(s.MetadataCertificate) > 0 {
		w.block("metadata_certificate: ", certificatePEM(s.MetadataCertificate))
	}
	w.text("sp_entity_id", s.SPEntityID)
	w.list("acs_urls", s.ACSURLs)
	w.flag("signs_requests", s.SignsRequests)
	w.flag("allows_unsolicited", s.AllowsUnsolicited)
	w.flag("response_signature_only", s.ResponseSignatureOnly)
	w.flag("allows_encryption", s.AllowsEncryption)
	w.flag("allows_prefix_lists", s.AllowsPrefixLists)
	w.text("name_id_format", s.NameIDFormat)
	w.text("email_attribute", s.EmailAttribute)
	w.text("name_attribute", s.NameAttribute)
	w.list("requested_contexts", s.RequestedContexts)
}

func certificatePEM(der []byte) []string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
