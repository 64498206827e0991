package vault_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	pquerna "github.com/pquerna/otp/totp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy"
)

const (
	acme = "019365a0-0000-7000-8000-00000000acae"
	beta = "019365a0-0000-7000-8000-00000000beda"
	uid  = "019365a0-0000-7000-8000-000000000001"
)

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ring := sets.Keyring(0)
	for _, org := range []string{acme, beta} {
		key, err := ring.Mint(org)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(key); err != nil {
			t.Fatal(err)
		}
	}
	return vault.New(ring, sets.Namer())
}

func credential() factor.Credential {
	return factor.Credential{UID: uid, Algorithm: factor.SHA256, Digits: 8, Period: time.Minute}
}

func TestTheCodeOfAHandedOutSecretIsRightAndOnlyInItsOwnPlace(t *testing.T) {
	v, c, now := newVault(t), credential(), time.Unix(1_700_000_000, 0)
	var err error
	if c.Sealed, err = v.New(acme, c); err != nil {
		t.Fatal(err)
	}
	out, err := v.HandOut(acme, c, "Acme Wiki", "mia@gmail.com")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.URI, "secret="+out.Secret) || !strings.Contains(out.URI, "digits=8") || !bytes.HasPrefix(out.QR, []byte("\x89PNG")) {
		t.Errorf("handed out %q with a picture of %d bytes", out.URI, len(out.QR))
	}
	if bytes.Contains(c.Sealed, []byte(out.Secret)) || strings.Contains(fmt.Sprintf("%+v %#v", out, out), out.Secret) {
		t.Error("the secret shows")
	}
	code, err := pquerna.GenerateCodeCustom(out.Secret, now, pquerna.ValidateOpts{Period: 60, Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA256})
	if err != nil {
		t.Fatal(err)
	}
	check, err := v.Totp(acme, c, code, now)
	if err != nil {
		t.Fatal(err)
	}
	if step, reason := check(0); reason != "" || step != now.Unix()/60 {
		t.Errorf("step %d, %q", step, reason)
	}
	if step, reason := check(now.Unix() / 60); reason != audit.ReasonCodeReplayed {
		t.Errorf("again: step %d, %q", step, reason)
	}
	other := c
	other.UID = "019365a0-0000-7000-8000-000000000002"
	if _, err := v.Totp(acme, other, code, now); err == nil {
		t.Error("the ciphertext is good for another credential")
	}
	if _, err := v.Totp(beta, c, code, now); err == nil {
		t.Error("the ciphertext is good for another organization")
	}
	if _, err := v.HandOut(beta, c, "Acme", "mia"); err == nil {
		t.Error("another organization can hand it out")
	}
}

func TestCodesOfAnotherLengthAndOfNobodyAreLookedAtLikeAny(t *testing.T) {
	v, c, now := newVault(t), credential(), time.Unix(1_700_000_000, 0)
	var err error
	if c.Sealed, err = v.New(acme, c); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{"123456": audit.ReasonMalformed, "1234567": audit.ReasonMalformed} {
		check, err := v.Totp(acme, c, code, now)
		if err != nil {
			t.Fatal(err)
		}
		if step, reason := check(0); step != 0 || reason != want {
			t.Errorf("%s: step %d, %q", code, step, reason)
		}
	}
	for _, code := range []string{"123456", "1234567", "12345678"} {
		check, err := v.Totp(acme, factor.Credential{}, code, now)
		if err != nil {
			t.Fatal(err)
		}
		if step, reason := check(0); step != 0 || reason != audit.ReasonNotEnrolled {
			t.Errorf("nobody's %s: step %d, %q", code, step, reason)
		}
	}
	if v.Shaped("12345") || v.Shaped("123456789") || v.Shaped("12345a") || !v.Shaped("1234567") {
		t.Error("what has the form of a code")
	}
}

func TestExistingSecretsAreTakenWhenTheyAreStrongAndNeverQuoted(t *testing.T) {
	v, c := newVault(t), credential()
	sealed, err := v.Take(acme, c, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq")
	if err != nil {
		t.Fatal(err)
	}
	c.Sealed = sealed
	if out, err := v.HandOut(acme, c, "Acme", "mia"); err != nil || out.Secret != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" {
		t.Errorf("%v", err)
	}
	for text, reason := range map[string]string{"GEZDGNBV": "SECRET_TOO_WEAK", "NOT1BASE32": "SECRET_INVALID", "": "SECRET_INVALID"} {
		_, err := v.Take(acme, c, text)
		if !errs.Is(err, reason) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := v.Take(acme, factor.Credential{Algorithm: factor.SHA1}, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"); err == nil {
		t.Error("sealed for nothing in particular")
	}
}

func TestRecoveryCodesAreKnownByAHashOfOneSubject(t *testing.T) {
	v := newVault(t)
	mia, noa := policy.AccountKey{1}, policy.AccountKey{2}
	codes, hashes, err := v.RecoveryCodes(acme, mia)
	if err != nil || len(codes) != factor.RecoveryCodes || len(hashes) != len(codes) {
		t.Fatal(len(codes), err)
	}
	canonical, _ := factor.CanonicalRecoveryCode(codes[3])
	if v.Recovery(acme, mia)(canonical) != hashes[3] {
		t.Error("the hash of a code is not among those kept")
	}
	if v.Recovery(acme, noa)(canonical) == hashes[3] || v.Recovery(beta, mia)(canonical) == hashes[3] {
		t.Error("the hash is the same for somebody else")
	}
	sealed, err := v.SealCodes(acme, "once", codes)
	if err != nil || bytes.Contains(sealed, []byte(codes[0])) {
		t.Fatal(err)
	}
	if again, err := v.OpenCodes(acme, "once", sealed); err != nil || !slices.Equal(again, codes) {
		t.Errorf("%v", err)
	}
	for _, place := range [][2]string{{acme, "twice"}, {beta, "once"}} {
		if _, err := v.OpenCodes(place[0], place[1], sealed); err == nil {
			t.Errorf("opened in %v", place)
		}
	}
}
