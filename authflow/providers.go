package authflow

import (
	"context"
	"time"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// Providers speaks with identity providers and judges what they send. An error that is about the evidence, the provider or the
// connection is a *federation.Refusal; any other is a fault of this process, and nothing was taken as proven.
type Providers interface {
	// Begin makes what takes the person to the provider.
	Begin(ctx context.Context, organizationUID string, c *policy.Connection, b Beginning) (Redirect, error)
	// Redeem exchanges a code, which it sends once at most, and judges what comes back.
	Redeem(ctx context.Context, organizationUID string, c *policy.Connection, code Code) (federation.Identity, error)
	// Token judges an ID token.
	Token(ctx context.Context, organizationUID string, c *policy.Connection, t Token) (federation.Identity, error)
	// Response judges a SAML response.
	Response(ctx context.Context, organizationUID string, c *policy.Connection, r Response) (federation.Identity, error)
}

// Beginning is what a sign-in elsewhere begins with. What is minted here is used in its protocol alone.
type Beginning struct {
	State       string // OIDC state, SAML RelayState: at most 80 bytes
	Nonce       string // OIDC
	Verifier    string // PKCE: its challenge is sent
	RequestID   string // SAML
	CallbackURL string
	LoginHint   string
	MaxAge      time.Duration // 0: not asked
	ACRValues   []string
	Prompt      bool // the person is to give a credential again
	Post        bool // SAML HTTP-POST binding rather than HTTP-Redirect
}

// Redirect takes a person to a provider: by a GET of URL, or when Form is not empty by a POST of it to URL.
type Redirect struct {
	URL    string
	Form   map[string]string
	Issuer string // who will vouch for what comes back
}

// Code is an authorization code on its way back to the provider that made it.
type Code struct {
	Code        string
	Verifier    string
	Issuer      string // the flow began with
	CallbackURL string
	// ResponseIssuer is the iss the answer came with (RFC 9207), equal to Issuer; "": none, which a provider that says it sends
	// one must not leave out.
	ResponseIssuer string
	NonceHash      [32]byte // SHA-256 of the nonce
	MaxAge         time.Duration
	Now            time.Time
}

// Token is an ID token with what it must fit.
type Token struct {
	Token       string
	AccessToken string    // its hash must be in the token; "": not given
	Issuer      string    // the flow began with; "": the connection's
	NonceHash   *[32]byte // SHA-256 of the nonce; nil: there was none
	MaxAge      time.Duration
	Now         time.Time
}

// Response is a SAML response with what it must fit.
type Response struct {
	Form        string // SAMLResponse as the browser posted it
	Issuer      string // the flow began with; "": the connection's
	RequestID   string // "": nobody asked for it
	Unsolicited bool
	CallbackURL string // ACS
	MaxAge      time.Duration
	Now         time.Time
}
