package test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	canaryClientSecret  = "canary0client0secret"
	canarySecondSecret  = "canary0second0secret"
	canaryHTTPSecret    = "canary0http0secret"
	canaryWrittenSecret = "canary0written0secret"
	canaryNoKey         = "canary0no0key"

	aviary         = "organizations/aviary"
	aviaryDocument = `
organization: aviary
connections:
  - {id: corp, kind: SSO, protocol: OIDC, oidc: {issuer: "https://idp.partner-postern-demo.com", client_id: ward}}
  - {id: bank, kind: SSO, protocol: OIDC, oidc: {issuer: "https://bank-postern-demo.com", client_id: ward, client_auth: private_key_jwt}}
  - {id: plain, kind: SOCIAL}
  - id: agency
    kind: SSO
    protocol: SAML
    saml: {entity_id: "urn:agency", metadata_url: "https://idp.agency-postern-demo.com/", sp_entity_id: "urn:ward", acs_urls: ["https://login.acme-postern-demo.com/"]}
`
)

// keyAndCertificate is a private key in PEM form with its certificate, and the texts it must be found nowhere by.
func keyAndCertificate(t *testing.T) (key, certificate string, canaries []string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ward"}, NotAfter: time.Unix(4e9, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	lines := strings.Split(key, "\n")
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), []string{lines[1], lines[2], string(scalar)}
}

// TestCanariesOfConnections gives connections secrets on good paths and bad ones, with Redis there and away, and looks for them
// everywhere: they are in the clear nowhere, not in Redis, the archive, the log, an event, an error or an answer.
func TestCanariesOfConnections(t *testing.T) {
	t.Parallel()
	w := &ward{t: t}
	r := newRig(t, "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_LOG_LEVEL=debug", "POSTERN_DEADLINES_CALL=2s")
	p := r.start("all", "signin", "archiver", "api")
	p.apply(aviary, aviaryDocument)
	s := &canaries{t: t, p: p}
	d := posternv1.NewDirectoryServiceClient(p.conn)
	key, certificate, hidden := keyAndCertificate(t)
	hidden = append(hidden, canaryClientSecret, canarySecondSecret, canaryHTTPSecret, canaryWrittenSecret, canaryNoKey)
	set := func(connection, secret string, private bool) *posternv1.SetConnectionSecretRequest {
		q := &posternv1.SetConnectionSecretRequest{Name: aviary + "/connections/" + connection, RequestId: w.id(),
			Secret: &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: secret}}
		if private {
			q.Secret = &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: secret}
		}
		return q
	}
	ok := func(m proto.Message, err error) {
		t.Helper()
		if s.told(m, err) != nil {
			t.Fatal(err)
		}
	}

	first := set("corp", canaryClientSecret, false)
	ok(d.SetConnectionSecret(w.ctx(), first))
	ok(d.SetConnectionSecret(w.ctx(), first))
	ok(d.SetConnectionSecret(w.ctx(), set("corp", canarySecondSecret, false)))
	ok(d.SetConnectionSecret(w.ctx(), set("bank", key, true)))
	ok(d.SetConnectionSecret(w.ctx(), set("agency", key+certificate, true)))
	for what, q := range map[string]*posternv1.SetConnectionSecretRequest{
		"a secret for nobody": set(canaryClientSecret, canaryClientSecret, false), "a secret where none is taken": set("plain", canaryClientSecret, false),
		"a key for a secret": set("corp", key, true), "a secret for a key": set("bank", canaryClientSecret, false), "no key": set("bank", canaryNoKey, true),
		"a key without certificate": set("agency", key, true), "text behind a key": set("bank", key+canaryNoKey, true), "a short one": set("corp", canaryNoKey[:7], false),
		"a long one": set("corp", strings.Repeat(canaryClientSecret, 60), false), "a control character": set("corp", canaryClientSecret+"\x00", false),
	} {
		s.refused(what, nil, call2(d.SetConnectionSecret(w.ctx(), q)))
	}
	reused := set("corp", canaryClientSecret, false)
	reused.RequestId, reused.Secret = first.GetRequestId(), &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: canarySecondSecret}
	s.refused("another secret under a request id", nil, call2(d.SetConnectionSecret(w.ctx(), reused)))

	// Secrets that stand in a document, and one whose document does not even parse.
	o, err := d.GetOrganization(w.ctx(), &posternv1.GetOrganizationRequest{Name: aviary})
	ok(o, err)
	for _, written := range []string{`client_secret: ` + canaryWrittenSecret, `client_secret: "` + canaryWrittenSecret, `client_secret: [` + canaryWrittenSecret + `]`} {
		document := strings.Replace(aviaryDocument, "client_id: ward", "client_id: ward, "+written, 1)
		s.refused(written, nil, call2(d.ApplyOrganization(w.ctx(), &posternv1.ApplyOrganizationRequest{Name: aviary, RequestId: w.id(), Document: document, Etag: o.GetEtag()})))
	}
	s.overGateway(aviary+"/connections/corp:setSecret", `{"requestId":"h-1","clientSecret":"`+canaryHTTPSecret+`"}`, http.StatusOK)
	s.overGateway(aviary+"/connections/corp:setSecret", `{"requestId":"h-2","clientSecret":["`+canaryHTTPSecret+`"]}`, http.StatusBadRequest)
	s.overGateway(aviary+"/connections/plain:setSecret", `{"requestId":"h-3","clientSecret":"`+canaryHTTPSecret+`"}`, http.StatusBadRequest)

	// Redis does not answer.
	r.redis.Pause()
	s.refused("a secret while Redis is away", nil, call2(d.SetConnectionSecret(w.ctx(), set("corp", canaryClientSecret, false))))
	r.redis.Resume()
	p.awaitServing()
	for _, connection := range []string{"corp", "bank", "agency"} {
		ok(d.GetConnection(w.ctx(), &posternv1.GetConnectionRequest{Name: aviary + "/connections/" + connection}))
	}
	ok(d.ListConnections(w.ctx(), &posternv1.ListConnectionsRequest{Parent: aviary}))
	ok(d.ClearConnectionSecret(w.ctx(), &posternv1.ClearConnectionSecretRequest{Name: aviary + "/connections/agency", RequestId: w.id()}))
	p.must2(eventually(30*time.Second, func(context.Context) error {
		events, err := p.record(aviary)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(events, func(e *posternv1.Event) bool {
			return slices.ContainsFunc(e.GetChanges(), func(c *posternv1.Change) bool { return c.GetAfter() == "cleared" })
		}) {
			return errors.New("the last change is not archived")
		}
		for _, e := range events {
			_ = s.told(e, nil)
		}
		return nil
	}))
	s.nowhere(hidden)
	s.logLines()
}

// overGateway makes a call over HTTP, with the key.
func (s *canaries) overGateway(path, body string, want int) {
	s.t.Helper()
	m := regexp.MustCompile(`"http":"(127\.0\.0\.1:[0-9]+)"`).FindStringSubmatch(strings.Join(s.p.logged(`"serving"`), ""))
	key, err := os.ReadFile(filepath.Join(s.p.rig.data, "http.key"))
	if m == nil || err != nil {
		s.t.Fatalf("no HTTP: %v, %v", m, err)
	}
	r, err := http.NewRequestWithContext(s.ctx(), http.MethodPost, "http://"+m[1]+"/v1/"+path, strings.NewReader(body))
	s.p.must2(err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	a, err := http.DefaultClient.Do(r)
	s.p.must2(err)
	b, err := io.ReadAll(a.Body)
	s.p.must2(err)
	_ = a.Body.Close()
	s.errors.Write(append(b, '\n'))
	if a.StatusCode != want {
		s.t.Errorf("%s: %d, want %d: %s", path, a.StatusCode, want, b)
	}
}

// nowhere looks for texts in everything the story left behind. What it must find there proves that it looks.
func (s *canaries) nowhere(hidden []string) {
	dir := s.p.rig.redis.Client().ConfigGet(context.Background(), "dir").Val()["dir"]
	places := map[string][]byte{"errors": s.errors.Bytes(), "answers and the record": s.answers.Bytes()}
	for _, root := range []string{s.p.rig.data, dir} {
		s.p.must2(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			places[path] = b
			return err
		}))
	}
	found := 0
	for place, b := range places {
		for i, text := range hidden {
			if f := form(b, text); f != "" {
				s.t.Errorf("secret %d is in %s as %s", i, place, f)
			}
		}
		if bytes.Contains(b, []byte("ward")) {
			found++
		}
	}
	if found < 3 { // an answer, Redis' file, the archive
		s.t.Errorf("the search saw %d places, and the story in %d of them", len(places), found)
	}
}
