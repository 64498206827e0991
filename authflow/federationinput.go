package authflow

import (
	"time"

	"github.com/postern-audit/postern/policy"
)

// BeginInput sends the person of a flow to an identity provider.
type BeginInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	Connection   string // id
	CallbackURL  string // one of the connection's; "": its first
	LoginHint    string
	MaxAge       time.Duration // oldest credential that will do; 0: any
	ACRValues    []string      // nil: the connection's
	Prompt       bool
	Post         bool     // SAML: HTTP-POST rather than HTTP-Redirect
	Links        bool     // link an identity without account to the account the flow is bound to
	Context      *Context // nil: as in the step before
}

// Begun is the answer to BeginInput.
type Begun struct {
	Answer
	Redirect     Redirect
	BrowserToken string // ties the browser to the flow; handed out to nobody else
}

// CompleteInput hands in what came back from an identity provider. Exactly one of Callback, Token and SAML is set.
type CompleteInput struct {
	Organization string // id
	Flow         FlowID // zero only for a SAML response nobody asked for: then Site and Connection are set
	Site         string // id
	Connection   string // id; with Expectations, and with no Flow
	RequestID    string
	BrowserToken string // as BeginFederation gave it; not with Expectations, not without Flow
	Callback     *Callback
	Token        *TokenResponse
	SAML         *SAMLResponse
	// Expectations is set by a login service that ran the protocol itself; nil: what BeginFederation began.
	Expectations *Expectations
	Context      *Context // nil: as in the step before; with no Flow: unknown
}

// Callback is the query an OIDC provider sent the browser back with.
type Callback struct {
	State, Code, Issuer     string
	Error, ErrorDescription string
}

// TokenResponse is what the login service got for a code it exchanged itself.
type TokenResponse struct {
	IDToken, AccessToken string
	State                string // with a begun federation
}

// SAMLResponse is the form an identity provider had the browser post.
type SAMLResponse struct {
	Response, RelayState string
}

// Expectations are what evidence must fit when the login service ran the protocol itself.
type Expectations struct {
	RequestID   string // SAML: id of its AuthnRequest
	Nonce       string // OIDC
	CallbackURL string // SAML: its ACS
	MaxAge      time.Duration
}

// Completed is the answer to CompleteInput.
type Completed struct {
	Answer
	Identity *ProvenIdentity // nil when nothing was proven
}

// ProvenIdentity is who an identity provider vouched for.
type ProvenIdentity struct {
	Connection    string // id
	Issuer        string
	SubjectID     string
	Email         string
	EmailVerified bool // it may be relied on
	DisplayName   string
	AccountID     string // it is linked to; "" on first use
	SessionEnds   time.Time
}

// LinkInput names the account an identity belongs to that has none yet.
type LinkInput struct {
	Organization string // id
	Flow         FlowID
	RequestID    string
	AccountID    string
	NewAccount   bool           // the login service has just made the account
	Address      policy.Address // the account's own, verified by the login service; zero: none
	Context      *Context
}

// UnlinkInput takes an identity from its account.
type UnlinkInput struct {
	Organization string // id
	Identity     IdentityKey
	RequestID    string
	Reason       string // mandatory
}
