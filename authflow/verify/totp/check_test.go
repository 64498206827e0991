package totp

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	library_totp "github.com/pquerna/otp/totp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
)

func TestTOTP3OnlyTheDigitsOfTheCode(t *testing.T) {
	secret, now := []byte(seeds[SHA1]), time.Unix(1111111109, 0)
	p := Params{Algorithm: SHA1, Digits: 8, Period: 30 * time.Second, Back: 1, Ahead: 1}
	const right = "07081804"
	if got := Check(secret, p, right, -1, now); got.Reason != "" {
		t.Fatalf("the right code: %+v", got)
	}
	for _, hostile := range []string{
		"", "7081804", " 7081804", "07081804 ", " 07081804", "07081804\n", "\t07081804", "07081804\x00", "\x007081804", "0708\x001804",
		"+7081804", "-7081804", "0 708180", "0708-180", "070.1804", "0x081804", "7.081e06", "007081804", "0708 1804",
		"０７０８１８０４", "07081804\u200b", "٠٧٠٨١٨٠٤", "０7081804", "0708180\u0664", "07081804\xff", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8",
		"abcdefgh", "0708180O", "18446744073709551616", strings.Repeat("0", 1<<16) + right, strings.Repeat("9", 1<<20),
	} {
		if got := Check(secret, p, hostile, -1, now); got != (Result{Reason: audit.ReasonMalformed}) {
			t.Errorf("%.20q: %+v, want MALFORMED", hostile, got)
		}
		if got := Check(nil, p, hostile, -1, now); got != (Result{Reason: audit.ReasonMalformed}) {
			t.Errorf("%.20q without a secret: %+v, want MALFORMED", hostile, got)
		}
	}
	for n := range 12 {
		code := strings.Repeat("1", n)
		if got, want := Shaped(code), n >= 6 && n <= 8; got != want {
			t.Errorf("Shaped(%q) = %t", code, got)
		}
		for digits := 6; digits <= 8; digits++ {
			p.Digits = digits
			if got := Check(secret, p, code, -1, now); (got.Reason == audit.ReasonMalformed) != (n != digits) {
				t.Errorf("%q for %d digits: %+v", code, digits, got)
			}
		}
	}
}

func TestWithoutASecretNothingIsAccepted(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, alg := range []Algorithm{SHA1, SHA256, SHA512} {
		p := Default()
		p.Algorithm = alg
		for offset := int64(-Wide); offset <= Wide; offset++ {
			// The codes of the dummy are known to everybody, and those of the empty key, which the library would take.
			for _, key := range [][]byte{DummySecret(alg), {}} {
				for _, none := range [][]byte{nil, {}} {
					code := codeOf(t, key, p, p.Step(now)+offset)
					if got := Check(none, p, code, -1, now); got != (Result{Reason: audit.ReasonNotEnrolled}) {
						t.Errorf("%s, offset %d: %+v, want NOT_ENROLLED", alg, offset, got)
					}
				}
			}
		}
		if len(DummySecret(alg)) != sizes[alg] {
			t.Errorf("%s: the dummy has %d bytes, a secret %d", alg, len(DummySecret(alg)), sizes[alg])
		}
	}
}

func TestParametersOutOfBoundsAcceptNothing(t *testing.T) {
	secret, now := []byte(seeds[SHA1]), time.Unix(1_700_000_000, 0)
	for _, p := range []Params{
		{},
		{Algorithm: 4, Digits: 6, Period: 30 * time.Second},
		{Algorithm: SHA1, Digits: 5, Period: 30 * time.Second},
		{Algorithm: SHA1, Digits: 9, Period: 30 * time.Second},
		{Algorithm: SHA1, Digits: 6},
		{Algorithm: SHA1, Digits: 6, Period: 14 * time.Second},
		{Algorithm: SHA1, Digits: 6, Period: 121 * time.Second},
		{Algorithm: SHA1, Digits: 6, Period: 30*time.Second + time.Millisecond},
		{Algorithm: SHA1, Digits: 6, Period: -30 * time.Second},
		{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second, Back: 2},
		{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second, Ahead: 2},
		{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second, Back: -1},
		{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second, Ahead: -1},
	} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
		for _, code := range []string{"000000", "", "00000"} {
			if got := Check(secret, p, code, -1, now); got != (Result{Reason: audit.ReasonVerifierError}) {
				t.Errorf("%+v: %+v, want VERIFIER_ERROR", p, got)
			}
		}
	}
	if got := Check(make([]byte, MaxSecret+1), Default(), "000000", -1, now); got.Reason != audit.ReasonVerifierError {
		t.Errorf("a secret of %d bytes: %+v", MaxSecret+1, got)
	}
	for _, ok := range []Params{Default(), {SHA512, 8, 15 * time.Second, 0, 0}, {SHA256, 7, 120 * time.Second, 1, 0}} {
		if err := ok.Validate(); err != nil {
			t.Errorf("%+v: %v", ok, err)
		}
	}
}

func TestParseParams(t *testing.T) {
	if p, err := ParseParams("", 0, 0); err != nil || p != Default() {
		t.Errorf("nothing given: %+v, %v", p, err)
	}
	want := Params{Algorithm: SHA512, Digits: 8, Period: time.Minute, Back: 1, Ahead: 1}
	if p, err := ParseParams("SHA512", 8, time.Minute); err != nil || p != want {
		t.Errorf("%+v, %v, want %+v", p, err, want)
	}
	for _, bad := range []string{"MD5", "sha1", "SHA-1", "UNSPECIFIED", " SHA1", "UNKNOWN"} {
		if p, err := ParseParams(bad, 6, 30*time.Second); err == nil {
			t.Errorf("algorithm %q: %+v", bad, p)
		}
	}
	for _, digits := range []int{-1, 5, 9, 1 << 40} {
		if _, err := ParseParams("SHA1", digits, 0); err == nil {
			t.Errorf("%d digits are accepted", digits)
		}
	}
	if _, err := ParseParams("SHA1", 6, time.Second); err == nil {
		t.Error("a period of a second is accepted")
	}
}

// number is a random number below n.
func number(t *testing.T, n int64) int64 {
	t.Helper()
	v, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		t.Fatal(err)
	}
	return v.Int64()
}

// TestTOTP1CodesOfOathtool takes codes from a generator of other authors, over random secrets, times and parameters.
func TestTOTP1CodesOfOathtool(t *testing.T) {
	oathtool, err := exec.LookPath("oathtool")
	if err != nil {
		t.Fatalf("%v\n\tthis test needs the real thing: run make oathtool (make test does)", err)
	}
	for round := range 60 {
		alg := Algorithm(1 + round%3)
		p := Params{Algorithm: alg, Digits: 6 + round/3%3, Period: time.Duration(15+number(t, 106)) * time.Second, Back: 1, Ahead: 1}
		key := make([]byte, MinStrong+number(t, MaxSecret-MinStrong+1))
		if _, err := rand.Read(key); err != nil {
			t.Fatal(err)
		}
		unix := number(t, 4_000_000_000) + 10_000
		// On standard input, as a secret should be; one code for this step and one for each of the next two.
		cmd := exec.CommandContext(t.Context(), oathtool, "--totp="+alg.String(), "--digits", fmt.Sprint(p.Digits),
			"--time-step-size", fmt.Sprintf("%ds", int64(p.Period.Seconds())), "--now", fmt.Sprintf("@%d", unix), "--window", "2", "--base32", "-")
		cmd.Stdin = strings.NewReader(base32.StdEncoding.EncodeToString(key))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("oathtool: %v: %s", err, stderr.String())
		}
		codes := strings.Fields(string(out))
		if len(codes) != 3 {
			t.Fatalf("oathtool printed %q", out)
		}
		now := time.Unix(unix, 0)
		present := p.Step(now)
		for i, want := range []Result{{Step: present}, {Step: present + 1}, {Step: present + 2, Reason: audit.ReasonCodeFromFuture}} {
			got := Check(key, p, codes[i], -1, now)
			if got != want && got.Reason != "" { // two steps of the window may share a code
				t.Errorf("%+v at %d, code %d of oathtool: %+v, want %+v", p, unix, i, got, want)
			}
		}
	}
}

func TestTheAttemptOfAFactor(t *testing.T) {
	secret, now, p := []byte(seeds[SHA1]), time.Unix(1_700_000_000, 0), Default()
	a := factor.Authenticator{State: factor.Active, Active: factor.Credential{UID: "u", Sealed: []byte{1}}}
	code := codeOf(t, secret, p, p.Step(now))
	a, out := factor.Attempt(&a, For(secret, p, code, now), now)
	if !out.Accepted || a.LastStep != p.Step(now) {
		t.Fatalf("%+v, last step %d", out, a.LastStep)
	}
	a, out = factor.Attempt(&a, For(secret, p, code, now), now)
	if out.Reason != audit.ReasonCodeReplayed || a.Failures != 1 {
		t.Fatalf("%+v, %d failures", out, a.Failures)
	}
	if _, out = factor.Attempt(nil, For(nil, p, code, now), now); out.Reason != audit.ReasonNotEnrolled {
		t.Fatalf("%+v", out)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(seeds[SHA1]), "94287082", int64(59), int64(-1), uint8(1), uint8(8), uint8(30))
	f.Add([]byte(seeds[SHA512]), "90693936", int64(59), int64(1), uint8(3), uint8(8), uint8(30))
	f.Add([]byte{}, "000000", int64(-1), int64(0), uint8(2), uint8(6), uint8(15))
	f.Add([]byte("x"), "００００００", int64(1)<<62, int64(-1)<<63, uint8(0), uint8(200), uint8(0))
	f.Fuzz(func(t *testing.T, secret []byte, code string, unix, last int64, alg, digits, period uint8) {
		p := Params{Algorithm: Algorithm(alg), Digits: int(digits), Period: time.Duration(period) * time.Second, Back: 1, Ahead: 1}
		now := time.Unix(unix, 0)
		// Also with a code that is right: the fuzzer would hardly find one.
		codes := []string{code}
		if p.Validate() == nil && len(secret) <= MaxSecret && p.Step(now) >= 0 && len(secret) > 0 {
			codes = append(codes, codeOf(t, secret, p, p.Step(now)))
		}
		for _, code := range codes {
			got := Check(secret, p, code, last, now)
			if got.Reason != "" {
				continue
			}
			if p.Validate() != nil || len(secret) == 0 || got.Step <= last || got.Step < p.Step(now)-1 || got.Step > p.Step(now)+1 || got.Step < 0 {
				t.Fatalf("accepted %+v with %+v, last step %d", got, p, last)
			}
			raw, err := library_totp.ValidateCustom(code, base32.StdEncoding.EncodeToString(secret), now.UTC(),
				library_totp.ValidateOpts{Period: uint(period), Skew: 1, Digits: otp.Digits(p.Digits), Algorithm: library(p.Algorithm)})
			if err != nil || !raw {
				t.Fatalf("accepted what the library refuses: %v", err)
			}
			if again := Check(secret, p, code, got.Step, now); again.Reason != audit.ReasonCodeReplayed {
				t.Fatalf("the same code again: %+v", again)
			}
		}
	})
}
