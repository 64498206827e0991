package factor

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// keyed is a keyed hash as an adapter makes it.
func keyed(code string) Hash {
	m := hmac.New(sha256.New, []byte("a key of this test"))
	m.Write([]byte(code))
	return Hash(m.Sum(nil)[:16])
}

// withCodes is an active authenticator with ten recovery codes.
func withCodes(t testing.TB) (Authenticator, []string) {
	t.Helper()
	codes, hashes, err := NewRecoveryCodes(rand.Reader, keyed)
	if err != nil {
		t.Fatal(err)
	}
	a := active(t)
	a, err = SetRecoveryCodes(&a, hashes, t0)
	if err != nil {
		t.Fatal(err)
	}
	return a, codes
}

func TestNewRecoveryCodes(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}$`)
	seen, letters := map[string]bool{}, map[rune]int{}
	for range 100 {
		codes, hashes, err := NewRecoveryCodes(rand.Reader, keyed)
		if err != nil || len(codes) != RecoveryCodes || len(hashes) != RecoveryCodes {
			t.Fatalf("%d codes, %d hashes, %v", len(codes), len(hashes), err)
		}
		for i, c := range codes {
			if !form.MatchString(c) || seen[c] {
				t.Errorf("code %q, seen before: %t", c, seen[c])
			}
			seen[c] = true
			if canonical, ok := CanonicalRecoveryCode(c); !ok || keyed(canonical) != hashes[i] {
				t.Errorf("code %q and its hash do not fit", c)
			}
			for _, r := range c {
				letters[r]++
			}
		}
	}
	for _, r := range crockford { // 312 of each on average
		if letters[r] < 150 {
			t.Errorf("%q comes %d times in 10,000 characters", r, letters[r])
		}
	}
	for _, broken := range []*bytes.Reader{bytes.NewReader(nil), bytes.NewReader(make([]byte, 99)), bytes.NewReader(make([]byte, 100))} {
		if codes, _, err := NewRecoveryCodes(broken, keyed); err == nil {
			t.Errorf("a broken source, and codes: %d", len(codes))
		}
	}
	if _, _, err := NewRecoveryCodes(iotest.ErrReader(errors.New("no entropy")), keyed); err == nil {
		t.Error("no random bytes, and codes")
	}
}

func TestARecoveryCodeIsGoodOnce(t *testing.T) {
	a, codes := withCodes(t)
	for i, code := range codes {
		typed := code
		switch i % 4 {
		case 1:
			typed = strings.ToLower(code)
		case 2:
			typed = " " + strings.ReplaceAll(code, "-", " ") + " "
		case 3:
			typed = strings.ReplaceAll(strings.NewReplacer("0", "o", "1", "l").Replace(code), "-", "")
		}
		next, out := UseRecoveryCode(&a, typed, keyed, t0)
		if !out.Accepted || !out.Counted || out.Reason != "" || len(next.Recovery) != RecoveryCodes-i-1 || len(next.RecoveryUsed) != i+1 ||
			next.RecoveryIssued != RecoveryCodes || next.LastStep != a.LastStep || next.Check() != nil {
			t.Fatalf("code %d typed %q: %+v, %d left", i, typed, out, len(next.Recovery))
		}
		again, out := UseRecoveryCode(&next, typed, keyed, t0)
		if out.Reason != audit.ReasonRecoveryCodeUsed || again.Failures != 1 {
			t.Fatalf("code %d again: %+v", i, out)
		}
		a = next
	}
	// A store that forgets used ones makes a used code a wrong one, never a right one.
	a.RecoveryUsed = nil
	if _, out := UseRecoveryCode(&a, codes[0], keyed, t0); out.Reason != audit.ReasonWrongCode {
		t.Errorf("used and forgotten: %+v", out)
	}
	fresh, err := SetRecoveryCodes(&a, []Hash{keyed("0000000000")}, t0)
	if err != nil || fresh.RecoveryIssued != 1 {
		t.Fatal(err)
	}
	if _, out := UseRecoveryCode(&fresh, codes[0], keyed, t0); out.Reason != audit.ReasonWrongCode {
		t.Errorf("a code of the set before: %+v", out)
	}
}

func TestRecoveryCodesShareTheBudget(t *testing.T) {
	a, codes := withCodes(t)
	now := t0
	var out Outcome
	for n := 1; n <= FailuresToLock; n++ {
		if n%2 == 0 {
			a, out = Attempt(&a, wrong, now)
		} else {
			a, out = UseRecoveryCode(&a, "ZZZZZ-ZZZZZ", keyed, now)
		}
		if a.Failures != n || out.Reason != audit.ReasonWrongCode || out.Locked != (n == FailuresToLock) {
			t.Fatalf("failure %d: %+v", n, out)
		}
	}
	if next, out := UseRecoveryCode(&a, codes[0], keyed, now); out.Reason != audit.ReasonLocked || len(next.Recovery) != RecoveryCodes {
		t.Errorf("a right recovery code while locked: %+v", out)
	}
	if _, out := UseRecoveryCode(&a, "!", keyed, now); out.Reason != audit.ReasonMalformed {
		t.Errorf("nonsense while locked: %+v", out)
	}
	now = a.LockUntil
	if next, out := UseRecoveryCode(&a, codes[0], keyed, now); !out.Accepted || next.Failures != 0 {
		t.Errorf("after the lock: %+v", out)
	}
	disabled, now := failing(t, FailuresToDisable)
	disabled.Recovery, disabled.RecoveryIssued = a.Recovery, a.RecoveryIssued
	if _, out := UseRecoveryCode(&disabled, codes[0], keyed, now); out.Reason != audit.ReasonLocked || !out.Disabled {
		t.Errorf("a disabled factor: %+v", out)
	}
}

func TestWithoutRecoveryCodes(t *testing.T) {
	pending, err := Enrol(nil, "guest-1", credential("u1"), false, t0)
	if err != nil {
		t.Fatal(err)
	}
	ready := active(t)
	for _, a := range []*Authenticator{nil, {}, &pending, &ready} {
		hashed := 0
		next, out := UseRecoveryCode(a, "ABCDE-FGHJK", func(code string) Hash { hashed++; return keyed(code) }, t0)
		if out.Reason != audit.ReasonNotEnrolled || out.Counted || hashed != 1 {
			t.Errorf("%+v, hashed %d times", out, hashed)
		}
		same(t, next, value(a))
	}
	disabled, _ := failing(t, FailuresToDisable)
	for _, a := range []*Authenticator{nil, {}, &pending, &disabled} {
		if _, err := SetRecoveryCodes(a, []Hash{{1}}, t0); !errs.Is(err, "NOT_ENROLLED") {
			t.Errorf("recovery codes without a factor in force: %v", err)
		}
	}
}

func TestCanonicalRecoveryCode(t *testing.T) {
	for typed, want := range map[string]string{
		"ABCDE-FGHJK": "ABCDEFGHJK", "abcdefghjk": "ABCDEFGHJK", " a-b c-d e-f g-h j-k ": "ABCDEFGHJK", "OoIiLl0189": "0011110189",
	} {
		if got, ok := CanonicalRecoveryCode(typed); !ok || got != want {
			t.Errorf("%q: %q, %t", typed, got, ok)
		}
	}
	for _, bad := range []string{
		"", "ABCDE-FGHJ", "ABCDE-FGHJKM", "ABCDE-FGHJU", "ABCDE-FGHJu", "ABCDE_FGHJK", "ABCDE-FGHJ\x00", "ＡBCDE-FGHJK", "ABCDE–FGHJK",
		"ABCDE-FGHJ\n", "\tABCDEFGHJK", strings.Repeat("-", 1<<16), strings.Repeat("A", 1<<16),
	} {
		if got, ok := CanonicalRecoveryCode(bad); ok {
			t.Errorf("%.20q is read as %q", bad, got)
		}
	}
}

func FuzzCanonicalRecoveryCode(f *testing.F) {
	for _, s := range []string{"ABCDE-FGHJK", "oil00-11111", "U", "\xff", "０"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		got, ok := CanonicalRecoveryCode(typed)
		if !ok {
			return
		}
		if len(got) != recoveryLength || strings.Trim(got, crockford) != "" {
			t.Fatalf("%q is read as %q", typed, got)
		}
		if again, ok := CanonicalRecoveryCode(got[:5] + "-" + got[5:]); !ok || again != got {
			t.Fatalf("%q is read as %q", got, again)
		}
	})
}

func BenchmarkAttempt(b *testing.B) {
	a := active(b)
	b.ReportAllocs()
	for b.Loop() {
		Attempt(&a, wrong, t0)
	}
}

func BenchmarkUseRecoveryCode(b *testing.B) {
	a, _ := withCodes(b)
	h := keyed("ABCDEFGHJK")
	hash := func(string) Hash { return h }
	b.ReportAllocs()
	for b.Loop() {
		UseRecoveryCode(&a, "ABCDE-FGHJK", hash, t0.Add(time.Second))
	}
}
