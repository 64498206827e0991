package convert_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

const (
	someNonce = "0123456789abcdef"
	canary    = "CANARY-of-what-was-handed-in"
)

type complete = posternv1.CompleteFederationRequest

func callback() *posternv1.CompleteFederationRequest_OidcCallback {
	return &posternv1.CompleteFederationRequest_OidcCallback{OidcCallback: &posternv1.OidcCallback{State: canary + "s", Code: canary + "c", Iss: "https://idp.example"}}
}

func idToken() *posternv1.CompleteFederationRequest_OidcToken {
	return &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: canary + "i", AccessToken: canary + "a"}}
}

func samlForm() *posternv1.CompleteFederationRequest_SamlResponse {
	return &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: canary + "r"}}
}

// completions is one good request of each way to complete a sign-in elsewhere, by its name.
func completions() map[string]*complete {
	begun := func(r *complete) *complete {
		r.Flow, r.RequestId, r.BrowserToken = flowName, "r-1", canary+"b"
		return r
	}
	token := idToken()
	token.OidcToken.State = canary + "s"
	form := samlForm()
	form.SamlResponse.RelayState = canary + "s"
	return map[string]*complete{
		"code":  begun(&complete{Evidence: callback()}),
		"error": begun(&complete{Evidence: &posternv1.CompleteFederationRequest_OidcCallback{OidcCallback: &posternv1.OidcCallback{State: "s", Error: "access_denied", ErrorDescription: "AADSTS1:\r\nTrace ID: 1"}}}),
		"token": begun(&complete{Evidence: token}),
		"saml":  begun(&complete{Evidence: form}),
		"token, expected": {Flow: flowName, RequestId: "r-1", Connection: "okta", Evidence: idToken(),
			Expectations: &posternv1.Expectations{Nonce: someNonce, MaxAge: durationpb.New(time.Minute)}},
		"saml, expected": {Flow: flowName, RequestId: "r-1", Connection: "okta", Evidence: samlForm(),
			Expectations: &posternv1.Expectations{SamlRequestId: "_1", CallbackUrl: "https://login.example/acs"}},
		"unsolicited": {Site: siteName, RequestId: "r-1", Connection: "okta", Evidence: form},
		"unsolicited, elsewhere": {Site: siteName, RequestId: "r-1", Connection: "okta", Evidence: form,
			Expectations: &posternv1.Expectations{CallbackUrl: "https://login.example/acs2"}},
	}
}

func TestEachWayToCompleteASignInElsewherePasses(t *testing.T) {
	c := newConverter(t)
	for name, r := range completions() {
		in, err := c.CompleteFederation(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := "begun"
		if r.GetExpectations() != nil {
			want = "expected"
		}
		if r.GetSite() != "" {
			want = "unsolicited"
		}
		if got := wayOf(in); got != want {
			t.Errorf("%s is of the way %q: %+v", name, got, in)
		}
	}
	in, err := c.CompleteFederation(completions()["token, expected"])
	id, _ := authflow.ParseFlowID(flowID)
	want := authflow.CompleteInput{
		Organization: "acme", Flow: id, Connection: "okta", RequestID: "r-1", Token: &authflow.TokenResponse{IDToken: canary + "i", AccessToken: canary + "a"},
		Expectations: &authflow.Expectations{Nonce: someNonce, MaxAge: time.Minute},
	}
	if err != nil || !reflect.DeepEqual(in, want) {
		t.Errorf("%+v, %v", in, err)
	}
	in, err = c.CompleteFederation(completions()["code"])
	if err != nil || *in.Callback != (authflow.Callback{State: canary + "s", Code: canary + "c", Issuer: "https://idp.example"}) || in.BrowserToken != canary+"b" || in.Context != nil {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestWhatContradictsItselfIsRefusedWithoutItsValues(t *testing.T) {
	c := newConverter(t)
	long := strings.Repeat("x", 400<<10)
	const required, unexpected, invalid, name = "FIELD_REQUIRED", "FIELD_UNEXPECTED", "FIELD_INVALID", "NAME_INVALID"
	for _, tt := range []struct {
		of            string
		change        func(r *complete)
		reason, field string
	}{
		{"code", func(r *complete) { r.RequestId = "" }, required, "request_id"},
		{"code", func(r *complete) { r.Evidence = nil }, required, "evidence"},
		{"code", func(r *complete) { r.Flow = "" }, name, "flow"},
		{"code", func(r *complete) { r.Flow = "organizations/acme/flows/" + canary }, "FLOW_ID_INVALID", "flow"},
		{"code", func(r *complete) { r.BrowserToken = "" }, required, "browser_token"},
		{"code", func(r *complete) { r.Connection = "okta" }, unexpected, "connection"},
		{"code", func(r *complete) { r.Site = siteName }, unexpected, "site"},
		{"code", func(r *complete) { r.GetOidcCallback().Code = canary + "\x00" }, invalid, "oidc_callback.code"},
		{"code", func(r *complete) { r.GetOidcCallback().Code = canary + "\xff" }, invalid, "oidc_callback.code"},
		{"code", func(r *complete) { r.GetOidcCallback().Code = canary + long[:4096] }, invalid, "oidc_callback.code"},
		{"code", func(r *complete) { r.GetOidcCallback().State = canary + long[:512] }, invalid, "oidc_callback.state"},
		{"code", func(r *complete) { r.BrowserToken = canary + long[:128] }, invalid, "browser_token"},
		{"code", func(r *complete) { r.Expectations = &posternv1.Expectations{Nonce: someNonce} }, unexpected, "expectations"},
		{"code", func(r *complete) { r.Context = &posternv1.Context{Ip: canary} }, invalid, "context.ip"},
		{"code", func(r *complete) { r.Flow, r.Site, r.BrowserToken = "", siteName, "" }, required, "flow"},
		{"token", func(r *complete) { r.GetOidcToken().IdToken = "" }, required, "oidc_token.id_token"},
		{"token", func(r *complete) { r.GetOidcToken().IdToken = canary + long[:16<<10] }, invalid, "oidc_token.id_token"},
		{"token", func(r *complete) { r.GetOidcToken().AccessToken = canary + "\n" }, invalid, "oidc_token.access_token"},
		{"token, expected", func(r *complete) { r.GetOidcToken().State = canary }, unexpected, "oidc_token.state"},
		{"token, expected", func(r *complete) { r.BrowserToken = canary }, unexpected, "browser_token"},
		{"token, expected", func(r *complete) { r.Connection = "" }, required, "connection"},
		{"token, expected", func(r *complete) { r.Connection = "Not An Id" }, invalid, "connection"},
		{"token, expected", func(r *complete) { r.Site = siteName }, unexpected, "site"},
		{"token, expected", func(r *complete) { r.GetExpectations().Nonce = "" }, required, "expectations.nonce"},
		{"token, expected", func(r *complete) { r.GetExpectations().Nonce = "CANARY-of-what-" }, invalid, "expectations.nonce"},
		{"token, expected", func(r *complete) { r.GetExpectations().Nonce = canary + long[:512] }, invalid, "expectations.nonce"},
		{"token, expected", func(r *complete) { r.GetExpectations().SamlRequestId = canary }, unexpected, "expectations.saml_request_id"},
		{"token, expected", func(r *complete) { r.GetExpectations().CallbackUrl = "https://a" }, unexpected, "expectations.callback_url"},
		{"token, expected", func(r *complete) { r.GetExpectations().MaxAge = durationpb.New(25 * time.Hour) }, invalid, "expectations.max_age"},
		{"token, expected", func(r *complete) { r.Flow = "" }, name, "flow"},
		{"saml", func(r *complete) { r.GetSamlResponse().SamlResponse = "" }, required, "saml_response.saml_response"},
		{"saml", func(r *complete) { r.GetSamlResponse().SamlResponse = long }, invalid, "saml_response.saml_response"},
		{"saml", func(r *complete) { r.GetSamlResponse().SamlResponse = canary + "\x00" }, invalid, "saml_response.saml_response"},
		{"saml", func(r *complete) { r.GetSamlResponse().RelayState = canary + long[:512] }, invalid, "saml_response.relay_state"},
		{"saml, expected", func(r *complete) { r.GetSamlResponse().RelayState = canary }, unexpected, "saml_response.relay_state"},
		{"saml, expected", func(r *complete) { r.GetExpectations().SamlRequestId = "" }, required, "expectations.saml_request_id"},
		{"saml, expected", func(r *complete) { r.GetExpectations().Nonce = canary }, unexpected, "expectations.nonce"},
		{"unsolicited", func(r *complete) { r.Flow = flowName }, unexpected, "site"},
		{"unsolicited", func(r *complete) { r.Site = "" }, name, "flow"},
		{"unsolicited", func(r *complete) { r.Site = "organizations/acme" }, name, "site"},
		{"unsolicited", func(r *complete) { r.Connection = "" }, required, "connection"},
		{"unsolicited", func(r *complete) { r.BrowserToken = canary }, unexpected, "browser_token"},
		{"unsolicited", func(r *complete) { r.Evidence = idToken() }, required, "flow"},
		{"unsolicited", func(r *complete) { r.Expectations = &posternv1.Expectations{SamlRequestId: canary} }, unexpected, "expectations.saml_request_id"},
		{"unsolicited", func(r *complete) { r.Expectations = &posternv1.Expectations{Nonce: canary} }, unexpected, "expectations.nonce"},
		{"unsolicited", func(r *complete) { r.Expectations = &posternv1.Expectations{MaxAge: durationpb.New(time.Hour)} }, unexpected, "expectations.max_age"},
	} {
		r, ok := proto.Clone(completions()[tt.of]).(*complete)
		if !ok {
			t.Fatal(tt.of)
		}
		tt.change(r)
		_, err := c.CompleteFederation(r)
		e := errs.As(err)
		if e == nil || e.Kind != errs.Invalid || e.Reason != tt.reason || len(e.Violations) != 1 || e.Violations[0].Field != tt.field {
			t.Errorf("%s: got %v, want %s of %s", tt.of, err, tt.reason, tt.field)
		} else if strings.Contains(e.Error(), "CANARY") {
			t.Errorf("the error has a value: %v", e)
		}
	}
}

func TestEvidenceAtItsBoundPasses(t *testing.T) {
	c := newConverter(t)
	saml, code := completions()["saml"], completions()["code"]
	saml.GetSamlResponse().SamlResponse = strings.Repeat("A", 384<<10-2) + "\r\n"
	code.GetOidcCallback().Code, code.GetOidcCallback().State = strings.Repeat("c", 4096), ""
	in, err := c.CompleteFederation(saml)
	if err != nil || len(in.SAML.Response) != 384<<10 {
		t.Errorf("a SAML response of 384 KiB: %v", err)
	}
	if in, err = c.CompleteFederation(code); err != nil || in.Callback.State != "" {
		t.Errorf("a callback without state is for the record to refuse: %v", err)
	}
	code.GetOidcCallback().Code = ""
	if in, err = c.CompleteFederation(code); err != nil || in.Callback.Code != "" {
		t.Errorf("a callback that says nothing is for the record to refuse: %v", err)
	}
}

func TestBeginFederation(t *testing.T) {
	c := newConverter(t)
	good := func() *posternv1.BeginFederationRequest {
		return &posternv1.BeginFederationRequest{
			Flow: flowName, RequestId: "r-1", Connection: "okta", CallbackUrl: "https://login.example/cb", LoginHint: "not an address", MaxAge: durationpb.New(time.Hour),
			AcrValues: []string{"urn:mace:incommon:iap:silver"}, PromptLogin: true, PostBinding: true, LinkAccount: true, Context: &posternv1.Context{Ip: "192.0.2.1"},
		}
	}
	in, err := c.BeginFederation(good())
	if err != nil || in.Organization != "acme" || in.Flow.String() != flowID || in.Connection != "okta" || in.CallbackURL != "https://login.example/cb" ||
		in.LoginHint != "not an address" || in.MaxAge != time.Hour || len(in.ACRValues) != 1 || !in.Prompt || !in.Post || !in.Links || in.Context == nil {
		t.Errorf("%+v, %v", in, err)
	}
	for field, change := range map[string]func(r *posternv1.BeginFederationRequest){
		"request_id":    func(r *posternv1.BeginFederationRequest) { r.RequestId = "" },
		"flow":          func(r *posternv1.BeginFederationRequest) { r.Flow = "organizations/acme" },
		"connection":    func(r *posternv1.BeginFederationRequest) { r.Connection = "" },
		"callback_url":  func(r *posternv1.BeginFederationRequest) { r.CallbackUrl = strings.Repeat("a", 2049) },
		"login_hint":    func(r *posternv1.BeginFederationRequest) { r.LoginHint = strings.Repeat("a", 321) },
		"max_age":       func(r *posternv1.BeginFederationRequest) { r.MaxAge = durationpb.New(time.Millisecond) },
		"acr_values":    func(r *posternv1.BeginFederationRequest) { r.AcrValues = make([]string, 9) },
		"acr_values[0]": func(r *posternv1.BeginFederationRequest) { r.AcrValues = []string{"two words"} },
		"acr_values[1]": func(r *posternv1.BeginFederationRequest) { r.AcrValues = []string{"a", ""} },
		"context.ip":    func(r *posternv1.BeginFederationRequest) { r.Context.Ip = "x" },
	} {
		r := good()
		change(r)
		if _, err := c.BeginFederation(r); errs.KindOf(err) != errs.Invalid || err == nil || errs.As(err).Violations[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestLinkAccount(t *testing.T) {
	c := newConverter(t)
	good := func() *posternv1.LinkAccountRequest {
		return &posternv1.LinkAccountRequest{Flow: flowName, RequestId: "r-1", AccountId: "acct-1", NewAccount: true, Email: "Mia@Partner-Postern-Demo.com"}
	}
	in, err := c.LinkAccount(good())
	if err != nil || in.AccountID != "acct-1" || !in.NewAccount || in.Address.String() != "Mia@partner-postern-demo.com" || in.Flow.String() != flowID {
		t.Errorf("%+v, %v", in, err)
	}
	for field, change := range map[string]func(r *posternv1.LinkAccountRequest){
		"request_id": func(r *posternv1.LinkAccountRequest) { r.RequestId = "" },
		"flow":       func(r *posternv1.LinkAccountRequest) { r.Flow = "" },
		"account_id": func(r *posternv1.LinkAccountRequest) { r.AccountId = "" },
		"email":      func(r *posternv1.LinkAccountRequest) { r.Email = canary },
		"context.ip": func(r *posternv1.LinkAccountRequest) { r.Context = &posternv1.Context{Ip: "x"} },
	} {
		r := good()
		change(r)
		_, err := c.LinkAccount(r)
		if e := errs.As(err); e == nil || e.Kind != errs.Invalid || e.Violations[0].Field != field || strings.Contains(e.Error(), "CANARY") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestIdentities(t *testing.T) {
	c := newConverter(t)
	for size, want := range map[int32]int{0: 50, 7: 7, 500: 500, 501: 500} {
		in, err := c.ListIdentities(&posternv1.ListIdentitiesRequest{Parent: "organizations/acme", AccountId: "acct-1", PageSize: size})
		if err != nil || in != (convert.IdentityPage{Organization: "acme", AccountID: "acct-1", Limit: want}) {
			t.Errorf("%d: %+v, %v", size, in, err)
		}
	}
	name := "organizations/acme/identities/" + strings.Repeat("0a", 32)
	in, err := c.UnlinkIdentity(&posternv1.UnlinkIdentityRequest{Name: name, RequestId: "r-1", Reason: "left"})
	if err != nil || in.Identity[31] != 10 || in.Organization != "acme" || in.Reason != "left" || in.RequestID != "r-1" {
		t.Errorf("%+v, %v", in, err)
	}
	for field, r := range map[string]*posternv1.UnlinkIdentityRequest{
		"name": {Name: name + "a", RequestId: "r-1", Reason: "left"}, "request_id": {Name: name, Reason: "left"}, "reason": {Name: name, RequestId: "r-1"},
	} {
		if _, err := c.UnlinkIdentity(r); errs.KindOf(err) != errs.Invalid || err == nil || errs.As(err).Violations[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	links := []authflow.Link{
		{Identity: authflow.IdentityKey{1}, AccountID: "a", Connection: "okta", Issuer: "https://idp", SubjectID: "s", Email: "a@b.com", Linked: time.Unix(1e9, 0), By: authflow.LinkedByProof, Flow: flowID},
		{Identity: authflow.IdentityKey{2}, ConnectionUID: "u-gone"},
	}
	out := convert.Identities("acme", links)
	if out[0].GetName() != "organizations/acme/identities/01"+strings.Repeat("00", 31) || out[0].GetConnection() != "okta" || out[0].GetLinkedBy() != "PROOF" ||
		out[0].GetFlow() != flowName || out[0].GetLinkTime().GetSeconds() != 1e9 || out[1].GetConnection() != "" || out[1].GetFlow() != "" {
		t.Errorf("%v", out)
	}
}
