package convert

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// BeginFederation converts a request to send somebody to an identity provider.
func (c *Converter) BeginFederation(r *posternv1.BeginFederationRequest) (authflow.BeginInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.BeginInput{}, err
	}
	in := authflow.BeginInput{
		RequestID: r.GetRequestId(), Connection: r.GetConnection(), CallbackURL: r.GetCallbackUrl(), LoginHint: r.GetLoginHint(),
		MaxAge: age(r.GetMaxAge()), ACRValues: r.GetAcrValues(), Prompt: r.GetPromptLogin(), Post: r.GetPostBinding(), Links: r.GetLinkAccount(),
	}
	var err error
	if in.Organization, in.Flow, err = flowName("flow", r.GetFlow()); err != nil {
		return authflow.BeginInput{}, err
	}
	if in.Connection == "" {
		return authflow.BeginInput{}, required("connection")
	}
	for i, v := range in.ACRValues {
		if v == "" {
			return authflow.BeginInput{}, wrong(fmt.Sprintf("acr_values[%d]", i), "must not be empty")
		}
	}
	in.Context, err = maybeOrigin(r.GetContext())
	return in, err
}

// CompleteFederation converts what came back from an identity provider. Which fields go together depends on who began the
// sign-in, and is settled here: this process (a flow and the browser's token), the login service (a flow and its expectations)
// or the identity provider (a site and a connection).
func (c *Converter) CompleteFederation(r *posternv1.CompleteFederationRequest) (authflow.CompleteInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.CompleteInput{}, err
	}
	in := authflow.CompleteInput{RequestID: r.GetRequestId(), Connection: r.GetConnection(), BrowserToken: r.GetBrowserToken()}
	err := evidence(r, &in)
	if err != nil {
		return authflow.CompleteInput{}, err
	}
	switch {
	case r.GetFlow() == "" && r.GetSite() != "":
		err = unsolicited(r, &in)
	case r.GetExpectations() != nil:
		err = expected(r, &in)
	default:
		err = begun(r, &in)
	}
	if err != nil {
		return authflow.CompleteInput{}, err
	}
	in.Context, err = maybeOrigin(r.GetContext())
	return in, err
}

// evidence converts what came back. Whether it is any good is for a verifier to say.
func evidence(r *posternv1.CompleteFederationRequest, in *authflow.CompleteInput) error {
	switch e := r.GetEvidence().(type) {
	case *posternv1.CompleteFederationRequest_OidcCallback:
		q := e.OidcCallback // any query can come through a browser: one that says nothing belongs on the flow's record
		in.Callback = &authflow.Callback{State: q.GetState(), Code: q.GetCode(), Issuer: q.GetIss(), Error: q.GetError(), ErrorDescription: q.GetErrorDescription()}
	case *posternv1.CompleteFederationRequest_OidcToken:
		if e.OidcToken.GetIdToken() == "" {
			return required("oidc_token.id_token")
		}
		in.Token = &authflow.TokenResponse{IDToken: e.OidcToken.GetIdToken(), AccessToken: e.OidcToken.GetAccessToken(), State: e.OidcToken.GetState()}
	case *posternv1.CompleteFederationRequest_SamlResponse:
		if e.SamlResponse.GetSamlResponse() == "" {
			return required("saml_response.saml_response")
		}
		in.SAML = &authflow.SAMLResponse{Response: e.SamlResponse.GetSamlResponse(), RelayState: e.SamlResponse.GetRelayState()}
	default:
		return errs.Field("evidence", "FIELD_REQUIRED", "must be one of oidc_callback, oidc_token and saml_response")
	}
	return nil
}

// begun is evidence for what BeginFederation began. State and RelayState may be missing: then they fit nothing, and that goes on
// the flow's record.
func begun(r *posternv1.CompleteFederationRequest, in *authflow.CompleteInput) (err error) {
	if in.Organization, in.Flow, err = flowName("flow", r.GetFlow()); err != nil {
		return err
	}
	switch {
	case r.GetSite() != "":
		return unexpected("site", "a flow has its site")
	case in.Connection != "":
		return unexpected("connection", "BeginFederation named it")
	case in.BrowserToken == "":
		return required("browser_token")
	}
	return nil
}

// expected is evidence for what the login service began.
func expected(r *posternv1.CompleteFederationRequest, in *authflow.CompleteInput) (err error) {
	if in.Organization, in.Flow, err = flowName("flow", r.GetFlow()); err != nil {
		return err
	}
	switch {
	case r.GetSite() != "":
		return unexpected("site", "a flow has its site")
	case in.Callback != nil:
		return unexpected("expectations", "a code is exchanged for whom BeginFederation sent")
	case in.BrowserToken != "":
		return unexpected("browser_token", "it belongs to what BeginFederation began, expectations to what it did not")
	case in.Connection == "":
		return required("connection")
	}
	x := r.GetExpectations()
	in.Expectations = &authflow.Expectations{
		RequestID: x.GetSamlRequestId(), Nonce: x.GetNonce(), CallbackURL: x.GetCallbackUrl(), MaxAge: age(x.GetMaxAge()),
	}
	if in.Token != nil {
		return expectedOfToken(in)
	}
	return expectedOfSAML(in)
}

func expectedOfToken(in *authflow.CompleteInput) error {
	x := in.Expectations
	switch {
	case in.Token.State != "":
		return unexpected("oidc_token.state", notBegun)
	case x.RequestID != "":
		return unexpected("expectations.saml_request_id", "a token answers no SAML request")
	case x.CallbackURL != "":
		return unexpected("expectations.callback_url", "a token says nothing of where it was sent")
	case x.Nonce == "":
		return required("expectations.nonce")
	case len(x.Nonce) < minNonce:
		return wrong("expectations.nonce", fmt.Sprintf("must have at least %d bytes", minNonce))
	}
	return nil
}

func expectedOfSAML(in *authflow.CompleteInput) error {
	x := in.Expectations
	switch {
	case in.SAML.RelayState != "":
		return unexpected("saml_response.relay_state", notBegun)
	case x.Nonce != "":
		return unexpected("expectations.nonce", "a SAML response has none")
	case x.RequestID == "":
		return required("expectations.saml_request_id")
	}
	return nil
}

const (
	notBegun = "with expectations there is nothing here to hold it against"
	notAsked = "nobody asked for it: name the flow it was asked for in"
)

// unsolicited is a SAML response that nobody here asked for. All that can be expected of it is where it was posted to.
func unsolicited(r *posternv1.CompleteFederationRequest, in *authflow.CompleteInput) (err error) {
	if in.Organization, in.Site, err = names.Site("site", r.GetSite()); err != nil {
		return err
	}
	x := r.GetExpectations()
	switch {
	case in.SAML == nil:
		return required("flow")
	case x.GetSamlRequestId() != "":
		return unexpected("expectations.saml_request_id", notAsked)
	case x.GetNonce() != "":
		return unexpected("expectations.nonce", notAsked)
	case x.GetMaxAge() != nil:
		return unexpected("expectations.max_age", notAsked)
	case in.BrowserToken != "":
		return unexpected("browser_token", "it belongs to a flow")
	case in.Connection == "":
		return required("connection")
	}
	if x != nil {
		in.Expectations = &authflow.Expectations{CallbackURL: x.GetCallbackUrl()}
	}
	return nil
}

// LinkAccount converts the account of an identity.
func (c *Converter) LinkAccount(r *posternv1.LinkAccountRequest) (authflow.LinkInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.LinkInput{}, err
	}
	in := authflow.LinkInput{RequestID: r.GetRequestId(), AccountID: r.GetAccountId(), NewAccount: r.GetNewAccount()}
	var err error
	if in.Organization, in.Flow, err = flowName("flow", r.GetFlow()); err != nil {
		return authflow.LinkInput{}, err
	}
	if in.AccountID == "" {
		return authflow.LinkInput{}, required("account_id")
	}
	if r.GetEmail() != "" {
		if in.Address, err = policy.ParseUsableAddress(r.GetEmail()); err != nil {
			return authflow.LinkInput{}, about("email", err)
		}
	}
	in.Context, err = maybeOrigin(r.GetContext())
	return in, err
}

// IdentityPage asks for a page of links. Its token is for the caller to open.
type IdentityPage struct {
	Organization string // id
	AccountID    string // "": all
	Limit        int
}

// ListIdentities converts a request for a page.
func (c *Converter) ListIdentities(r *posternv1.ListIdentitiesRequest) (IdentityPage, error) {
	organization, err := c.Parent(r)
	out := IdentityPage{Organization: organization, AccountID: r.GetAccountId(), Limit: min(int(r.GetPageSize()), maxIdentities)}
	if out.Limit == 0 {
		out.Limit = defaultIdentities
	}
	return out, err
}

// UnlinkIdentity converts a request to take an identity from its account.
func (c *Converter) UnlinkIdentity(r *posternv1.UnlinkIdentityRequest) (authflow.UnlinkInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.UnlinkInput{}, err
	}
	organization, key, err := names.Identity("name", r.GetName())
	if err != nil {
		return authflow.UnlinkInput{}, err
	}
	if r.GetReason() == "" {
		return authflow.UnlinkInput{}, required("reason")
	}
	return authflow.UnlinkInput{Organization: organization, Identity: key, RequestID: r.GetRequestId(), Reason: r.GetReason()}, nil
}

// age converts a checked duration; none is 0.
func age(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}

// maybeOrigin converts where a call came from; none is "as in the step before".
func maybeOrigin(c *posternv1.Context) (*authflow.Context, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // none is a valid answer
	}
	out, err := origin("context", c)
	if err != nil {
		return nil, err
	}
	return &out, nil
}
