package test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	guild     = "organizations/guild"
	guildSite = guild + "/sites/hall"
	partnerAt = "@guests-postern-demo.com"
)

// table is a table of a document, which JSON is too.
type table map[string]any

// abroad is a rig whose organization has people signed in at fake providers. It keeps what every call was answered, and all that
// is private, so that at its end nothing of the one is found in the other, nor anywhere else.
type abroad struct {
	*ward
	r    *rig
	p    *process // the first
	rest []*process

	connections []table
	rules       []table
	set         map[string]string // client secrets, by connection

	mu      sync.Mutex
	answers []byte
	private []string
	seen    []func() []string // of the providers
}

// goAbroad starts an installation that may speak to this machine, with a provider's certificate.
func goAbroad(t *testing.T, root []byte, processes int, env ...string) *abroad {
	t.Helper()
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, root, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, append([]string{"POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.0/8", "POSTERN_OUTBOUND_ROOTS_FILE=" + file, "POSTERN_OUTBOUND_TIMEOUT=3s",
		"POSTERN_LOG_LEVEL=debug", "POSTERN_HTTP_ADDRESS=127.0.0.1:0"}, env...)...)
	a := &abroad{ward: &ward{t: t}, r: r, set: map[string]string{}, rules: []table{}}
	a.p = r.start("first", "signin", "archiver", "api")
	for n := 1; n < processes; n++ {
		a.rest = append(a.rest, r.start(fmt.Sprintf("more-%d", n), "signin", "api"))
	}
	return a
}

// oidc makes a connection to an OpenID provider; changes are made to its table.
func (a *abroad) oidc(id string, o *idptest.OIDC, changes ...func(connection, protocol table)) {
	p := table{"issuer": o.Issuer(), "client_id": o.Client().ID, "redirect_uris": []string{idptest.RedirectURI}}
	c := table{"id": id, "kind": "SSO", "protocol": "OIDC", "oidc": p}
	for _, change := range changes {
		change(c, p)
	}
	a.connections = append(a.connections, c)
	a.set[id] = o.Client().Secret
	a.watch(o.Seen)
}

// saml makes a connection to a SAML provider.
func (a *abroad) saml(id string, s *idptest.SAML, changes ...func(connection, protocol table)) {
	p := table{"entity_id": s.EntityID(), "redirect_url": s.SSOURL(), "post_url": s.SSOURL(), "sp_entity_id": s.SP().EntityID,
		"acs_urls": []string{s.SP().ACSURL}, "email_attribute": idptest.EmailAttribute, "name_attribute": idptest.NameAttribute,
		"certificates": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))}}
	c := table{"id": id, "kind": "SSO", "protocol": "SAML", "saml": p}
	for _, change := range changes {
		change(c, p)
	}
	a.connections = append(a.connections, c)
	a.watch(s.Seen)
}

func (a *abroad) watch(seen func() []string) { a.seen = append(a.seen, seen) }

func (a *abroad) directory() posternv1.DirectoryServiceClient {
	return posternv1.NewDirectoryServiceClient(a.p.conn)
}

// apply makes the organization what the story says, and gives new connections their secrets.
func (a *abroad) apply() {
	a.t.Helper()
	document, err := json.Marshal(table{"organization": "guild", "sites": []table{{"id": "hall"}}, "connections": a.connections, "policy": table{"rules": a.rules}})
	a.p.must2(err)
	etag := ""
	if o, err := a.directory().GetOrganization(a.ctx(), &posternv1.GetOrganizationRequest{Name: guild}); err == nil {
		etag = o.GetEtag()
	}
	done, err := a.directory().ApplyOrganization(a.ctx(), &posternv1.ApplyOrganizationRequest{Name: guild, RequestId: a.id(), Document: string(document), Etag: etag})
	if a.told(done, err) != nil {
		a.t.Fatalf("apply: %v", err)
	}
	for id, secret := range a.set {
		a.secret(id, secret)
		delete(a.set, id)
	}
}

// secret sets a connection's client secret.
func (a *abroad) secret(connection, secret string) {
	a.t.Helper()
	a.hide(secret)
	c, err := a.directory().SetConnectionSecret(a.ctx(), &posternv1.SetConnectionSecretRequest{Name: guild + "/connections/" + connection, RequestId: a.id(),
		Secret: &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: secret}})
	if a.told(c, err) != nil {
		a.t.Fatalf("secret of %s: %v", connection, err)
	}
}

// told keeps what a call was answered, and returns its error.
func (a *abroad) told(m proto.Message, err error) error {
	if err != nil {
		m = status.Convert(err).Proto()
	}
	b, e := protojson.Marshal(m)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers = append(append(a.answers, b...), '\n')
	if e != nil {
		a.t.Error(e)
	}
	return err
}

// hide keeps what must not be found.
func (a *abroad) hide(values ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.private = append(a.private, values...)
}

// flow opens a flow of somebody who typed an address, or of an account whose password was right.
func (a *abroad) flow(p *process, account string) string {
	a.t.Helper()
	r := &posternv1.StartFlowRequest{Parent: guildSite, RequestId: a.id(), Subject: &posternv1.Subject{Email: "typed" + partnerAt}}
	if account != "" {
		r.Steps = []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: account, Email: account + partnerAt, EmailVerified: proto.Bool(true)}}}
	}
	f, err := p.signIn().StartFlow(a.ctx(), r)
	if a.told(f, err) != nil {
		a.t.Fatal(err)
	}
	return f.GetFlow()
}

// begin sends the person of a flow to a connection. What is private of the redirect is hidden.
func (a *abroad) begin(p *process, flow, connection string, changes ...func(*posternv1.BeginFederationRequest)) *posternv1.BeginFederationResponse {
	a.t.Helper()
	r := &posternv1.BeginFederationRequest{Flow: flow, RequestId: a.id(), Connection: connection}
	for _, change := range changes {
		change(r)
	}
	b, err := p.signIn().BeginFederation(a.ctx(), r)
	if err != nil {
		_ = a.told(nil, err)
		a.t.Fatalf("begin at %s: %v", connection, err)
	}
	_ = a.told(b.GetAnswer(), nil)
	u, err := url.Parse(b.GetRedirectUrl())
	a.p.must2(err)
	for _, v := range []string{b.GetBrowserToken(), u.Query().Get("state"), u.Query().Get("nonce"), u.Query().Get("RelayState"), b.GetForm()["RelayState"]} {
		if v != "" {
			a.hide(v)
		}
	}
	return b
}

func maxAge(d time.Duration) func(*posternv1.BeginFederationRequest) {
	return func(r *posternv1.BeginFederationRequest) { r.MaxAge = durationpb.New(d) }
}

// back is what a browser brings back, for the flow that was begun.
func (a *abroad) back(b *posternv1.BeginFederationResponse, c browser.Callback) *posternv1.CompleteFederationRequest {
	r := &posternv1.CompleteFederationRequest{Flow: b.GetAnswer().GetFlow(), RequestId: a.id(), BrowserToken: b.GetBrowserToken()}
	if c.Form.Has("SAMLResponse") {
		r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{
			SamlResponse: c.Form.Get("SAMLResponse"), RelayState: c.Form.Get("RelayState")}}
		return r
	}
	r.Evidence = &posternv1.CompleteFederationRequest_OidcCallback{OidcCallback: &posternv1.OidcCallback{State: c.Form.Get("state"), Code: c.Form.Get("code"),
		Iss: c.Form.Get("iss"), Error: c.Form.Get("error"), ErrorDescription: c.Form.Get("error_description")}}
	return r
}

// token is an ID token handed in for the flow that was begun.
func (a *abroad) token(b *posternv1.BeginFederationResponse, mint func(claims idptest.Claims) string) *posternv1.CompleteFederationRequest {
	a.t.Helper()
	u, err := url.Parse(b.GetRedirectUrl())
	a.p.must2(err)
	return &posternv1.CompleteFederationRequest{Flow: b.GetAnswer().GetFlow(), RequestId: a.id(), BrowserToken: b.GetBrowserToken(),
		Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{
			IdToken: mint(idptest.Claims{"nonce": u.Query().Get("nonce")}), State: u.Query().Get("state")}}}
}

// complete hands in what came back.
func (a *abroad) complete(p *process, r *posternv1.CompleteFederationRequest) (*posternv1.CompleteFederationResponse, error) {
	c, err := p.signIn().CompleteFederation(a.ctx(), r)
	return c, a.told(c, err)
}

// completed is complete for a call that must be answered.
func (a *abroad) completed(r *posternv1.CompleteFederationRequest) *posternv1.CompleteFederationResponse {
	a.t.Helper()
	c, err := a.complete(a.p, r)
	if err != nil {
		a.t.Fatalf("complete: %v", err)
	}
	return c
}

// signedIn is a whole sign-in at an OpenID provider by code.
func (a *abroad) signedIn(o *idptest.OIDC, connection string, changes ...func(*posternv1.BeginFederationRequest)) *posternv1.CompleteFederationResponse {
	a.t.Helper()
	b := a.begin(a.p, a.flow(a.p, ""), connection, changes...)
	if b.GetRedirectUrl() == "" {
		a.t.Fatalf("no redirect to %s: %v", connection, b.GetAnswer())
	}
	return a.completed(a.back(b, o.Authorize(b.GetRedirectUrl())))
}

// link names the account of a flow's identity.
func (a *abroad) link(flow, account string) *posternv1.FlowAnswer {
	a.t.Helper()
	l, err := a.p.signIn().LinkAccount(a.ctx(), &posternv1.LinkAccountRequest{Flow: flow, RequestId: a.id(), AccountId: account, NewAccount: true})
	if a.told(l, err) != nil {
		a.t.Fatalf("link %s: %v", account, err)
	}
	return l
}

func (a *abroad) finish(flow string) *posternv1.FlowAnswer {
	a.t.Helper()
	f, err := a.p.signIn().FinishFlow(a.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: a.id(), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if a.told(f, err) != nil {
		a.t.Fatalf("finish: %v", err)
	}
	return f
}

// recorded waits until the record has what is asked for, and returns it.
func (a *abroad) recorded(what string, enough func([]*posternv1.Event) bool) []*posternv1.Event {
	a.t.Helper()
	var events []*posternv1.Event
	err := eventually(30*time.Second, func(context.Context) (err error) {
		if events, err = a.p.record(guild); err == nil && !enough(events) {
			err = fmt.Errorf("%d events and not %s", len(events), what)
		}
		return err
	})
	a.p.must2(err)
	return events
}

// stepOf is the event of a step of a flow, nil when it is not there yet.
func stepOf(events []*posternv1.Event, a *posternv1.FlowAnswer) *posternv1.Event {
	for _, e := range events {
		if e.GetStep() == a.GetStep() && e.GetFlow() != "" && guild+"/flows/"+e.GetFlow() == a.GetFlow() {
			return e
		}
	}
	return nil
}

// sealed ends the story with a step that must reach the archive, and then looks for everything private.
func (a *abroad) sealed() {
	a.t.Helper()
	last := a.flow(a.p, "")
	events := a.recorded("the last flow", func(all []*posternv1.Event) bool {
		return stepOf(all, &posternv1.FlowAnswer{Flow: last, Step: 1}) != nil
	})
	for _, e := range events {
		_ = a.told(e, nil)
	}
	a.nowhere()
}
