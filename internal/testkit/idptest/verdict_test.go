package idptest_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	verify "github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/internal/testkit/idptest"
)

// tokenReasons are the verifier's for the switches that spoil an ID token or the keys; "": the token is taken.
var tokenReasons = map[idptest.Fault]string{
	"":                         "",
	idptest.WrongIssuer:        audit.ReasonIssuerMismatch,
	idptest.WrongAudience:      audit.ReasonAudienceMismatch,
	idptest.ExtraAudience:      audit.ReasonAudienceMismatch,
	idptest.NoAudience:         audit.ReasonAudienceMismatch,
	idptest.Expired:            audit.ReasonExpired,
	idptest.IssuedInFuture:     audit.ReasonNotYetValid,
	idptest.Unsigned:           audit.ReasonAlgorithmNotAllowed,
	idptest.OtherKey:           audit.ReasonSignatureInvalid,
	idptest.NoSubject:          audit.ReasonMalformed,
	idptest.NoEmail:            "",
	idptest.WrongNonce:         audit.ReasonNonceMismatch,
	idptest.NoNonce:            audit.ReasonNonceMismatch,
	idptest.WrongAZP:           audit.ReasonAudienceMismatch,
	idptest.Stale:              audit.ReasonExpired,
	idptest.NotYetValid:        audit.ReasonNotYetValid,
	idptest.NoExpiry:           audit.ReasonMalformed,
	idptest.UnknownKid:         audit.ReasonSignatureInvalid,
	idptest.HS256:              audit.ReasonAlgorithmNotAllowed,
	idptest.WrongAccessHash:    audit.ReasonSignatureInvalid,
	idptest.EmailUnverified:    "",
	idptest.EmailVerifiedText:  "",
	idptest.OldAuthTime:        audit.ReasonAssuranceTooLow,
	idptest.OtherType:          audit.ReasonMalformed,
	idptest.LogoutToken:        audit.ReasonMalformed,
	idptest.DuplicateMember:    audit.ReasonMalformed,
	idptest.BrokenSignature:    audit.ReasonSignatureInvalid,
	idptest.NoKeys:             audit.ReasonKeysUnavailable,
	idptest.KeyForEncryption:   audit.ReasonSignatureInvalid,
	idptest.ShortKey:           audit.ReasonSignatureInvalid,
	idptest.OtherPersonsTokens: audit.ReasonNonceMismatch,
}

// TestOurVerifierNamesEveryTokenSwitch signs in with every algorithm and switch, from the authorization to the verdict.
func TestOurVerifierNamesEveryTokenSwitch(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t)
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		o.SignWith(algorithm)
		o.RotateKey()
		for f, want := range tokenReasons {
			o.Mend()
			if f != "" {
				o.Break(f)
			}
			if got := verdict(t, o); got != want {
				t.Errorf("%s, switch %q: %q, want %q", algorithm, f, got, want)
			}
		}
	}
}

func verdict(t *testing.T, o *idptest.OIDC) string {
	t.Helper()
	status, answer := post(t, o, o.TokenEndpoint(), codeForm(o.Authorize(authorizeURL(o)).Form.Get("code")), true)
	token, _ := answer["id_token"].(string)
	access, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("%d %v", status, answer)
	}
	keys := verify.NewRemoteKeys(o.JWKSURI(), o.HTTPClient(), time.Now)
	defer keys.Close()
	nonce := sha256.Sum256([]byte("the-nonce"))
	id, err := verify.Verify(t.Context(), []byte(token), verify.Expect{
		Issuer: o.Issuer(), ClientID: o.Client().ID, Nonce: &nonce, AccessToken: access, MaxAge: time.Hour,
	}, keys, time.Now())
	var refusal *federation.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason
	case err != nil:
		t.Fatal(err)
	case id.ID != o.Person().Subject:
		t.Errorf("the subject is %q", id.ID)
	}
	return ""
}
