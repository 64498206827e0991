package realidp_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	verify "github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	"github.com/postern-audit/postern/internal/testkit/realidp"
)

const relayState = "relay-7"

// partner is a service provider without keys.
func partner() realidp.SP {
	return realidp.SP{EntityID: "https://postern.example/saml", ACSURL: "https://app.example/acs"}
}

// serviceProvider is what a service provider knows: the identity provider's metadata and its own key.
type serviceProvider struct {
	idp      *realidp.SAML
	provider verify.Provider
	key      *verify.Key
}

func knows(t *testing.T, idp *realidp.SAML, key *verify.Key) serviceProvider {
	t.Helper()
	provider, err := verify.ParseMetadata(idp.Metadata, time.Now())
	if err != nil {
		t.Fatalf("%v\n%s", err, idp.Metadata)
	}
	if provider.EntityID != idp.EntityID || provider.RedirectURL != idp.SSOURL || provider.PostURL != idp.SSOURL {
		t.Errorf("metadata says %+v", provider)
	}
	return serviceProvider{idp, provider, key}
}

func (s serviceProvider) request(t *testing.T, b verify.Binding) (verify.Message, string) {
	t.Helper()
	id := "_" + rand.Text()
	m, err := verify.NewRequest(verify.Request{
		ID: id, Issued: time.Now(), EntityID: s.idp.SP.EntityID, ACS: s.idp.SP.ACSURL, Provider: s.provider, RelayState: relayState, Key: s.key,
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	return m, id
}

// verdict is what the verifier makes of a callback; id is empty for one that nobody asked for.
func (s serviceProvider) verdict(t *testing.T, got browser.Callback, id, relay string) (federation.Identity, error) {
	t.Helper()
	if got.Method != http.MethodPost || got.URL.String() != s.idp.SP.ACSURL || got.Form.Get("RelayState") != relay {
		t.Fatalf("callback %s %s with RelayState %q", got.Method, got.URL, got.Form.Get("RelayState"))
	}
	doc, err := verify.DecodeResponse(got.Form.Get("SAMLResponse"))
	if err != nil {
		t.Fatal(err)
	}
	e := verify.Expect{
		EntityID: s.idp.SP.EntityID, ACS: s.idp.SP.ACSURL, Provider: s.provider, RequestID: id, Unsolicited: id == "",
		EmailAttribute: s.idp.EmailAttribute, NameAttribute: s.idp.NameAttribute,
	}
	if s.idp.SP.Encrypts {
		e.Decrypt = s.key
		if bytes.Contains(doc, []byte(s.idp.User.Email)) {
			t.Error("the assertion is not encrypted")
		}
	}
	identity, err := verify.Verify(doc, e, time.Now())
	var refusal *federation.Refusal
	if errors.As(err, &refusal) {
		t.Logf("refused: %s: %s", refusal.Reason, refusal.Detail)
	}
	return identity, err
}

func (s serviceProvider) accepts(t *testing.T, got browser.Callback, id, relay string) {
	t.Helper()
	identity, err := s.verdict(t, got, id, relay)
	if err != nil {
		t.Error(err)
		return
	}
	u := s.idp.User
	if identity.Issuer != s.idp.EntityID || identity.ID != u.Email || identity.Email != u.Email || identity.Name != u.Name || identity.ACR == "" {
		t.Errorf("the identity is %+v", identity)
	}
}

// signsIn goes through both bindings, and a sign-in that begins at the identity provider.
func (s serviceProvider) signsIn(t *testing.T) {
	t.Helper()
	m, id := s.request(t, verify.Redirect)
	s.accepts(t, s.idp.Login(t, m.URL), id, relayState)

	m, id = s.request(t, verify.Post)
	posted, err := s.idp.SignInPost(t.Context(), url.Values{"SAMLRequest": {m.SAMLRequest}, "RelayState": {m.RelayState}})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.idp.Log())
	}
	s.accepts(t, posted, id, relayState)

	unsolicited, err := s.idp.SignInUnsolicited(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, s.idp.Log())
	}
	s.accepts(t, unsolicited, "", realidp.UnsolicitedRelayState)
}

func TestSignInAtSamlify(t *testing.T) {
	t.Parallel()
	s := knows(t, realidp.Samlify(t, partner()), nil)
	s.signsIn(t)

	m, id := s.request(t, verify.Redirect)
	cancelled, err := s.idp.Cancel(t.Context(), m.URL)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *federation.Refusal
	if _, err := s.verdict(t, cancelled, id, relayState); !errors.As(err, &refusal) || refusal.Reason != audit.ReasonIDPError {
		t.Errorf("a cancelled sign-in: %v", err)
	}
}

func TestSignInAtSamlifyWithSignedRequestsAndEncryptedAssertions(t *testing.T) {
	t.Parallel()
	private, cert := idptest.KeyPair(t, time.Now())
	key, err := verify.ParseKey(idptest.KeyPEM(t, private, cert))
	if err != nil {
		t.Fatal(err)
	}
	sp := partner()
	sp.Certificate, sp.SignsRequests, sp.Encrypts, sp.SignsResponse = cert.Raw, true, true, true
	idp := realidp.Samlify(t, sp)
	s := knows(t, idp, key)
	s.signsIn(t)

	otherKey, otherCert := idptest.KeyPair(t, time.Now())
	if s.key, err = verify.ParseKey(idptest.KeyPEM(t, otherKey, otherCert)); err != nil {
		t.Fatal(err)
	}
	m, _ := s.request(t, verify.Redirect)
	if got, err := idp.SignIn(t.Context(), m.URL); err == nil {
		t.Errorf("a request signed by somebody else led to %s", got.URL)
	}
}

func TestSignInAtSamlidp(t *testing.T) {
	t.Parallel()
	knows(t, realidp.Samlidp(t, partner()), nil).signsIn(t)
}

func TestSignInAtSamlidpWithEncryptedAssertions(t *testing.T) {
	t.Parallel()
	private, cert := idptest.KeyPair(t, time.Now())
	key, err := verify.ParseKey(idptest.KeyPEM(t, private, cert))
	if err != nil {
		t.Fatal(err)
	}
	sp := partner()
	sp.Certificate, sp.Encrypts = cert.Raw, true
	knows(t, realidp.Samlidp(t, sp), key).signsIn(t)
}
