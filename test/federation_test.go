package test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// person is somebody an identity provider knows, at the partner's domain.
func person(name string) idptest.Person {
	return idptest.Person{Subject: "subject-of-" + name, Email: name + partnerAt, EmailVerified: true, Name: strings.ToUpper(name), Login: name, ID: int64(len(name)) + 1000}
}

func social(c, _ table) { c["kind"] = "SOCIAL" }

// hub makes a connection to the GitHub-like side of a provider.
func (a *abroad) hub(o *idptest.OIDC) {
	client := idptest.Client{ID: "hub", Secret: "hubs-own-client-secret-77", RedirectURIs: []string{idptest.RedirectURI}, Auth: "client_secret_post"}
	o.Register(client)
	a.oidc("hub", o, social, func(c, p table) {
		c["preset"], p["client_id"] = "github", client.ID
		p["authorization_endpoint"], p["token_endpoint"], p["userinfo_endpoint"] = o.GitHubAuthorizeURL(), o.GitHubTokenURL(), o.GitHubUserURL()
	})
	a.set["hub"] = client.Secret
}

// proven is what a story expects on the record of a step that proved somebody.
type proven struct {
	answer  *posternv1.FlowAnswer
	typ     string
	issuer  string
	subject string
	checks  []string
}

func (w proven) check(t *testing.T, events []*posternv1.Event) *posternv1.Event {
	t.Helper()
	e := stepOf(events, w.answer)
	if e == nil {
		t.Fatalf("no event of %v", w.answer)
	}
	p := e.GetPersonal()
	if e.GetType() != w.typ || e.GetEvidence() != posternv1.Evidence_EVIDENCE_VERIFIED || p.GetIssuer() != w.issuer || p.GetSubjectId() != w.subject || e.GetReason() != "" {
		t.Errorf("recorded %v", e)
	}
	for _, c := range w.checks {
		if !slices.Contains(e.GetChecks(), c) {
			t.Errorf("%s was checked %v, without %s", w.typ, e.GetChecks(), c)
		}
	}
	return e
}

// Every way to sign in elsewhere: verified here, linked on first use, known the second time, and on the record as it was.
func TestSignInsElsewhereAreVerifiedAndLinked(t *testing.T) {
	t.Parallel()
	o, s := idptest.NewOIDC(t), idptest.NewSAML(t)
	a := goAbroad(t, o.RootPEM(), 1)
	a.oidc("corp", o)
	a.oidc("club", o, social)
	a.hub(o)
	a.saml("agency", s, func(_, p table) { p["allows_unsolicited"] = true })
	a.rules = []table{{"id": "corp-only", "match": table{"domains": []string{partnerAt[1:]}, "connections": []string{"corp"}},
		"demands": table{"sso": "corp", "evidence": "verified"}, "mode": "ENFORCE"}}
	a.apply()

	var want []proven
	linked := func(what string, c *posternv1.CompleteFederationResponse, account string) {
		t.Helper()
		answer := c.GetAnswer()
		if c.GetIdentity() == nil || c.GetIdentity().GetAccountId() != "" || answer.GetDecision().GetReason() != "NO_SUBJECT" || answer.GetReason() != "" {
			t.Fatalf("%s, first use: %v", what, c)
		}
		if l := a.link(answer.GetFlow(), account); l.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
			t.Errorf("%s, linked: %v", what, l)
		}
		if f := a.finish(answer.GetFlow()); f.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED {
			t.Errorf("%s, finished: %v", what, f)
		}
	}
	expect := func(c *posternv1.CompleteFederationResponse, typ, issuer, subject string, checks ...string) *posternv1.CompleteFederationResponse {
		want = append(want, proven{c.GetAnswer(), typ, issuer, subject, checks})
		return c
	}
	again := func(what string, c *posternv1.CompleteFederationResponse, account string) {
		t.Helper()
		if c.GetIdentity().GetAccountId() != account || c.GetAnswer().GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
			t.Errorf("%s, second use: %v", what, c)
		}
	}

	ann := person("ann")
	o.SetPerson(ann)
	o.SetClaims(idptest.Claims{"acr": "urn:loa:2", "amr": []string{"pwd"}})
	linked("code", expect(a.signedIn(o, "corp"), "sso.verified", o.Issuer(), ann.Subject, "signature", "nonce"), "ann")
	c := expect(a.signedIn(o, "corp"), "sso.verified", o.Issuer(), ann.Subject)
	again("code", c, "ann")
	if d := c.GetAnswer().GetDecision(); d.GetRule() != "corp-only" || len(d.GetDemands()) == 0 || !d.GetDemands()[0].GetMet() {
		t.Errorf("the demanded SSO: %v", d)
	}
	ann.Email = "ann.b" + partnerAt
	o.SetPerson(ann)
	again("code with another e-mail", expect(a.signedIn(o, "corp"), "sso.verified", o.Issuer(), ann.Subject), "ann")

	bea := person("bea")
	o.SetPerson(bea)
	linked("token", expect(a.completed(a.token(a.begin(a.p, a.flow(a.p, ""), "corp"), o.IDToken)), "sso.verified", o.Issuer(), bea.Subject), "bea")
	own := &posternv1.CompleteFederationRequest{Flow: a.flow(a.p, ""), RequestId: a.id(), Connection: "corp", Expectations: &posternv1.Expectations{Nonce: "nonce-of-the-login-service"},
		Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: o.IDToken(idptest.Claims{"nonce": "nonce-of-the-login-service"})}}}
	a.hide("nonce-of-the-login-service")
	asserted := expect(a.completed(own), "sso.verified", o.Issuer(), bea.Subject)
	again("token with expectations", asserted, "bea")

	cid := person("cidney")
	o.SetPerson(cid)
	linked("social", expect(a.signedIn(o, "club"), "social.verified", o.Issuer(), cid.Subject), "cid")
	linked("GitHub", expect(a.signedIn(o, "hub"), "social.verified", o.Issuer(), "1006", "user_api"), "cid-too")
	again("GitHub", expect(a.signedIn(o, "hub"), "social.verified", o.Issuer(), "1006"), "cid-too")

	dan := person("dan")
	s.SetPerson(dan)
	redirect := a.begin(a.p, a.flow(a.p, ""), "agency")
	linked("SAML redirect", expect(a.completed(a.back(redirect, s.SignIn(redirect.GetRedirectUrl()))), "sso.verified", s.EntityID(), dan.Subject, "assertion_signature"), "dan")
	post := a.begin(a.p, a.flow(a.p, ""), "agency", func(r *posternv1.BeginFederationRequest) { r.PostBinding = true })
	if post.GetRedirectUrl() != s.SSOURL() || post.GetForm()["SAMLRequest"] == "" {
		t.Fatalf("no form to post: %v", post.GetForm())
	}
	again("SAML post", expect(a.completed(a.back(post, s.SignInPost(values(post.GetForm())))), "sso.verified", s.EntityID(), dan.Subject), "dan")
	came := a.completed(&posternv1.CompleteFederationRequest{Site: guildSite, Connection: "agency", RequestId: a.id(),
		Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: idptest.Encoded(s.Response(idptest.Response{}))}}})
	again("SAML unasked", came, "dan")

	events := a.recorded("the last step", func(all []*posternv1.Event) bool { return stepOf(all, came.GetAnswer()) != nil })
	for _, w := range want {
		w.check(t, events)
	}
	if e := want[0].check(t, events).GetPersonal(); e.GetAcr() != "urn:loa:2" || !slices.Equal(e.GetAmr(), []string{"pwd"}) {
		t.Errorf("acr and amr: %v", e)
	}
	if e := stepOf(events, asserted.GetAnswer()); e.GetExpectations() != "CALLER" {
		t.Errorf("the login service's own expectations: %v", e)
	}
	if e := stepOf(events, &posternv1.FlowAnswer{Flow: came.GetAnswer().GetFlow(), Step: 1}); e.GetInitiatedBy() != "IDP" {
		t.Errorf("a sign-in the provider began: %v", e)
	}
	links, changes := map[string]int{}, 0
	for _, e := range events {
		switch e.GetType() {
		case "account.linked":
			links[e.GetPersonal().GetAccountId()]++
		case "account.email_changed":
			changes++
			if p := e.GetPersonal(); p.GetPreviousEmail() != "ann"+partnerAt || p.GetEmail() != "ann.b"+partnerAt || p.GetAccountId() != "ann" {
				t.Errorf("an e-mail changed: %v", e)
			}
		}
	}
	if len(links) != 5 || links["ann"] != 1 || links["cid-too"] != 1 || links["dan"] != 1 || changes != 1 {
		t.Errorf("links: %v, changed e-mails: %d", links, changes)
	}
	a.unlinked("dan")
	a.sealed()
}

// unlinked takes the one identity of an account from it.
func (a *abroad) unlinked(account string) {
	a.t.Helper()
	c := posternv1.NewIdentityServiceClient(a.p.conn)
	l, err := c.ListIdentities(a.ctx(), &posternv1.ListIdentitiesRequest{Parent: guild, AccountId: account})
	if a.told(l, err) != nil || len(l.GetIdentities()) != 1 || l.GetIdentities()[0].GetLinkedBy() != "NEW_ACCOUNT" {
		a.t.Fatalf("identities of %s: %v, %v", account, l, err)
	}
	if _, err := c.UnlinkIdentity(a.ctx(), &posternv1.UnlinkIdentityRequest{Name: l.GetIdentities()[0].GetName(), RequestId: a.id(), Reason: "story"}); err != nil {
		a.t.Fatal(err)
	}
	a.recorded("account.unlinked", func(all []*posternv1.Event) bool {
		return slices.ContainsFunc(all, func(e *posternv1.Event) bool {
			return e.GetType() == "account.unlinked" && e.GetPersonal().GetAccountId() == account
		})
	})
}

// A partner's own second factor meets the demand where the policy trusts that partner, and is remembered.
func TestAPartnersSecondFactorIsTakenAndRemembered(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t, idptest.Algorithm("ES256"))
	a := goAbroad(t, o.RootPEM(), 1)
	a.oidc("corp", o)
	a.rules = []table{{"id": "second", "match": table{"domains": []string{partnerAt[1:]}}, "mode": "ENFORCE",
		"demands": table{"mfa": table{"factors": []string{"TOTP"}, "accept_partner": true, "partner_acr": []string{"urn:loa:3"}, "max_age": "12h", "evidence": "verified"}}}}
	a.apply()
	demand := func(f *posternv1.FlowAnswer) *posternv1.Demand {
		t.Helper()
		for _, d := range f.GetDecision().GetDemands() {
			if d.GetKind() == "mfa" || d.GetKind() == "MFA" {
				return d
			}
		}
		t.Fatalf("no MFA is demanded: %v", f)
		return nil
	}
	for name, claims := range map[string]idptest.Claims{"amy": {"amr": []string{"pwd", "otp"}}, "acey": {"acr": "urn:loa:3"}} {
		o.SetPerson(person(name))
		o.SetClaims(idptest.Claims{"amr": []string{"pwd"}})
		weak := a.signedIn(o, "corp").GetAnswer()
		if f := a.link(weak.GetFlow(), name); f.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW || demand(f).GetMet() {
			t.Errorf("%s: a password alone: %v", name, f)
		}
		o.SetClaims(claims)
		strong := a.signedIn(o, "corp").GetAnswer()
		if d := demand(strong); strong.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || d.GetMetByStep() != strong.GetStep() {
			t.Errorf("%s: the partner's second factor: %v", name, strong)
		}
		a.finish(strong.GetFlow())
		o.SetClaims(idptest.Claims{"amr": []string{"pwd"}})
		later := a.signedIn(o, "corp").GetAnswer()
		if d := demand(later); later.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || guild+"/flows/"+d.GetMetByProof().GetFlow() != strong.GetFlow() ||
			d.GetMetByProof().GetEvidence() != posternv1.Evidence_EVIDENCE_VERIFIED {
			t.Errorf("%s: remembered: %v", name, later)
		}
	}
}

func values(form map[string]string) url.Values {
	out := url.Values{}
	for name, value := range form {
		out[name] = []string{value}
	}
	return out
}
