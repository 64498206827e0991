package show

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Connection returns what there is to know of a connection as rows of field and value. Fields that are not set are left out.
func Connection(c *posternv1.Connection) [][]string {
	r := &rows{}
	r.add("name", c.GetName())
	r.add("display name", c.GetDisplayName())
	r.add("uid", c.GetUid())
	r.add("kind", Enum("KIND", c.GetKind()))
	r.add("protocol", Enum("PROTOCOL", c.GetProtocol()))
	r.add("preset", c.GetPreset())
	r.flag("disabled", c.GetDisabled())
	var domains []string
	for _, d := range c.GetDomains() {
		if s := d.GetDomain(); d.GetIncludeSubdomains() {
			domains = append(domains, s+" and subdomains")
		} else {
			domains = append(domains, s)
		}
	}
	r.list("domains", domains)
	r.flag("trusts e-mail", c.GetTrustsEmail())
	r.flag("links by e-mail", c.GetLinksByEmail())
	r.oidc(c.GetOidc())
	r.saml(c.GetSaml())
	if c.GetOidc() == nil && c.GetSaml() == nil {
		r.add("verified by", "nobody here: the login service runs it")
	}
	r.add("secret", Secret(c))
	r.add("etag", c.GetEtag())
	return r.all
}

// Secret says whether a connection has a secret, and since when.
func Secret(c *posternv1.Connection) string {
	switch {
	case c.GetHasSecret():
		return "set " + Time(c.GetSecretUpdateTime())
	case c.GetOidc() == nil && c.GetSaml() == nil:
		return ""
	}
	return "none"
}

type rows struct{ all [][]string }

func (r *rows) add(field, value string) {
	if value != "" {
		r.all = append(r.all, []string{field, value})
	}
}

func (r *rows) flag(field string, on bool) {
	if on {
		r.add(field, "yes")
	}
}

func (r *rows) list(field string, values []string) { r.add(field, strings.Join(values, " ")) }

func (r *rows) oidc(o *posternv1.Connection_Oidc) {
	r.add("issuer", o.GetIssuer())
	r.add("client id", o.GetClientId())
	r.add("authorization endpoint", o.GetAuthorizationEndpoint())
	r.add("token endpoint", o.GetTokenEndpoint())
	r.add("userinfo endpoint", o.GetUserinfoEndpoint())
	r.add("jwks uri", o.GetJwksUri())
	r.add("client auth", o.GetClientAuth())
	r.add("key id", o.GetKeyId())
	r.list("scopes", o.GetScopes())
	r.list("algorithms", o.GetAlgorithms())
	r.list("redirect uris", o.GetRedirectUris())
	r.list("audiences", o.GetAudiences())
	r.list("authorized parties", o.GetAuthorizedParties())
	r.list("acr values", o.GetAcrValues())
	r.add("tenant", o.GetTenant())
}

func (r *rows) saml(s *posternv1.Connection_Saml) {
	r.add("entity id", s.GetEntityId())
	r.add("redirect url", s.GetRedirectUrl())
	r.add("post url", s.GetPostUrl())
	for _, der := range s.GetCertificates() {
		r.add("certificate", certificate(der))
	}
	r.add("metadata url", s.GetMetadataUrl())
	if len(s.GetMetadataCertificate()) > 0 {
		r.add("metadata certificate", certificate(s.GetMetadataCertificate()))
	}
	r.add("sp entity id", s.GetSpEntityId())
	r.list("acs urls", s.GetAcsUrls())
	r.flag("signs requests", s.GetSignsRequests())
	r.flag("allows unsolicited", s.GetAllowsUnsolicited())
	r.flag("response signature only", s.GetResponseSignatureOnly())
	r.flag("allows encryption", s.GetAllowsEncryption())
	r.flag("allows prefix lists", s.GetAllowsPrefixLists())
	r.add("name id format", s.GetNameIdFormat())
	r.add("email attribute", s.GetEmailAttribute())
	r.add("name attribute", s.GetNameAttribute())
	r.list("requested contexts", s.GetRequestedContexts())
}

// certificate is a certificate in one line: its fingerprint and when it ends.
func certificate(der []byte) string {
	sum := sha256.Sum256(der)
	s := hex.EncodeToString(sum[:])
	if c, err := x509.ParseCertificate(der); err == nil {
		s += " ends " + c.NotAfter.UTC().Format(time.RFC3339)
	}
	return s
}
