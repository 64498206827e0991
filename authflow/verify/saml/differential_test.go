package saml_test

import (
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/url"
	"testing"
	"time"

	library "github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

var errPanicked = errors.New("it panicked")

// bare is the library as one uses it who relies on it alone.
func bare(t testing.TB, w *samltest.World, c samltest.Case) library.ServiceProvider {
	t.Helper()
	acs, err := url.Parse(c.Expect.ACS)
	if err != nil {
		t.Fatal(err)
	}
	role := library.IDPSSODescriptor{}
	for _, cert := range c.Expect.Provider.Certificates {
		key := library.KeyDescriptor{Use: "signing"}
		key.KeyInfo.X509Data.X509Certificates = []library.X509Certificate{{Data: base64.StdEncoding.EncodeToString(cert.Raw)}}
		role.KeyDescriptors = append(role.KeyDescriptors, key)
	}
	sp := library.ServiceProvider{
		EntityID: c.Expect.EntityID, AcsURL: *acs, AllowIDPInitiated: c.Expect.Unsolicited,
		IDPMetadata: &library.EntityDescriptor{EntityID: c.Expect.Provider.EntityID, IDPSSODescriptors: []library.IDPSSODescriptor{role}},
	}
	if c.Expect.Decrypt != nil {
		pair, err := tls.X509KeyPair(w.SPKey, w.SPKey)
		if err != nil {
			t.Fatal(err)
		}
		key, ok := pair.PrivateKey.(crypto.Signer)
		if !ok {
			t.Fatal("our key does not sign")
		}
		sp.Key = key
	}
	return sp
}

func askBare(sp *library.ServiceProvider, c samltest.Case) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	var requests []string
	if !c.Expect.Unsolicited {
		requests = []string{c.Expect.RequestID}
	}
	_, err = sp.ParseXMLResponse([]byte(c.Response), requests, sp.AcsURL)
	return err
}

// restore puts the library's variables to what they are without us, at a moment, and back when the test is over. It must not run
// beside another test.
func restore(t *testing.T) func(now time.Time) {
	t.Helper()
	delay, skew, clock, now := library.MaxIssueDelay, library.MaxClockSkew, library.Clock, library.TimeNow
	t.Cleanup(func() {
		library.MaxIssueDelay, library.MaxClockSkew, library.Clock, library.TimeNow = delay, skew, clock, now
	})
	library.MaxIssueDelay, library.MaxClockSkew = 90*time.Second, 180*time.Second
	return func(now time.Time) {
		library.Clock, library.TimeNow = dsig.NewFakeClockAt(now), func() time.Time { return now }
	}
}

// TestWhatIsAcceptedTheBareLibraryAccepts holds every accepted case against the library with its own tolerances. Where a case
// names what the library gets wrong, it must.
func TestWhatIsAcceptedTheBareLibraryAccepts(t *testing.T) {
	at := restore(t)
	w := samltest.New(t, moment)
	lax, panics := 0, 0
	for _, c := range w.Cases() {
		at(c.Now)
		sp := bare(t, w, c)
		err := askBare(&sp, c)
		switch {
		case c.Want != "" && err == nil:
			lax++
		case errors.Is(err, errPanicked):
			panics++
			if c.Want == "" {
				t.Errorf("%s is accepted, and the library panics", c.Name)
			}
		case c.Want == "" && err != nil && c.Beyond == "":
			var why *library.InvalidResponseError
			errors.As(err, &why)
			t.Errorf("%s is accepted, and the library refuses it: %v", c.Name, why.PrivateErr)
		case c.Want == "" && err == nil && c.Beyond != "":
			t.Errorf("%s: the library accepts it, though %s", c.Name, c.Beyond)
		}
	}
	t.Logf("the bare library accepts %d responses that must be refused, and panics on %d", lax, panics)
	if lax == 0 || panics == 0 {
		t.Error("the library got better than the suite knows: look whether what is done for it is still needed")
	}
}
