package test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// key gives a connection a private key, with its certificate when it is a SAML connection.
func (a *abroad) key(connection string, text string) {
	a.t.Helper()
	a.hide(text[30:94], text[100:160])
	c, err := a.directory().SetConnectionSecret(a.ctx(), &posternv1.SetConnectionSecretRequest{Name: guild + "/connections/" + connection, RequestId: a.id(),
		Secret: &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: text}})
	if a.told(c, err) != nil {
		a.t.Fatalf("key of %s: %v", connection, err)
	}
}

// A connection with a private key proves itself with it, signs its requests and opens what is encrypted to it.
func TestConnectionsThatProveThemselvesWithKeys(t *testing.T) {
	t.Parallel()
	key, cert := idptest.KeyPair(t, time.Now())
	client := idptest.Client{ID: "postern", Auth: "private_key_jwt", Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k-1", Algorithm: "RS256", Use: "sig"}}}}
	o := idptest.NewOIDC(t, idptest.Algorithm("ES256"), idptest.WithClient(client))
	s := idptest.NewSAML(t, idptest.ECDSA(), idptest.WithSP(idptest.SP{Signs: cert, Decrypts: cert}))
	a := goAbroad(t, o.RootPEM(), 1)
	a.oidc("corp", o, func(_, p table) { p["client_auth"], p["key_id"] = "private_key_jwt", "k-1" })
	delete(a.set, "corp")
	a.saml("agency", s, func(_, p table) { p["signs_requests"], p["allows_encryption"] = true, true })
	a.apply()
	both := string(idptest.KeyPEM(t, key, cert))
	alone, _, _ := strings.Cut(both, "-----BEGIN CERTIFICATE")
	a.key("corp", alone)
	a.key("agency", both)
	o.SetPerson(person("max"))
	s.SetPerson(person("max"))
	if c := a.signedIn(o, "corp"); c.GetIdentity() == nil {
		t.Errorf("a client that proves itself with a key: %v", c)
	}
	s.Break(idptest.Encrypted)
	for _, post := range []bool{false, true} {
		b := a.begin(a.p, a.flow(a.p, ""), "agency", func(r *posternv1.BeginFederationRequest) { r.PostBinding = post })
		came := s.SignIn
		if post {
			came = func(string) browser.Callback { return s.SignInPost(values(b.GetForm())) }
		}
		if c := a.completed(a.back(b, came(b.GetRedirectUrl()))); c.GetIdentity().GetSubjectId() != "subject-of-max" {
			t.Errorf("signed and encrypted, by post %v: %v", post, c)
		}
	}
	for _, q := range s.Requests() {
		if !q.Signed {
			t.Errorf("a request is not signed: %v", q)
		}
	}
	a.sealed()
}

// An account that is known is linked to an identity on a proof of it, or by an e-mail both sides verified where the connection
// permits that, and never on the login service's word.
func TestAKnownAccountIsLinkedOnAProof(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t, idptest.Algorithm("ES256"))
	a := goAbroad(t, o.RootPEM(), 1)
	a.oidc("corp", o)
	a.oidc("mail", o, func(c, _ table) { c["links_by_email"] = true })
	a.apply()
	first := func(name, connection string, change ...func(*posternv1.LinkAccountRequest)) (string, error) {
		o.SetPerson(person(name))
		a.flow(a.p, name) // its password was right once: the account is known here
		flow := a.signedIn(o, connection).GetAnswer().GetFlow()
		r := &posternv1.LinkAccountRequest{Flow: flow, RequestId: a.id(), AccountId: name, NewAccount: true}
		for _, c := range change {
			c(r)
		}
		l, err := a.p.signIn().LinkAccount(a.ctx(), r)
		return flow, a.told(l, err)
	}
	flow, err := first("nan", "corp")
	if err == nil {
		t.Error("an account that is known is linked on a word")
	}
	step := &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "nan", Email: "nan" + partnerAt, EmailVerified: proto.Bool(true)}}
	l, err := a.p.signIn().ReportStep(a.ctx(), &posternv1.ReportStepRequest{Flow: flow, RequestId: a.id(), Step: step})
	if a.told(l, err) != nil || l.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		t.Errorf("a proof of the account: %v, %v", l, err)
	}
	if c := a.signedIn(o, "corp"); c.GetIdentity().GetAccountId() != "nan" {
		t.Errorf("linked by a proof: %v", c)
	}

	o.SetPerson(person("oda"))
	b := a.begin(a.p, a.flow(a.p, "oda"), "corp", func(r *posternv1.BeginFederationRequest) { r.LinkAccount = true })
	if c := a.completed(a.back(b, o.Authorize(b.GetRedirectUrl()))); c.GetAnswer().GetReason() != "" || c.GetIdentity().GetAccountId() != "oda" {
		t.Errorf("linked to the account that was proven: %v", c)
	}

	byMail := func(email string) func(*posternv1.LinkAccountRequest) {
		return func(r *posternv1.LinkAccountRequest) { r.NewAccount, r.Email = false, email }
	}
	if _, err := first("pia", "mail", byMail("pia"+partnerAt)); err != nil {
		t.Errorf("by the e-mail both sides verified: %v", err)
	}
	if _, err := first("quin", "mail", byMail("somebody"+partnerAt)); err == nil {
		t.Error("linked by an e-mail that is another")
	}
	o.Break(idptest.EmailUnverified)
	if _, err := first("rae", "mail", byMail("rae"+partnerAt)); err == nil {
		t.Error("linked by an e-mail that nobody verified")
	}
	a.sealed()
}

// Many flows of one new identity name an account for it at the same moment, in two processes: it belongs to one of them.
func TestAnIdentityIsLinkedOnce(t *testing.T) {
	t.Parallel()
	const racers = 20
	o := idptest.NewOIDC(t, idptest.Algorithm("ES256"))
	a := goAbroad(t, o.RootPEM(), 2)
	a.oidc("corp", o)
	a.apply()
	o.SetPerson(person("sue"))
	processes := append([]*process{a.p}, a.rest...)
	flows := make([]string, racers)
	for i := range flows {
		flows[i] = a.flow(processes[i%2], "")
		nonce := fmt.Sprintf("nonce-of-flow-%06d", i)
		a.hide(nonce)
		if c, err := a.complete(processes[i%2], a.own(flows[i], "corp", nonce, o.IDToken(idptest.Claims{"nonce": nonce}))); err != nil || c.GetIdentity() == nil {
			t.Fatalf("%v, %v", c, err)
		}
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	let, outcomes := map[string]bool{}, map[string]int{}
	for i, flow := range flows {
		wg.Go(func() {
			<-start
			account, r := fmt.Sprintf("sue-%d", i), &posternv1.LinkAccountRequest{Flow: flow, RequestId: a.id(), NewAccount: true}
			r.AccountId = account
			var l *posternv1.FlowAnswer
			err := eventually(20*time.Second, func(context.Context) (err error) { // a lost race is retried, as the API says
				if l, err = processes[i%2].signIn().LinkAccount(a.ctx(), r); reason(err) != "CONFLICT" {
					_ = a.told(l, err)
					mu.Lock()
					defer mu.Unlock()
					outcomes[reason(err)]++
					return nil
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if l.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW {
				mu.Lock()
				let[account] = true
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	owner := a.signedIn(o, "corp").GetIdentity().GetAccountId()
	if len(let) != 1 || !let[owner] {
		t.Errorf("let in as %v, and the identity belongs to %q; %v", let, owner, outcomes)
	}
	links := 0
	a.recorded("the link", func(events []*posternv1.Event) bool {
		links = 0
		for _, e := range events {
			if e.GetType() == "account.linked" {
				links++
			}
		}
		return links > 0
	})
	if links != 1 || outcomes[""] != 1 || outcomes["IDENTITY_LINKED"] != racers-1 {
		t.Errorf("%d links are recorded, and the calls were answered %v", links, outcomes)
	}
	a.sealed()
}
