package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	"github.com/postern-audit/postern/internal/testkit/realidp"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	homeRedirect = "https://hall-postern-demo.com/callback"
	homeACS      = "https://hall-postern-demo.com/acs"
	homeEntity   = "urn:guild:hall"
	keyedKeyID   = "hall-1"

	dexSubject = "\n\x0e7f1c6d4e-guest\x12\x05local" // how Dex names the person of its own password list
)

// homes are the providers that nobody here wrote, each running, and one installation with a connection to each of them.
type homes struct {
	*abroad
	dex, provider, keyed *realidp.OIDC
	agency, vault        *realidp.SAML // samlify; the vault wants signed requests and encrypts
	club, safe           *realidp.SAML // samlidp; the safe encrypts
}

// goHome starts everything. Connections are named after the providers.
func goHome(t *testing.T) *homes {
	t.Helper()
	h := &homes{}
	key, cert := idptest.KeyPair(t, time.Now())
	signer, set := signingKey(t)
	h.startAll(t, cert.Raw, set)
	r := newRig(t, "POSTERN_OUTBOUND_ALLOWED_NETWORKS=127.0.0.0/8", "POSTERN_OUTBOUND_INSECURE_ALLOW_HTTP=true", "POSTERN_OUTBOUND_TIMEOUT=10s",
		"POSTERN_LOG_LEVEL=debug", "POSTERN_HTTP_ADDRESS=127.0.0.1:0")
	h.abroad = &abroad{ward: &ward{t: t}, r: r, set: map[string]string{}, rules: []table{{"id": "elsewhere", "demands": table{"methods": []string{"sso"}}}}}
	h.p = r.start("first", "signin", "archiver", "api")

	h.openID("dex", h.dex, nil)
	h.openID("provider", h.provider, nil)
	h.openID("keyed", h.keyed, table{"client_auth": "private_key_jwt", "key_id": keyedKeyID, "algorithms": []string{"ES256"}})
	h.metadata("agency", h.agency, table{"allows_unsolicited": true})
	h.metadata("vault", h.vault, table{"signs_requests": true, "allows_encryption": true})
	h.metadata("careless", h.vault, table{"signs_requests": true})
	h.metadata("club", h.club, table{"allows_unsolicited": true})
	h.metadata("safe", h.safe, table{"allows_encryption": true})
	h.apply()
	h.privateKey("keyed", signer)
	for _, id := range []string{"vault", "careless", "safe"} {
		h.privateKey(id, string(idptest.KeyPEM(t, key, cert)))
	}
	h.hide(string(key.D.Bytes()))
	return h
}

// startAll starts the providers at once: most of the time they take is their own.
func (h *homes) startAll(t *testing.T, certificate []byte, set json.RawMessage) {
	t.Helper()
	client := realidp.Client{ID: "hall", Secret: rand.Text(), RedirectURI: homeRedirect}
	keyed := realidp.Client{ID: "hall", RedirectURI: homeRedirect, Algorithm: "ES256", Auth: "private_key_jwt", Keys: set}
	sp := realidp.SP{EntityID: homeEntity, ACSURL: homeACS}
	sealed, guarded := sp, sp
	sealed.Certificate, sealed.Encrypts = certificate, true
	guarded.Certificate, guarded.Encrypts, guarded.SignsRequests, guarded.SignsResponse = certificate, true, true, true
	dir := t.TempDir()
	var all []chan error
	launch := func(start func() (interface{ Stop() error }, error)) {
		done := make(chan error, 1)
		all = append(all, done)
		go func() {
			running, err := start()
			if err == nil {
				t.Cleanup(func() { _ = running.Stop() })
			}
			done <- err
		}()
	}
	oidc := func(name string, into **realidp.OIDC, start func(string, realidp.Client) (*realidp.OIDC, error), c realidp.Client) {
		launch(func() (_ interface{ Stop() error }, err error) {
			*into, err = start(filepath.Join(dir, name), c)
			return *into, err
		})
	}
	saml := func(name string, into **realidp.SAML, start func(string, realidp.SP) (*realidp.SAML, error), sp realidp.SP) {
		launch(func() (_ interface{ Stop() error }, err error) {
			*into, err = start(filepath.Join(dir, name), sp)
			return *into, err
		})
	}
	oidc("dex", &h.dex, realidp.StartDex, client)
	oidc("provider", &h.provider, realidp.StartOIDCProvider, client)
	oidc("keyed", &h.keyed, realidp.StartOIDCProvider, keyed)
	saml("agency", &h.agency, realidp.StartSamlify, sp)
	saml("vault", &h.vault, realidp.StartSamlify, guarded)
	saml("club", &h.club, realidp.StartSamlidp, sp)
	saml("safe", &h.safe, realidp.StartSamlidp, sealed)
	var errs []error
	for _, done := range all {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// openID makes a connection by discovery.
func (h *homes) openID(id string, o *realidp.OIDC, more table) {
	p := table{"issuer": o.Issuer, "client_id": o.Client.ID, "redirect_uris": []string{homeRedirect}}
	for k, v := range more {
		p[k] = v
	}
	h.connections = append(h.connections, table{"id": id, "kind": "SSO", "protocol": "OIDC", "oidc": p})
	if o.Client.Secret != "" {
		h.set[id] = o.Client.Secret
	}
}

// metadata makes a connection by the provider's own metadata.
func (h *homes) metadata(id string, s *realidp.SAML, more table) {
	p := table{"metadata": string(s.Metadata), "sp_entity_id": homeEntity, "acs_urls": []string{homeACS},
		"email_attribute": s.EmailAttribute, "name_attribute": s.NameAttribute}
	for k, v := range more {
		p[k] = v
	}
	h.connections = append(h.connections, table{"id": id, "kind": "SSO", "protocol": "SAML", "saml": p})
}

// privateKey sets the key of a connection.
func (h *homes) privateKey(connection, key string) {
	h.t.Helper()
	h.hide(strings.Split(key, "\n")[1:3]...)
	c, err := h.directory().SetConnectionSecret(h.ctx(), &posternv1.SetConnectionSecretRequest{Name: guild + "/connections/" + connection, RequestId: h.id(),
		Secret: &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: key}})
	if h.told(c, err) != nil {
		h.t.Fatalf("key of %s: %v", connection, err)
	}
}

// signingKey is a client's key as PEM, and its public half for the provider.
func signingKey(t *testing.T) (string, json.RawMessage) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: keyedKeyID, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), set
}

// brought is a visit of a provider; what came back is private.
func (h *homes) brought(c browser.Callback, err error) browser.Callback {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	if code := c.Form.Get("code"); code != "" {
		h.hide(code)
	}
	if response := c.Form.Get("SAMLResponse"); response != "" {
		document, err := base64.StdEncoding.DecodeString(response)
		h.p.must2(err)
		h.hide(string(document))
	}
	return c
}

// visit opens the page that a flow was sent to, or posts the form it was given.
type visit func(context.Context, *posternv1.BeginFederationResponse) (browser.Callback, error)

func redirected(open func(context.Context, string) (browser.Callback, error)) visit {
	return func(ctx context.Context, b *posternv1.BeginFederationResponse) (browser.Callback, error) {
		return open(ctx, b.GetRedirectUrl())
	}
}

func posted(post func(context.Context, url.Values) (browser.Callback, error)) visit {
	return func(ctx context.Context, b *posternv1.BeginFederationResponse) (browser.Callback, error) {
		return post(ctx, values(b.GetForm()))
	}
}

func postBinding(r *posternv1.BeginFederationRequest) { r.PostBinding = true }

// through goes once to a provider and back.
func (h *homes) through(connection string, go1 visit, changes ...func(*posternv1.BeginFederationRequest)) *posternv1.CompleteFederationResponse {
	h.t.Helper()
	b := h.begin(h.p, h.flow(h.p, ""), connection, changes...)
	if b.GetRedirectUrl() == "" {
		h.t.Fatalf("no redirect to %s: %v", connection, b.GetAnswer())
	}
	return h.completed(h.back(b, h.brought(go1(h.ctx(), b))))
}

// unasked hands in a response that began at the provider.
func (h *homes) unasked(connection string, s *realidp.SAML) *posternv1.CompleteFederationResponse {
	h.t.Helper()
	c := h.brought(s.SignInUnsolicited(h.ctx()))
	return h.completed(&posternv1.CompleteFederationRequest{Site: guildSite, Connection: connection, RequestId: h.id(),
		Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{
			SamlResponse: c.Form.Get("SAMLResponse"), RelayState: c.Form.Get("RelayState")}}})
}
