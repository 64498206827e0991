package test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Two providers that both know this client, one of them hostile: what one of them made never counts as the other's, and no code
// goes to the wrong one.
func TestWhatOneProviderMadeIsNotTheOthers(t *testing.T) {
	t.Parallel()
	ec := idptest.Algorithm("ES256")
	client := idptest.Client{ID: "postern", Secret: "one-secret-at-both-providers"}
	honest, hostile := idptest.NewOIDC(t, ec, idptest.WithClient(client)), idptest.NewOIDC(t, ec, idptest.WithClient(client))
	one, two := idptest.NewSAML(t, idptest.ECDSA()), idptest.NewSAML(t, idptest.ECDSA())
	a := goAbroad(t, honest.RootPEM(), 1)
	a.oidc("honest", honest)
	a.oidc("hostile", hostile)
	a.saml("one", one)
	a.saml("two", two)
	a.apply()
	for _, p := range []interface{ SetPerson(idptest.Person) }{honest, hostile, one, two} {
		p.SetPerson(person("kim"))
	}
	begin := func(connection string) *posternv1.BeginFederationResponse {
		return a.begin(a.p, a.flow(a.p, ""), connection)
	}
	refused := func(what, reason string, r *posternv1.CompleteFederationRequest) {
		t.Helper()
		if c := a.completed(r); c.GetAnswer().GetReason() != reason || c.GetIdentity() != nil {
			t.Errorf("%s: %v", what, c)
		}
	}

	refused("a token of another provider", "SIGNATURE_INVALID", a.token(begin("honest"), hostile.IDToken))
	refused("a token of another provider in the name of the right one", "SIGNATURE_INVALID", a.token(begin("honest"), func(c idptest.Claims) string {
		c["iss"] = honest.Issuer()
		return hostile.IDToken(c)
	}))

	// The person begins at the one and comes back with the code of the other, in the state of the one.
	b, other := begin("hostile"), begin("honest")
	mixed := a.back(b, hostile.Authorize(b.GetRedirectUrl()))
	code := a.back(other, honest.Authorize(other.GetRedirectUrl())).GetOidcCallback()
	mixed.GetOidcCallback().Code, mixed.GetOidcCallback().Iss = code.GetCode(), code.GetIss()
	refused("the code of an honest provider on its way to a hostile one", "ISSUER_MISMATCH", mixed)
	b = begin("hostile")
	mixed = a.back(b, hostile.Authorize(b.GetRedirectUrl()))
	mixed.GetOidcCallback().Iss = ""
	refused("no issuer where one is promised", "ISSUER_MISMATCH", mixed)
	if n := hostile.Calls(idptest.Token) + honest.Calls(idptest.Token); n != 0 {
		t.Errorf("%d codes left", n)
	}

	// One flow goes on with another provider: what the first one sends comes too late.
	flow := a.flow(a.p, "")
	b = a.begin(a.p, flow, "hostile")
	late := a.back(b, hostile.Authorize(b.GetRedirectUrl()))
	now := a.begin(a.p, flow, "honest")
	refused("what was begun before", "STATE_MISMATCH", late)
	if c := a.completed(a.back(now, honest.Authorize(now.GetRedirectUrl()))); c.GetIdentity().GetIssuer() != honest.Issuer() {
		t.Errorf("what was begun last: %v", c)
	}

	// The response of one SAML provider for a flow that began with the other.
	b = begin("one")
	r := a.back(b, one.SignIn(b.GetRedirectUrl()))
	asked := one.Requests()[len(one.Requests())-1].ID
	r.GetSamlResponse().SamlResponse = idptest.Encoded(two.Response(idptest.Response{InResponseTo: asked}))
	refused("the response of another provider", "ISSUER_MISMATCH", r)
	b = begin("one")
	r = a.back(b, one.SignIn(b.GetRedirectUrl()))
	asked = one.Requests()[len(one.Requests())-1].ID
	r.GetSamlResponse().SamlResponse = idptest.Encoded(two.Response(idptest.Response{InResponseTo: asked, Issuer: one.EntityID()}))
	refused("a response of another provider in the name of the right one", "SIGNATURE_INVALID", r)
	a.sealed()
}

// A connection changes while people are at its provider.
func TestConnectionsThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	ec := idptest.Algorithm("ES256")
	o, old := idptest.NewOIDC(t, ec), idptest.NewOIDC(t, ec)
	a := goAbroad(t, o.RootPEM(), 1)
	a.oidc("stays", o)
	a.oidc("stops", o)
	a.oidc("leaves", o)
	a.oidc("moves", old)
	a.oidc("bare", o)
	delete(a.set, "bare")
	a.apply()
	o.SetPerson(person("lou"))
	old.SetPerson(person("lou"))
	away := map[string]*posternv1.CompleteFederationRequest{}
	for connection, provider := range map[string]*idptest.OIDC{"stays": o, "stops": o, "leaves": o, "moves": old} {
		b := a.begin(a.p, a.flow(a.p, ""), connection)
		away[connection] = a.back(b, provider.Authorize(b.GetRedirectUrl()))
	}
	var kept []table
	for _, c := range a.connections {
		switch c["id"] {
		case "stops":
			c["disabled"] = true
		case "moves":
			c["oidc"].(table)["issuer"] = o.Issuer()
		case "leaves":
			continue
		}
		kept = append(kept, c)
	}
	a.connections = kept
	a.apply()
	if c := a.completed(away["stops"]); c.GetAnswer().GetReason() != "CONNECTION_DISABLED" || c.GetIdentity() != nil {
		t.Errorf("switched off meanwhile: %v", c)
	}
	if c := a.completed(away["moves"]); c.GetAnswer().GetReason() != "ISSUER_MISMATCH" || c.GetIdentity() != nil {
		t.Errorf("at another provider meanwhile: %v", c)
	}
	if c, err := a.complete(a.p, away["leaves"]); reason(err) != "CONNECTION_UNKNOWN" {
		t.Errorf("removed meanwhile: %v, %v", c, err)
	}
	if n := o.Calls(idptest.Token) + old.Calls(idptest.Token); n != 0 {
		t.Errorf("%d codes left for connections that are off, gone or elsewhere", n)
	}

	// The client's secret changes here, then at the provider.
	a.secret("stays", "another-client-secret-0815")
	if c := a.completed(away["stays"]); c.GetAnswer().GetReason() != "CODE_EXCHANGE_FAILED" {
		t.Errorf("with another secret: %v", c)
	}
	client := o.Client()
	client.Secret = "another-client-secret-0815"
	o.Register(client)
	if c := a.signedIn(o, "stays"); c.GetIdentity() == nil {
		t.Errorf("with the secret the provider has, too: %v", c)
	}
	if c := a.signedIn(o, "bare"); c.GetAnswer().GetReason() != "CODE_EXCHANGE_FAILED" {
		t.Errorf("without a secret: %v", c)
	}
	a.secret("bare", client.Secret)
	if c := a.signedIn(o, "bare"); c.GetIdentity() == nil {
		t.Errorf("with a secret at last: %v", c)
	}

	// Redis away: nothing leaves, nothing is proven, and nothing private is in the error. Then the same call counts.
	b := a.begin(a.p, a.flow(a.p, ""), "stays")
	r := a.back(b, o.Authorize(b.GetRedirectUrl()))
	sent := o.Calls(idptest.Token)
	a.r.redis.Pause()
	if _, err := a.complete(a.p, r); reason(err) != "NOT_RECORDED" && reason(err) != "OUTCOME_UNKNOWN" {
		t.Errorf("Redis away: %v", err)
	}
	a.r.redis.Resume()
	a.p.awaitServing()
	if o.Calls(idptest.Token) != sent {
		t.Errorf("a code left although nobody could claim it")
	}
	a.p.must2(eventually(20*time.Second, func(context.Context) error {
		c, err := a.complete(a.p, r)
		if err == nil && c.GetIdentity() == nil && c.GetAnswer().GetReason() != "CODE_EXCHANGE_FAILED" {
			err = errors.New(c.GetAnswer().GetReason())
		}
		return err
	}))
	a.sealed()
}
