package document

import (
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// secretField is the field of a change that is about a connection's secret.
const secretField = "secret"

// What an event says of a secret, which itself it never tells.
const (
	secretDropped = "dropped: provider, client or use of the secret changed"
	secretCleared = "cleared"
)

// ConnectionChanges lists what differs between two states of one connection, without its secret. It is what events say when
// something else than a document changed a connection.
func ConnectionChanges(before, after *policy.Connection) []audit.Change {
	return aboutSecret(changes(flatConnection(before), flatConnection(after)), secretCleared)
}

// aboutSecret says what became of a secret that is gone.
func aboutSecret(list []audit.Change, gone string) []audit.Change {
	for i := range list {
		if list[i].Field == secretField && list[i].After == "" {
			list[i].After = gone
		}
	}
	return list
}

// dropped says of updated connections that a secret that is gone was dropped: documents do not clear secrets.
func dropped(list []ObjectChange) []ObjectChange {
	for i := range list {
		if list[i].Type == audit.TypeConnectionUpdated {
			list[i].Changes = aboutSecret(list[i].Changes, secretDropped)
		}
	}
	return list
}

func flatConnection(c *policy.Connection) flat {
	var f flat
	f.add("id", c.ID)
	f.add("display_name", c.DisplayName)
	f.add("kind", map[policy.ConnectionKind]string{policy.ConnectionSocial: "SOCIAL", policy.ConnectionSSO: "SSO"}[c.Kind])
	f.add("protocol", map[policy.Protocol]string{policy.ProtocolOIDC: "OIDC", policy.ProtocolSAML: "SAML"}[c.Protocol])
	f.add("preset", c.Preset)
	f.flag("disabled", c.Disabled)
	f.add("domains", domainList(c.Domains))
	f.flag("trusts_email", c.TrustsEmail)
	f.flag("links_by_email", c.LinksByEmail)
	f.origin(c.Origin)
	if c.OIDC != nil {
		f.oidc(c.OIDC)
	}
	if c.SAML != nil {
		f.saml(c.SAML)
	}
	if len(c.Sealed()) > 0 {
		f.add(secretField, "set at "+c.SecretUpdated.UTC().Format(time.RFC3339Nano))
	}
	return f
}

func (f *flat) oidc(o *policy.OIDC) {
	f.add("oidc", "given") // also when nothing in it is
	f.add("oidc.issuer", o.Issuer)
	f.add("oidc.client_id", o.ClientID)
	f.add("oidc.authorization_endpoint", o.AuthorizationEndpoint)
	f.add("oidc.token_endpoint", o.TokenEndpoint)
	f.add("oidc.userinfo_endpoint", o.UserinfoEndpoint)
	f.add("oidc.jwks_uri", o.JWKSURI)
	f.add("oidc.client_auth", o.ClientAuth)
	f.add("oidc.key_id", o.KeyID)
	f.add("oidc.scopes", strings.Join(o.Scopes, ", "))
	f.add("oidc.algorithms", strings.Join(o.Algorithms, ", "))
	f.add("oidc.redirect_uris", strings.Join(o.RedirectURIs, ", "))
	f.add("oidc.audiences", strings.Join(o.Audiences, ", "))
	f.add("oidc.authorized_parties", strings.Join(o.AuthorizedParties, ", "))
	f.add("oidc.acr_values", strings.Join(o.ACRValues, ", "))
	f.add("oidc.tenant", o.Tenant)
}

func (f *flat) saml(s *policy.SAML) {
	f.add("saml", "given")
	f.add("saml.entity_id", s.EntityID)
	f.add("saml.redirect_url", s.RedirectURL)
	f.add("saml.post_url", s.PostURL)
	f.add("saml.certificates", fingerprints(s.Certificates))
	f.add("saml.metadata_url", s.MetadataURL)
	if len(s.MetadataCertificate) > 0 {
		f.add("saml.metadata_certificate", policy.Fingerprint(s.MetadataCertificate))
	}
	f.add("saml.sp_entity_id", s.SPEntityID)
	f.add("saml.acs_urls", strings.Join(s.ACSURLs, ", "))
	f.flag("saml.signs_requests", s.SignsRequests)
	f.flag("saml.allows_unsolicited", s.AllowsUnsolicited)
	f.flag("saml.response_signature_only", s.ResponseSignatureOnly)
	f.flag("saml.allows_encryption", s.AllowsEncryption)
	f.flag("saml.allows_prefix_lists", s.AllowsPrefixLists)
	f.add("saml.name_id_format", s.NameIDFormat)
	f.add("saml.email_attribute", s.EmailAttribute)
	f.add("saml.name_attribute", s.NameAttribute)
	f.add("saml.requested_contexts", strings.Join(s.RequestedContexts, ", "))
}

func fingerprints(certificates [][]byte) string {
	out := make([]string, len(certificates))
	for i, der := range certificates {
		out[i] = policy.Fingerprint(der)
	}
	return strings.Join(out, ", ")
}
