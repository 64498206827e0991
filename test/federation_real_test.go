package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/realidp"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// home is a provider and what is to be known of its person.
type home struct {
	connection, issuer, subject string
	user                        realidp.User
	visit                       visit
	checks                      []string
}

func (h *homes) all() []home {
	openID := func(id string, o *realidp.OIDC, subject string) home {
		return home{id, o.Issuer, subject, o.User, redirected(o.SignIn), []string{"signature", "issuer", "audience", "expiry", "nonce"}}
	}
	saml := func(id string, s *realidp.SAML, more ...string) home {
		return home{id, s.EntityID, s.User.Email, s.User, h.sealedAt(s, redirected(s.SignIn)),
			append([]string{"assertion_signature", "certificate", "request", "audience", "recipient", "times"}, more...)}
	}
	return []home{
		openID("dex", h.dex, base64.RawURLEncoding.EncodeToString([]byte(dexSubject))),
		openID("provider", h.provider, h.provider.User.Email),
		openID("keyed", h.keyed, h.keyed.User.Email),
		saml("agency", h.agency), saml("vault", h.vault, "response_signature"), saml("club", h.club, "response_signature"), saml("safe", h.safe),
	}
}

// People sign in at providers that nobody here wrote, at their real login pages: verified here, linked on first use, known the second
// time, and on the record as it was.
func TestSignInsAtRealProviders(t *testing.T) {
	t.Parallel()
	h := goHome(t)
	var want []proven
	expect := func(c *posternv1.CompleteFederationResponse, at home) *posternv1.CompleteFederationResponse {
		want = append(want, proven{c.GetAnswer(), "sso.verified", at.issuer, at.subject, at.checks})
		return c
	}
	known := func(what string, c *posternv1.CompleteFederationResponse, at home) {
		t.Helper()
		if c.GetIdentity().GetAccountId() != "of-"+at.connection || c.GetAnswer().GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
			t.Errorf("%s, %s: %v", at.connection, what, c)
		}
		expect(c, at)
	}
	at := map[string]home{}
	for _, p := range h.all() {
		at[p.connection] = p
		h.tested(p.connection)
		first := expect(h.through(p.connection, p.visit), p)
		id := first.GetIdentity()
		if id.GetIssuer() != p.issuer || id.GetSubjectId() != p.subject || id.GetEmail() != p.user.Email || id.GetDisplayName() != p.user.Name ||
			id.GetAccountId() != "" || first.GetAnswer().GetDecision().GetReason() != "NO_SUBJECT" {
			t.Fatalf("%s, first use: %v", p.connection, first)
		}
		flow := first.GetAnswer().GetFlow()
		if l := h.link(flow, "of-"+p.connection); l.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
			t.Errorf("%s, linked: %v", p.connection, l)
		}
		if f := h.finish(flow); f.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED {
			t.Errorf("%s, finished: %v", p.connection, f)
		}
		known("second use", h.through(p.connection, p.visit), p)
	}
	for id, s := range map[string]*realidp.SAML{"agency": h.agency, "vault": h.vault, "club": h.club, "safe": h.safe} {
		known("HTTP-POST", h.through(id, posted(s.SignInPost), postBinding), at[id])
	}
	var own []*posternv1.CompleteFederationResponse
	for id, o := range map[string]*realidp.OIDC{"dex": h.dex, "provider": h.provider} {
		p := at[id]
		p.checks = []string{"signature", "nonce"}
		if o == h.dex { // the other gives a token of a code no hash
			p.checks = append(p.checks, "access_token_hash")
		}
		c := h.ownProtocol(id, o, o == h.dex)
		known("the login service's own protocol", c, p)
		own = append(own, c)
	}
	var unasked []*posternv1.CompleteFederationResponse
	for id, s := range map[string]*realidp.SAML{"agency": h.agency, "club": h.club} {
		p := at[id]
		p.checks = []string{"assertion_signature", "unsolicited", "recipient"}
		c := h.unasked(id, s)
		known("began at the provider", c, p)
		unasked = append(unasked, c)
	}
	cancelled := h.through("provider", redirected(h.provider.Cancel)).GetAnswer()
	declined := h.through("agency", redirected(h.agency.Cancel)).GetAnswer()
	careless := h.through("careless", redirected(h.vault.SignIn)).GetAnswer()

	events := h.recorded("the last step", func(all []*posternv1.Event) bool { return rejected(all, careless, "ENCRYPTION_NOT_ALLOWED") != nil })
	for _, w := range want {
		w.check(t, events)
	}
	for _, c := range own {
		if e := stepOf(events, c.GetAnswer()); e.GetExpectations() != "CALLER" {
			t.Errorf("the login service's own protocol: %v", e)
		}
	}
	for _, c := range unasked {
		if e := stepOf(events, &posternv1.FlowAnswer{Flow: c.GetAnswer().GetFlow(), Step: 1}); e.GetInitiatedBy() != "IDP" {
			t.Errorf("a sign-in the provider began: %v", e)
		}
	}
	for reason, r := range map[string]struct {
		answer *posternv1.FlowAnswer
		words  []string
	}{
		"USER_CANCELLED": {cancelled, []string{"access_denied", "End-User aborted interaction"}},
		"IDP_ERROR":      {declined, []string{"AuthnFailed", "the user cancelled"}},
	} {
		e := rejected(events, r.answer, reason)
		for _, w := range r.words {
			if d := e.GetPersonal().GetDetail(); !strings.Contains(d, w) {
				t.Errorf("%s without %q: %q of %v", reason, w, d, e)
			}
		}
	}
	h.sealed()
}

// tested asks what is wrong with a connection: nothing.
func (h *homes) tested(connection string) {
	h.t.Helper()
	found, err := h.directory().TestConnection(h.ctx(), &posternv1.TestConnectionRequest{Name: guild + "/connections/" + connection})
	if h.told(found, err) != nil || len(found.GetFindings()) == 0 {
		h.t.Fatalf("test %s: %v, %v", connection, found, err)
	}
	for _, f := range found.GetFindings() {
		if f.GetSeverity() == posternv1.ConnectionFinding_SEVERITY_ERROR {
			h.t.Errorf("%s: %v", connection, f)
		}
	}
}

// ownProtocol signs in as a login service does that runs OpenID Connect itself and only wants the ID token judged and recorded, with
// the hash of the access token when it bears one. The same token is nobody's proof a second time.
func (h *homes) ownProtocol(connection string, o *realidp.OIDC, hashed bool) *posternv1.CompleteFederationResponse {
	h.t.Helper()
	found, err := oidc.NewProvider(h.ctx(), o.Issuer)
	h.p.must2(err)
	nonce, verifier := rand.Text(), oauth2.GenerateVerifier()
	config := &oauth2.Config{ClientID: o.Client.ID, ClientSecret: o.Client.Secret, RedirectURL: homeRedirect, Scopes: []string{"openid", "email", "profile"}, Endpoint: found.Endpoint()}
	c := h.brought(o.SignIn(h.ctx(), config.AuthCodeURL(rand.Text(), oauth2.S256ChallengeOption(verifier), oidc.Nonce(nonce))))
	token, err := config.Exchange(h.ctx(), c.Form.Get("code"), oauth2.VerifierOption(verifier))
	h.p.must2(err)
	id, ok := token.Extra("id_token").(string)
	if !ok {
		h.t.Fatalf("%s gave no ID token", o.Issuer)
	}
	h.hide(nonce, id, token.AccessToken)
	evidence := &posternv1.OidcToken{IdToken: id}
	if hashed {
		evidence.AccessToken = token.AccessToken
	}
	ask := func() *posternv1.CompleteFederationResponse {
		return h.completed(&posternv1.CompleteFederationRequest{Flow: h.flow(h.p, ""), RequestId: h.id(), Connection: connection,
			Expectations: &posternv1.Expectations{Nonce: nonce}, Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: evidence}})
	}
	first := ask()
	if again := ask(); again.GetIdentity() != nil || again.GetAnswer().GetReason() != "REPLAYED" {
		h.t.Errorf("the token a second time: %v", again)
	}
	return first
}

// sealedAt also sees to it that what came back can be read only where it is meant to be, when the provider encrypts, and by everybody
// when it does not.
func (h *homes) sealedAt(s *realidp.SAML, v visit) visit {
	return func(ctx context.Context, b *posternv1.BeginFederationResponse) (browser.Callback, error) {
		c, err := v(ctx, b)
		if err != nil {
			return c, err
		}
		document, err := base64.StdEncoding.DecodeString(c.Form.Get("SAMLResponse"))
		if open := bytes.Contains(document, []byte(s.User.Email)); open == s.SP.Encrypts {
			h.t.Errorf("%s encrypts (%v), and who it is about is to be read (%v)", s.EntityID, s.SP.Encrypts, open)
		}
		return c, err
	}
}
