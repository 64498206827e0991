package convert

import (
	"strings"
	"time"
)

// Limits of what is about sign-ins elsewhere. What came through a browser may be any text that fits: what is wrong with it is a
// verifier's to say, and goes on the record.
const (
	maxCallbackURL  = 2048
	maxLoginHint    = maxEmail
	maxACRValues    = 8
	maxACR          = 256
	maxBrowserToken = 128
	maxState        = 512
	maxOIDCCode     = 4096
	maxIssuerURL    = 2048
	maxOIDCError    = 128
	maxErrorText    = 2048
	maxToken        = 16 << 10
	maxSAMLResponse = 384 << 10
	maxSAMLID       = 256
	minNonce        = 16
	maxNonce        = 512

	maxIdentities     = 500
	defaultIdentities = 50
)

// oldest is how long ago the person may last have given a credential elsewhere.
func oldest() Bound { return span(time.Second, 24*time.Hour) }

// word is a text that goes into a list divided by spaces.
func word(most int) Bound {
	return token(most, "without spaces and control characters", func(s string) bool { return noControls(s) && !strings.Contains(s, " ") })
}

func federation() map[string]Bound {
	return map[string]Bound{
		"BeginFederationRequest.flow":         name(),
		"BeginFederationRequest.request_id":   requestID(),
		"BeginFederationRequest.connection":   id(),
		"BeginFederationRequest.callback_url": text(maxCallbackURL),
		"BeginFederationRequest.login_hint":   text(maxLoginHint),
		"BeginFederationRequest.max_age":      oldest(),
		"BeginFederationRequest.acr_values":   list(maxACRValues, word(maxACR)),
		"BeginFederationRequest.prompt_login": flag(),
		"BeginFederationRequest.post_binding": flag(),
		"BeginFederationRequest.link_account": flag(),
		"BeginFederationRequest.context":      message(),

		"CompleteFederationRequest.flow":          name(),
		"CompleteFederationRequest.request_id":    requestID(),
		"CompleteFederationRequest.browser_token": text(maxBrowserToken),
		"CompleteFederationRequest.oidc_callback": message(),
		"CompleteFederationRequest.oidc_token":    message(),
		"CompleteFederationRequest.saml_response": message(),
		"CompleteFederationRequest.expectations":  message(),
		"CompleteFederationRequest.context":       message(),
		"CompleteFederationRequest.connection":    id(),
		"CompleteFederationRequest.site":          name(),

		"OidcCallback.state":             text(maxState),
		"OidcCallback.code":              text(maxOIDCCode),
		"OidcCallback.iss":               text(maxIssuerURL),
		"OidcCallback.error":             text(maxOIDCError),
		"OidcCallback.error_description": lines(maxErrorText), // some providers put a trace on lines of its own

		"OidcToken.id_token":     text(maxToken),
		"OidcToken.access_token": text(maxToken),
		"OidcToken.state":        text(maxState),

		"SamlResponse.saml_response": lines(maxSAMLResponse), // base64 may come in lines
		"SamlResponse.relay_state":   text(maxState),

		"Expectations.saml_request_id": text(maxSAMLID),
		"Expectations.nonce":           text(maxNonce),
		"Expectations.callback_url":    text(maxCallbackURL),
		"Expectations.max_age":         oldest(),

		"LinkAccountRequest.flow":        name(),
		"LinkAccountRequest.request_id":  requestID(),
		"LinkAccountRequest.account_id":  text(maxAccountID),
		"LinkAccountRequest.new_account": flag(),
		"LinkAccountRequest.email":       text(maxEmail),
		"LinkAccountRequest.context":     message(),

		"ListIdentitiesRequest.parent":     name(),
		"ListIdentitiesRequest.account_id": text(maxAccountID),
		"ListIdentitiesRequest.page_size":  count(),
		"ListIdentitiesRequest.page_token": opaque(),

		"UnlinkIdentityRequest.name":       name(),
		"UnlinkIdentityRequest.request_id": requestID(),
		"UnlinkIdentityRequest.reason":     lines(maxReason),
	}
}
