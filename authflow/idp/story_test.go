package idp_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/internal/outbound"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	"github.com/postern-audit/postern/policy"
)

// speaks makes a client that reaches the providers of idptest.
func speaks(t *testing.T, roots *x509.CertPool, change func(*idp.Config)) *idp.Client {
	t.Helper()
	cfg := idp.Config{Secrets: opener{}, Now: now, Rand: rand.Reader, Outbound: outbound.Options{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: roots,
	}}
	if change != nil {
		change(&cfg)
	}
	c, err := idp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func openID(o *idptest.OIDC) *policy.Connection {
	return &policy.Connection{
		ID: "partner", UID: "conn-uid", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{
			Issuer: o.Issuer(), ClientID: o.Client().ID, Secret: []byte("sealed:" + o.Client().Secret), RedirectURIs: []string{idptest.RedirectURI},
		},
	}
}

// signIn goes to the provider as a browser does, and redeems what comes back.
func signIn(t *testing.T, c *idp.Client, o *idptest.OIDC, conn *policy.Connection) (federation.Identity, error) {
	t.Helper()
	to, err := c.Begin(t.Context(), orgUID, conn, authflow.Beginning{
		State: "state-1", Nonce: theNonce, Verifier: theVerifier, CallbackURL: idptest.RedirectURI,
	})
	if err != nil {
		return federation.Identity{}, err
	}
	back := o.Authorize(to.URL).Form
	if back.Get("state") != "state-1" {
		t.Fatalf("came back with %v", back)
	}
	return c.Redeem(t.Context(), orgUID, conn, authflow.Code{
		Code: back.Get("code"), Verifier: theVerifier, Issuer: to.Issuer, ResponseIssuer: back.Get("iss"), CallbackURL: idptest.RedirectURI,
		NonceHash: sha256.Sum256([]byte(theNonce)), Now: now(),
	})
}

func TestASignInAtAnOpenIDProvider(t *testing.T) {
	key := must(jwks(t))
	for name, c := range map[string]struct {
		client idptest.Client
		change func(*policy.OIDC)
	}{
		"basic": {idptest.Client{ID: "postern:1 %"}, func(*policy.OIDC) {}},
		"post":  {idptest.Client{ID: "p", Auth: "client_secret_post"}, func(o *policy.OIDC) { o.ClientAuth = policy.ClientSecretPost }},
		"none": {idptest.Client{ID: "p", Auth: "none"}, func(o *policy.OIDC) {
			o.ClientAuth, o.Secret = policy.ClientAuthNone, nil
		}},
		"private_key_jwt": {idptest.Client{ID: "p", Auth: "private_key_jwt", Keys: key.public}, func(o *policy.OIDC) {
			o.ClientAuth, o.Secret, o.KeyID = policy.PrivateKeyJWT, key.sealed, "mine"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := idptest.NewOIDC(t, idptest.Clock(now), idptest.WithClient(c.client))
			conn := openID(o)
			c.change(conn.OIDC)
			id, err := signIn(t, speaks(t, o.RootCAs(), nil), o, conn)
			if err != nil {
				t.Fatal(err)
			}
			if p := o.Person(); id.Issuer != o.Issuer() || id.ID != p.Subject || id.Email != p.Email || !id.EmailVerified || len(id.Uses) == 0 {
				t.Errorf("identity %+v", id)
			}
		})
	}
}

type ownKey struct {
	public *jose.JSONWebKeySet
	sealed []byte
}

func jwks(t *testing.T) (ownKey, error) {
	t.Helper()
	k, _ := idptest.KeyPair(t, now())
	return ownKey{
		public: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.Public(), KeyID: "mine"}}}, sealed: append([]byte("sealed:"), pkcs8(k)...),
	}, nil
}

func TestWhatAnOpenIDProviderGetsWrongIsItsOwnReason(t *testing.T) {
	o := idptest.NewOIDC(t, idptest.Clock(now))
	for fault, reason := range map[idptest.Fault]string{
		idptest.WrongNonce: audit.ReasonNonceMismatch, idptest.WrongIssuer: audit.ReasonIssuerMismatch, idptest.Expired: audit.ReasonExpired,
		idptest.WrongAudience: audit.ReasonAudienceMismatch, idptest.BrokenSignature: audit.ReasonSignatureInvalid,
		idptest.HS256: audit.ReasonAlgorithmNotAllowed, idptest.NoKeys: audit.ReasonKeysUnavailable, idptest.NoSubject: audit.ReasonMalformed,
		idptest.DiscoveryIssuer: audit.ReasonIssuerMismatch, idptest.NoIssParameter: audit.ReasonIssuerMismatch,
		idptest.WrongIssParameter: audit.ReasonIssuerMismatch, idptest.CodeUsed: audit.ReasonCodeExchangeFailed,
		idptest.ClientRefused: audit.ReasonCodeExchangeFailed, idptest.NoIDToken: audit.ReasonCodeExchangeFailed,
		idptest.WrongAccessHash: audit.ReasonSignatureInvalid, idptest.OtherPersonsTokens: audit.ReasonNonceMismatch,
	} {
		t.Run(string(fault), func(t *testing.T) {
			o.Break(fault)
			defer o.Mend()
			_, err := signIn(t, speaks(t, o.RootCAs(), nil), o, openID(o))
			wantReason(t, err, reason)
		})
	}
}

func TestNoMannerOfAnsweringBringsAProvidersTextOut(t *testing.T) {
	o := idptest.NewOIDC(t, idptest.Clock(now))
	for _, at := range []idptest.Endpoint{idptest.Discovery, idptest.Token, idptest.JWKS} {
		for _, m := range idptest.Manners() {
			t.Run(string(at)+" "+string(m), func(t *testing.T) {
				o.Answer(at, m)
				defer o.Mend()
				codes, written := o.Calls(idptest.Token), o.Written(at)
				c := speaks(t, o.RootCAs(), func(cfg *idp.Config) { cfg.Timeout = 300 * time.Millisecond })
				_, err := signIn(t, c, o, openID(o))
				if r := refusal(t, err); strings.Contains(r.Detail, idptest.SecretText) {
					t.Errorf("%v", r)
				}
				if o.Calls(idptest.Elsewhere) != 0 || o.Written(at)-written > 16<<20 {
					t.Errorf("followed %d redirects, took %d bytes", o.Calls(idptest.Elsewhere), o.Written(at))
				}
				if n := o.Calls(idptest.Token) - codes; n > 1 {
					t.Errorf("the code left %d times", n)
				}
			})
		}
	}
}

// github is a connection to the fake that speaks as GitHub does. With an issuer of its own it keeps its endpoints.
func github(o *idptest.OIDC) *policy.Connection {
	conn := openID(o)
	conn.Kind, conn.Preset = policy.ConnectionSocial, policy.PresetGitHub
	conn.OIDC.AuthorizationEndpoint, conn.OIDC.TokenEndpoint, conn.OIDC.UserinfoEndpoint = o.GitHubAuthorizeURL(), o.GitHubTokenURL(), o.GitHubUserURL()
	return conn
}

func TestASignInAtGitHub(t *testing.T) {
	o := idptest.NewOIDC(t, idptest.Clock(now), idptest.WithClient(idptest.Client{ID: "gh", Auth: "client_secret_post"}))
	c := speaks(t, o.RootCAs(), nil)
	id, err := signIn(t, c, o, github(o))
	if err != nil {
		t.Fatal(err)
	}
	if p := o.Person(); id.Issuer != o.Issuer() || id.ID != "583231" || id.Email != p.Email || !id.EmailVerified || id.Name != p.Name ||
		len(id.Uses) != 1 || !id.Until.After(now()) {
		t.Errorf("identity %+v", id)
	}
	if o.Calls(idptest.Discovery)+o.Calls(idptest.JWKS) != 0 {
		t.Error("GitHub has no discovery and no keys")
	}
	other, err := signIn(t, c, o, github(o))
	if err != nil || other.Uses[0] == id.Uses[0] {
		t.Errorf("two codes are one use: %v", err)
	}
	o.Break(idptest.EmailUnverified)
	if id, err = signIn(t, c, o, github(o)); err != nil || id.Email != "" || id.EmailVerified {
		t.Errorf("an address that nobody verified counts: %+v, %v", id, err)
	}
	o.Mend()
	o.Break(idptest.NoEmail)
	if id, err = signIn(t, c, o, github(o)); err != nil || id.Email != "" || id.EmailVerified {
		t.Errorf("the public address of the profile counts: %+v, %v", id, err)
	}
	o.Mend()
	o.SetPerson(idptest.Person{Login: "gwen", ID: 7})
	if id, err = signIn(t, c, o, github(o)); err != nil || id.Name != "gwen" {
		t.Errorf("no name to show: %+v, %v", id, err)
	}
	o.Break(idptest.NoSubject)
	_, err = signIn(t, c, o, github(o))
	wantReason(t, err, audit.ReasonIDPError)
	o.Mend()
	for at, reason := range map[idptest.Endpoint]string{idptest.User: audit.ReasonIDPError, idptest.UserEmails: audit.ReasonIDPError} {
		for _, m := range []idptest.Manner{idptest.Garbage, idptest.Unavailable, idptest.Redirect, idptest.Huge} {
			o.Answer(at, m)
			_, err = signIn(t, c, o, github(o))
			wantReason(t, err, reason)
			o.Mend()
		}
	}
	o.Break(idptest.CodeUsed)
	_, err = signIn(t, c, o, github(o))
	wantReason(t, err, audit.ReasonCodeExchangeFailed)
	if r := refusal(t, err); !strings.Contains(r.Detail, "bad_verification_code") {
		t.Errorf("detail %q", r.Detail)
	}
	_, err = c.Token(t.Context(), orgUID, github(o), handedIn("a.b.c"))
	wantReason(t, err, audit.ReasonMalformed)
}

func TestCallsForAConnectionOfAnotherProtocolAreDefects(t *testing.T) {
	o := idptest.NewOIDC(t, idptest.Clock(now))
	c := speaks(t, o.RootCAs(), nil)
	_, err1 := c.Begin(t.Context(), orgUID, &policy.Connection{}, authflow.Beginning{})
	_, err2 := c.Redeem(t.Context(), orgUID, &policy.Connection{SAML: &policy.SAML{}}, code())
	_, err3 := c.Token(t.Context(), orgUID, &policy.Connection{SAML: &policy.SAML{}}, handedIn("x"))
	_, err4 := c.Response(t.Context(), orgUID, openID(o), authflow.Response{})
	var r *federation.Refusal
	for i, err := range []error{err1, err2, err3, err4} {
		if err == nil || errors.As(err, &r) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := idp.New(idp.Config{}); err == nil {
		t.Error("a client without a clock")
	}
}
