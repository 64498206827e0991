package policy

import (
	"slices"
	"time"
)

// The presets: providers whose addresses and ways are known.
const (
	PresetGoogle    = "google"
	PresetMicrosoft = "microsoft"
	PresetApple     = "apple"
	PresetGitHub    = "github"
	PresetSlack     = "slack"
)

// Presets lists the presets.
func Presets() []string {
	return []string{PresetGoogle, PresetMicrosoft, PresetApple, PresetGitHub, PresetSlack}
}

// How an OIDC client proves itself when it exchanges a code.
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"
	PrivateKeyJWT     = "private_key_jwt"
	ClientAuthNone    = "none"
)

// ClientAuths lists the ways a client may prove itself.
func ClientAuths() []string {
	return []string{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT, ClientAuthNone}
}

// Algorithms lists the signature algorithms of ID tokens that a connection may allow.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// SecretKind says what a connection proves itself with.
type SecretKind uint8

// The kinds of secret.
const (
	SecretNone       SecretKind = iota // it takes none
	SecretClient                       // a client secret
	SecretPrivateKey                   // a private key of an OIDC client
	SecretSAMLKey                      // a private key with its certificate
)

// Takes says what kind of secret the connection has a use for.
func (c *Connection) Takes() SecretKind {
	switch {
	case c.SAML != nil:
		return SecretSAMLKey
	case c.OIDC == nil || c.OIDC.ClientAuth == ClientAuthNone:
		return SecretNone
	case c.OIDC.ClientAuth == PrivateKeyJWT, c.signsForApple():
		return SecretPrivateKey
	}
	return SecretClient
}

// signsForApple reports whether Apple's client secret is made here: a token that a key of the team signs. Without a key id the
// secret is such a token, made elsewhere.
func (c *Connection) signsForApple() bool {
	return c.Preset == PresetApple && c.OIDC.ClientAuth == "" && c.OIDC.KeyID != ""
}

// Sealed is the connection's secret as it is stored; nil when there is none.
func (c *Connection) Sealed() []byte {
	switch {
	case c.OIDC != nil:
		return c.OIDC.Secret
	case c.SAML != nil:
		return c.SAML.Key
	}
	return nil
}

// WithSecret is the connection with another secret; no sealed bytes take it away. It shares nothing with c that a secret is
// part of.
func (c *Connection) WithSecret(sealed []byte, at time.Time) Connection {
	next := *c
	if len(sealed) == 0 {
		sealed, at = nil, time.Time{}
	}
	if c.OIDC != nil {
		o := *c.OIDC
		o.Secret, next.OIDC = sealed, &o
	}
	if c.SAML != nil {
		s := *c.SAML
		s.Key, next.SAML = sealed, &s
	}
	next.SecretUpdated = at
	return next
}

// Follow is the connection in the place of an older one of the same uid: it keeps what a document does not say. That is the
// secret, unless it would now go to somebody else or be used as something else.
func (c *Connection) Follow(old *Connection) Connection {
	if c.sharesSecret(old) {
		return c.WithSecret(old.Sealed(), old.SecretUpdated)
	}
	return *c
}

// sharesSecret reports whether a secret of old is one of c as well: it would be shown to the same party, by the same client,
// for the same purpose. An address that the secret is sent to is part of who the party is.
func (c *Connection) sharesSecret(old *Connection) bool {
	if c.Takes() != old.Takes() || c.Preset != old.Preset {
		return false
	}
	switch {
	case c.OIDC != nil && old.OIDC != nil:
		return c.OIDC.Issuer == old.OIDC.Issuer && c.OIDC.ClientID == old.OIDC.ClientID &&
			c.OIDC.TokenEndpoint == old.OIDC.TokenEndpoint && c.OIDC.Tenant == old.OIDC.Tenant
	case c.SAML != nil && old.SAML != nil:
		return c.SAML.EntityID == old.SAML.EntityID
	}
	return false
}

// Connection returns the connection with this id, nil when there is none. It is shared: never change it.
func (o *Organization) Connection(id string) *Connection {
	i := slices.IndexFunc(o.Connections, func(c Connection) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &o.Connections[i]
}

// Severity says how bad a finding is. Numbers equal posternv1.ConnectionFinding_Severity.
type Severity uint8

// The severities.
const (
	SeverityOK      Severity = 1 // as it should be
	SeverityWarning Severity = 2 // it works, and something is not as it should be
	SeverityError   Severity = 3 // nobody can sign in like that
)

// Finding is one thing that a test of a connection found. It never holds a secret.
type Finding struct {
	Severity Severity
	What     string // was looked at, in a few words
	Detail   string // what was found
	Fix      string // what to do about it; "": nothing
}
