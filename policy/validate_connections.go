package policy

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// Limits of a connection.
const (
	MaxURL           = 2048
	MaxEntityID      = 1024
	MaxClientID      = 512 // also of audiences and authorized parties
	MaxName          = 256 // of a scope, acr value, context, format, attribute, key id and tenant
	MaxScopes        = 32
	MaxAddresses     = 16 // redirect URIs, or ACS URLs
	MaxListed        = 16 // audiences, authorized parties, acr values, contexts
	MaxCertificates  = 8
	MaxMetadataBytes = 64 << 10
)

func (o *Organization) validateConnections(p *problems) {
	p.most("connections", len(o.Connections), MaxConnections)
	seen := map[string]bool{}
	for i := range o.Connections {
		c := &o.Connections[i]
		path := "connections[" + c.ID + "]"
		p.id(path, c.ID, seen)
		p.text(path+".display_name", c.DisplayName)
		p.kinds(path, c)
		p.domains(path+".domains", c.Domains)
		p.preset(path, c)
		if c.TrustsEmail && len(c.Domains) == 0 {
			p.add(path+".trusts_email", "whose e-mails are trusted is not said", "add domains: it may then vouch for addresses there and nowhere else")
		}
		if c.OIDC == nil && c.SAML == nil && (len(c.Domains) > 0 || c.TrustsEmail || c.LinksByEmail) {
			p.warn(CodeConnectionUnverified, path, "domains, trusts_email and links_by_email count only where the sign-in is verified here", "add oidc or saml, or leave them out")
		}
		if c.OIDC != nil && c.LinksByEmail && len(c.Domains) == 0 && c.Preset == "" {
			p.warn(CodeConnectionBoundless, path+".links_by_email", "whoever runs the provider can call any e-mail verified, and so have the account that has it",
				"add domains: it then speaks for addresses there and nowhere else")
		}
		if c.OIDC != nil && c.Kind == ConnectionSSO && len(c.Domains) == 0 && c.Preset == "" {
			p.warn(CodeConnectionBoundless, path+".domains", "the provider may speak for any e-mail, also of the organization's own domains: whoever it says has verified one there is MANAGED",
				"add domains: it then speaks for addresses there and nowhere else")
		}
		if c.OIDC != nil {
			p.oidc(path+".oidc", c)
		}
		if c.SAML != nil {
			p.saml(path+".saml", c.SAML)
		}
	}
}

func (p *problems) kinds(path string, c *Connection) {
	const protocolFix = "write protocol: oidc or protocol: saml"
	switch {
	case c.Kind != ConnectionSocial && c.Kind != ConnectionSSO:
		p.add(path+".kind", "a connection has a kind", "write kind: social or kind: sso")
	case c.OIDC != nil && c.SAML != nil:
		p.add(path+".saml", "a connection speaks one protocol", "keep oidc or saml, or make two connections")
	case c.OIDC != nil && c.Protocol != ProtocolOIDC:
		p.add(path+".protocol", "oidc is given, and the protocol is another", "write protocol: oidc, or remove oidc")
	case c.SAML != nil && c.Protocol != ProtocolSAML:
		p.add(path+".protocol", "saml is given, and the protocol is another", "write protocol: saml, or remove saml")
	case c.Kind == ConnectionSSO && c.Protocol != ProtocolOIDC && c.Protocol != ProtocolSAML:
		p.add(path+".protocol", "single sign-on has a protocol", protocolFix)
	case c.Protocol > ProtocolSAML:
		p.add(path+".protocol", "unknown protocol", protocolFix)
	}
}

func (p *problems) preset(path string, c *Connection) {
	switch {
	case c.Preset == "":
	case !slices.Contains(Presets(), c.Preset):
		p.add(path+".preset", "unknown preset "+quote(c.Preset), "write one of "+strings.Join(Presets(), ", ")+", or leave it out")
	case c.Protocol != ProtocolOIDC:
		p.add(path+".preset", "a preset is for OIDC", "write protocol: oidc, or leave the preset out")
	case c.OIDC == nil:
		p.add(path+".preset", "the client at the provider is not named", "add oidc: {client_id: ID}")
	}
}

func (p *problems) oidc(path string, c *Connection) {
	o := c.OIDC
	if o.Issuer != "" {
		p.url(path+".issuer", o.Issuer)
		if strings.Contains(o.Issuer, "?") {
			p.add(path+".issuer", "an issuer has no query", "write it exactly as the provider's discovery document has it")
		}
	} else if c.Preset == "" {
		p.add(path+".issuer", "who vouches for people is not said", "add issuer: https://…, or a preset")
	}
	p.needed(path+".client_id", o.ClientID, MaxClientID, "add the client id that the provider gave")
	for _, u := range []struct{ key, value string }{{"authorization_endpoint", o.AuthorizationEndpoint}, {"token_endpoint", o.TokenEndpoint},
		{"userinfo_endpoint", o.UserinfoEndpoint}, {"jwks_uri", o.JWKSURI}} {
		if u.value != "" {
			p.url(path+"."+u.key, u.value)
		}
	}
	if o.UserinfoEndpoint != "" && c.Preset != PresetGitHub {
		p.add(path+".userinfo_endpoint", "only the preset github asks a user API", "leave it out")
	}
	if o.ClientAuth != "" && !slices.Contains(ClientAuths(), o.ClientAuth) {
		p.add(path+".client_auth", "unknown way to prove a client", "write one of "+strings.Join(ClientAuths(), ", "))
	}
	if o.KeyID != "" && c.Takes() != SecretPrivateKey {
		p.add(path+".key_id", "a key id belongs to client_auth: private_key_jwt", "write client_auth: private_key_jwt, or leave it out")
	}
	if c.Preset == PresetApple && c.Takes() == SecretPrivateKey && (o.KeyID == "" || o.Tenant == "") {
		p.add(path, "Apple's client secret is signed with a key of a team, and one of them is not named", "add key_id: KEY and tenant: TEAM")
	}
	p.short(path+".key_id", o.KeyID)
	p.scopes(path+".scopes", c)
	p.words(path+".algorithms", o.Algorithms, len(Algorithms()), MaxName)
	for i, a := range o.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			p.add(fmt.Sprintf("%s.algorithms[%d]", path, i), "not an algorithm that is accepted", "write some of "+strings.Join(Algorithms(), ", "))
		}
	}
	p.addresses(path+".redirect_uris", o.RedirectURIs)
	if len(o.RedirectURIs) == 0 {
		p.warn(CodeConnectionUnreachable, path+".redirect_uris", "without an address to come back to no sign-in can be begun here", "name the login service's callback")
	}
	p.words(path+".audiences", o.Audiences, MaxListed, MaxClientID)
	p.words(path+".authorized_parties", o.AuthorizedParties, MaxListed, MaxClientID)
	p.words(path+".acr_values", o.ACRValues, MaxListed, MaxName)
	p.tenant(path+".tenant", c)
}

func (p *problems) scopes(path string, c *Connection) {
	list := c.OIDC.Scopes
	p.words(path, list, MaxScopes, MaxName)
	for i, s := range list {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			p.add(fmt.Sprintf("%s[%d]", path, i), "not a scope", "write one scope an item, without spaces and quotes")
		}
	}
	if len(list) > 0 && c.Preset != PresetGitHub && !slices.Contains(list, "openid") {
		p.add(path, "without the scope openid there is no ID token", "add openid")
	}
}

func (p *problems) tenant(path string, c *Connection) {
	p.short(path, c.OIDC.Tenant)
	if c.Preset == PresetMicrosoft && !isUUID(c.OIDC.Tenant) {
		p.add(path, "a Microsoft connection is for one tenant, by its id", "write the Directory (tenant) ID, such as 11111111-2222-3333-4444-555555555555; common, organizations and names are not taken")
	}
}

// isUUID reports whether s is hex digits in groups of 8, 4, 4, 4 and 12.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') ||
			!dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func (p *problems) saml(path string, s *SAML) {
	p.needed(path+".entity_id", s.EntityID, MaxEntityID, "add the provider's entity id, or its metadata")
	p.needed(path+".sp_entity_id", s.SPEntityID, MaxEntityID, "add the entity id the provider knows this service by")
	for _, u := range []struct{ key, value string }{{"redirect_url", s.RedirectURL}, {"post_url", s.PostURL}, {"metadata_url", s.MetadataURL}} {
		if u.value != "" {
			p.url(path+"."+u.key, u.value)
		}
	}
	if s.RedirectURL == "" && s.PostURL == "" && s.MetadataURL == "" {
		p.warn(CodeConnectionUnreachable, path+".redirect_url", "without an address of the provider no sign-in can be begun here", "add redirect_url, post_url, metadata or metadata_url")
	}
	p.certificates(path+".certificates", s.Certificates)
	if len(s.Certificates) == 0 && s.MetadataURL == "" {
		p.add(path+".certificates", "whose signature counts is not said", "add certificates, metadata or metadata_url")
	}
	if len(s.MetadataCertificate) > 0 {
		p.certificates(path+".metadata_certificate", [][]byte{s.MetadataCertificate})
		if s.MetadataURL == "" {
			p.add(path+".metadata_certificate", "there is no metadata to be signed", "add metadata_url, or leave it out")
		}
	}
	p.addresses(path+".acs_urls", s.ACSURLs)
	if len(s.ACSURLs) == 0 {
		p.add(path+".acs_urls", "where responses arrive is not said", "name at least one address of the login service")
	}
	p.short(path+".name_id_format", s.NameIDFormat)
	p.short(path+".email_attribute", s.EmailAttribute)
	p.short(path+".name_attribute", s.NameAttribute)
	p.words(path+".requested_contexts", s.RequestedContexts, MaxListed, MaxName)
}

func (p *problems) certificates(path string, list [][]byte) {
	p.most(path, len(list), MaxCertificates)
	for i, der := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := CheckCertificate(der); err != nil {
			p.add(at, publicText(err), "name the provider's signing certificate: RSA of 2048 bits or more, or ECDSA, at most 8 KiB")
		}
		if slices.ContainsFunc(list[:i], func(o []byte) bool { return bytes.Equal(o, der) }) {
			p.add(at, "this certificate stands there twice", "name it once")
		}
	}
}

// addresses checks where a provider may send people: exact addresses, no patterns.
func (p *problems) addresses(path string, list []string) {
	p.most(path, len(list), MaxAddresses)
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.url(at, s)
		if strings.Contains(s, "*") {
			p.add(at, "a pattern, and every address is compared exactly", "write each address out")
		}
		if slices.Contains(list[:i], s) {
			p.add(at, "this address stands there twice", "name it once")
		}
	}
}

// url checks an address of a provider or of the login service.
func (p *problems) url(path, s string) {
	const fix = "write https://HOST/PATH without user, fragment and spaces; http is taken for this machine's own addresses alone"
	if len(s) > MaxURL {
		p.add(path, fmt.Sprintf("longer than %d bytes", MaxURL), "shorten it")
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }):
		p.add(path, "not a web address", fix)
	case u.User != nil:
		p.add(path, "an address with a user in it", fix)
	case strings.Contains(s, "#"):
		p.add(path, "an address with a fragment", fix)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		p.add(path, "not an https address", fix)
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func (p *problems) needed(path, s string, most int, fix string) {
	if s == "" {
		p.add(path, "is missing", fix)
	}
	p.bounded(path, s, most)
}

func (p *problems) short(path, s string) { p.bounded(path, s, MaxName) }

func (p *problems) bounded(path, s string, most int) {
	if len(s) > most {
		p.add(path, fmt.Sprintf("longer than %d bytes", most), "shorten it")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.add(path, "has control characters", "remove them")
	}
}

// words checks a list of short texts, each of which stands there once.
func (p *problems) words(path string, list []string, most, longest int) {
	p.most(path, len(list), most)
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.needed(at, s, longest, "write a value, or remove it")
		if slices.Contains(list[:i], s) {
			p.add(at, quote(s)+" stands there twice", "name it once")
		}
	}
}

// publicText is what may be said of an error.
func publicText(err error) string {
	if e := errs.As(err); e != nil {
		return e.Public
	}
	return "not accepted"
}
