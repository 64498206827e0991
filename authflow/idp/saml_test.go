package idp_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	"github.com/postern-audit/postern/policy"
)

func assertions(s *idptest.SAML) *policy.Connection {
	return &policy.Connection{
		ID: "partner", UID: "saml-uid", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML, SAML: &policy.SAML{
			EntityID: s.EntityID(), RedirectURL: s.SSOURL(), PostURL: s.SSOURL(), Certificates: [][]byte{s.Certificate().Raw},
			SPEntityID: idptest.EntityID, ACSURLs: []string{idptest.ACSURL},
		},
	}
}

// samlPair is a key of the service provider and its certificate, sealed.
func samlPair(t *testing.T) ([]byte, *x509.Certificate) {
	t.Helper()
	key, cert := idptest.KeyPair(t, now())
	both := append(pkcs8(key), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	return append([]byte("sealed:"), both...), cert
}

func samlBeginning() authflow.Beginning {
	return authflow.Beginning{State: "relay-1", RequestID: "_request-0123456789abcdef", CallbackURL: idptest.ACSURL}
}

// samlSignIn goes to the provider as a browser does, and hands in what comes back.
func samlSignIn(t *testing.T, c *idp.Client, s *idptest.SAML, conn *policy.Connection, b authflow.Beginning) (federation.Identity, error) {
	t.Helper()
	to, err := c.Begin(t.Context(), orgUID, conn, b)
	if err != nil {
		return federation.Identity{}, err
	}
	var back browser.Callback
	if len(to.Form) > 0 {
		form := url.Values{}
		for k, v := range to.Form {
			form.Set(k, v)
		}
		back = s.SignInPost(form)
	} else {
		back = s.SignIn(to.URL)
	}
	if back.Form.Get("RelayState") != b.State {
		t.Fatalf("came back with RelayState %q", back.Form.Get("RelayState"))
	}
	return c.Response(t.Context(), orgUID, conn, authflow.Response{
		Form: back.Form.Get("SAMLResponse"), Issuer: to.Issuer, RequestID: b.RequestID, CallbackURL: b.CallbackURL, Now: now(),
	})
}

func TestASignInAtASAMLProvider(t *testing.T) {
	sealed, cert := samlPair(t)
	for name, c := range map[string]struct {
		sp     idptest.SP
		faults []idptest.Fault
		change func(*policy.Connection, *authflow.Beginning)
	}{
		"redirect": {change: func(*policy.Connection, *authflow.Beginning) {}},
		"post":     {change: func(_ *policy.Connection, b *authflow.Beginning) { b.Post = true }},
		"only post there": {change: func(conn *policy.Connection, _ *authflow.Beginning) {
			conn.SAML.RedirectURL = ""
		}},
		"only redirect there": {change: func(conn *policy.Connection, b *authflow.Beginning) { conn.SAML.PostURL, b.Post = "", true }},
		"signed redirect": {sp: idptest.SP{Signs: cert}, change: func(conn *policy.Connection, _ *authflow.Beginning) {
			conn.SAML.SignsRequests, conn.SAML.Key = true, sealed
		}},
		"signed post, wanted by the metadata": {sp: idptest.SP{Signs: cert}, change: func(conn *policy.Connection, b *authflow.Beginning) {
			conn.SAML.MetadataURL, conn.SAML.Key, conn.SAML.SignsRequests, b.Post = conn.SAML.EntityID, sealed, true, true
		}},
		"encrypted": {sp: idptest.SP{Decrypts: cert}, faults: []idptest.Fault{idptest.Encrypted}, change: func(conn *policy.Connection, _ *authflow.Beginning) {
			conn.SAML.AllowsEncryption, conn.SAML.Key = true, sealed
		}},
		"only the response is signed": {faults: []idptest.Fault{idptest.OnlyResponseSigned}, change: func(conn *policy.Connection, _ *authflow.Beginning) {
			conn.SAML.ResponseSignatureOnly = true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := idptest.NewSAML(t, idptest.Clock(now), idptest.WithSP(c.sp))
			s.Break(c.faults...)
			conn, b := assertions(s), samlBeginning()
			b.Prompt = true
			c.change(conn, &b)
			id, err := samlSignIn(t, speaks(t, s.RootCAs(), nil), s, conn, b)
			if err != nil {
				t.Fatal(err)
			}
			if p := s.Person(); id.Issuer != s.EntityID() || id.ID != p.Subject || id.Email != p.Email || len(id.Uses) == 0 || id.Unsolicited {
				t.Errorf("identity %+v", id)
			}
			got := s.Requests()
			if len(got) != 1 || got[0].ID != b.RequestID || got[0].ForceAuthn != "true" || got[0].Signed != (c.sp.Signs != nil) {
				t.Errorf("asked %+v", got)
			}
		})
	}
}

func TestSAMLResponsesAreHeldAgainstTheirConnectionAndFlow(t *testing.T) {
	s := idptest.NewSAML(t, idptest.Clock(now))
	c := speaks(t, s.RootCAs(), nil)
	solicited := func() authflow.Response {
		return authflow.Response{Form: idptest.Encoded(s.Response(idptest.Response{InResponseTo: "_r"})), RequestID: "_r", CallbackURL: idptest.ACSURL, Now: now()}
	}
	for name, x := range map[string]struct {
		reason string
		change func(*authflow.Response, *policy.SAML)
	}{
		"as it should be":         {"", func(*authflow.Response, *policy.SAML) {}},
		"recent enough":           {"", func(r *authflow.Response, _ *policy.SAML) { r.MaxAge = time.Hour }},
		"too long ago":            {audit.ReasonAssuranceTooLow, func(r *authflow.Response, _ *policy.SAML) { r.MaxAge, r.Form = time.Minute, old(s) }},
		"another flow's provider": {audit.ReasonIssuerMismatch, func(r *authflow.Response, _ *policy.SAML) { r.Issuer = "https://other.example" }},
		"another request":         {audit.ReasonRequestMismatch, func(r *authflow.Response, _ *policy.SAML) { r.RequestID = "_other" }},
		"another address":         {audit.ReasonRecipientMismatch, func(r *authflow.Response, _ *policy.SAML) { r.CallbackURL = "https://app.example/other" }},
		"unsolicited, not taken": {audit.ReasonRequestMismatch, func(r *authflow.Response, _ *policy.SAML) {
			r.RequestID, r.Unsolicited, r.Form = "", true, idptest.Encoded(s.Response(idptest.Response{}))
		}},
		"unsolicited, taken": {"", func(r *authflow.Response, conn *policy.SAML) {
			r.RequestID, r.Unsolicited, r.Form, conn.AllowsUnsolicited = "", true, idptest.Encoded(s.Response(idptest.Response{})), true
		}},
		"no base64":       {audit.ReasonMalformed, func(r *authflow.Response, _ *policy.SAML) { r.Form = "<Response>" }},
		"no certificates": {audit.ReasonKeysUnavailable, func(_ *authflow.Response, conn *policy.SAML) { conn.Certificates = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			conn, r := assertions(s), solicited()
			x.change(&r, conn.SAML)
			id, err := c.Response(t.Context(), orgUID, conn, r)
			if x.reason == "" && (err != nil || id.Unsolicited != r.Unsolicited) {
				t.Errorf("%+v, %v", id, err)
			} else if x.reason != "" {
				wantReason(t, err, x.reason)
			}
		})
	}
}

func old(s *idptest.SAML) string {
	return idptest.Encoded(s.Response(idptest.Response{InResponseTo: "_r", AuthnInstant: now().Add(-10 * time.Minute)}))
}

func TestASAMLKeyThatIsNotThereOrOfNoUseIsSaid(t *testing.T) {
	sealed, cert := samlPair(t)
	s := idptest.NewSAML(t, idptest.Clock(now), idptest.WithSP(idptest.SP{Decrypts: cert}))
	c := speaks(t, s.RootCAs(), nil)
	for _, key := range [][]byte{nil, []byte("sealed:hunter2-canary")} {
		conn := assertions(s)
		conn.SAML.SignsRequests, conn.SAML.Key = true, key
		_, err := c.Begin(t.Context(), orgUID, conn, samlBeginning())
		wantReason(t, err, audit.ReasonVerifierError)
		s.Break(idptest.Encrypted)
		conn.SAML.SignsRequests, conn.SAML.AllowsEncryption = false, true
		_, err = samlSignIn(t, c, s, conn, samlBeginning())
		wantReason(t, err, audit.ReasonEncryptionNotAllowed)
		conn.SAML.AllowsEncryption, conn.SAML.Key = false, sealed
		_, err = samlSignIn(t, c, s, conn, samlBeginning())
		wantReason(t, err, audit.ReasonEncryptionNotAllowed)
		s.Mend()
	}
	conn := assertions(s)
	conn.SAML.SignsRequests, conn.SAML.Key = true, []byte("not sealed for this")
	_, err := c.Begin(t.Context(), orgUID, conn, samlBeginning())
	var r *federation.Refusal
	if err == nil || errors.As(err, &r) {
		t.Errorf("a key that cannot be opened is a fault of this process, not %v", err)
	}
	conn.SAML.SignsRequests, conn.SAML.RedirectURL, conn.SAML.PostURL = false, "", ""
	_, err = c.Begin(t.Context(), orgUID, conn, samlBeginning())
	wantReason(t, err, audit.ReasonVerifierError)
}

// byMetadata is a connection that knows nothing of its provider but where its metadata is.
func byMetadata(s *idptest.SAML) *policy.Connection {
	conn := assertions(s)
	conn.SAML.RedirectURL, conn.SAML.PostURL, conn.SAML.Certificates, conn.SAML.MetadataURL = "", "", nil, s.MetadataURL()
	return conn
}

func TestMetadataIsReadAgainAndItsKeysAreTold(t *testing.T) {
	s := idptest.NewSAML(t, idptest.Clock(now), idptest.SignedMetadata())
	at := &clock{at: now()}
	var told counter
	c := speaks(t, s.RootCAs(), func(cfg *idp.Config) { cfg.Now, cfg.Watch = at.Now, told.watch })
	conn := byMetadata(s)
	conn.SAML.MetadataCertificate = s.MetadataCertificate().Raw
	in := func() error { _, err := samlSignIn(t, c, s, conn, samlBeginning()); return err }
	for range 3 {
		if err := in(); err != nil {
			t.Fatal(err)
		}
	}
	if s.Calls(idptest.Metadata) != 1 || told.calls.Load() != 1 {
		t.Errorf("%d fetches, told %d times", s.Calls(idptest.Metadata), told.calls.Load())
	}
	first := told.last.Load()
	if len(first.Certificates) != 1 || first.RedirectURL != s.SSOURL() || first.Fingerprint != c.KeyFingerprint(conn) || first.Certificates[0].Soon(now()) ||
		!first.Certificates[0].Soon(first.Certificates[0].NotAfter.Add(-29*24*time.Hour)) {
		t.Errorf("told %+v", first)
	}
	s.RotateKey()
	if err := in(); err == nil {
		t.Fatal("a key that nobody knows was taken")
	}
	at.Add(time.Hour)
	if err := in(); err != nil {
		t.Fatal(err)
	}
	if last := told.last.Load(); told.calls.Load() != 2 || len(last.Certificates) != 2 || last.Fingerprint == first.Fingerprint {
		t.Errorf("told %d times, last %+v", told.calls.Load(), last)
	}
	s.Answer(idptest.Metadata, idptest.Unavailable)
	at.Add(22 * time.Hour)
	if err := in(); err != nil {
		t.Errorf("the last good metadata is gone: %v", err)
	}
	conn.SAML.Certificates, conn.SAML.RedirectURL = [][]byte{s.Certificate().Raw}, s.SSOURL()
	at.Add(time.Hour)
	wantReason(t, in(), audit.ReasonIDPError)
}

func TestMetadataThatIsNotGoodIsNotTaken(t *testing.T) {
	for fault, reason := range map[idptest.Fault]string{
		idptest.MetadataOfAnother: audit.ReasonIssuerMismatch, idptest.MetadataOutdated: audit.ReasonKeysUnavailable,
		idptest.MetadataWithoutKey: audit.ReasonKeysUnavailable, idptest.MetadataBadSignature: audit.ReasonKeysUnavailable,
	} {
		t.Run(string(fault), func(t *testing.T) {
			s := idptest.NewSAML(t, idptest.Clock(now), idptest.SignedMetadata())
			s.Break(fault)
			conn := byMetadata(s)
			conn.SAML.MetadataCertificate = s.MetadataCertificate().Raw
			_, err := speaks(t, s.RootCAs(), nil).Begin(t.Context(), orgUID, conn, samlBeginning())
			wantReason(t, err, reason)
			fixed := assertions(s)
			fixed.SAML.MetadataURL, fixed.SAML.MetadataCertificate = s.MetadataURL(), s.MetadataCertificate().Raw
			if _, err := speaks(t, s.RootCAs(), nil).Begin(t.Context(), orgUID, fixed, samlBeginning()); err != nil {
				t.Errorf("what the connection itself says does not serve: %v", err)
			}
		})
	}
	s := idptest.NewSAML(t, idptest.Clock(now), idptest.SignedMetadata())
	for _, m := range idptest.Manners() {
		t.Run(string(m), func(t *testing.T) {
			s.Answer(idptest.Metadata, m)
			c := speaks(t, s.RootCAs(), func(cfg *idp.Config) { cfg.Timeout = 300 * time.Millisecond })
			_, err := c.Begin(t.Context(), orgUID, byMetadata(s), samlBeginning())
			if r := refusal(t, err); strings.Contains(r.Detail, idptest.SecretText) || s.Calls(idptest.Elsewhere) != 0 {
				t.Errorf("%v", r)
			}
		})
	}
	s.Mend()
	other := idptest.NewSAML(t, idptest.Clock(now), idptest.SignedMetadata())
	conn := byMetadata(s)
	conn.SAML.MetadataCertificate = other.MetadataCertificate().Raw
	_, err := speaks(t, s.RootCAs(), nil).Begin(t.Context(), orgUID, conn, samlBeginning())
	wantReason(t, err, audit.ReasonKeysUnavailable)
}
