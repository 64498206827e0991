package totp

import (
	"encoding/base32"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/postern-audit/postern/audit"
)

// codeOf is the library's code of one step; vectors and oathtool say that the library is right.
func codeOf(t testing.TB, secret []byte, p Params, step int64) string {
	t.Helper()
	if step < 0 {
		t.Fatalf("step %d", step)
	}
	code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(secret), uint64(step),
		hotp.ValidateOpts{Digits: otp.Digits(p.Digits), Algorithm: library(p.Algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// seeds are those of RFC 6238 with its errata: as long as the hash's output.
var seeds = map[Algorithm]string{
	SHA1:   "12345678901234567890",
	SHA256: "12345678901234567890123456789012",
	SHA512: "1234567890123456789012345678901234567890123456789012345678901234",
}

func TestTOTP1VectorsOfRFC6238(t *testing.T) {
	vectors := []struct {
		unix  int64
		codes map[Algorithm]string
	}{
		{59, map[Algorithm]string{SHA1: "94287082", SHA256: "46119246", SHA512: "90693936"}},
		{1111111109, map[Algorithm]string{SHA1: "07081804", SHA256: "68084774", SHA512: "25091201"}},
		{1111111111, map[Algorithm]string{SHA1: "14050471", SHA256: "67062674", SHA512: "99943326"}},
		{1234567890, map[Algorithm]string{SHA1: "89005924", SHA256: "91819424", SHA512: "93441116"}},
		{2000000000, map[Algorithm]string{SHA1: "69279037", SHA256: "90698825", SHA512: "38618901"}},
		{20000000000, map[Algorithm]string{SHA1: "65353130", SHA256: "77737706", SHA512: "47863826"}},
	}
	n := 0
	for _, v := range vectors {
		for alg, code := range v.codes {
			n++
			// Without a window: the vector is of exactly this step.
			p := Params{Algorithm: alg, Digits: 8, Period: 30 * time.Second}
			got := Check([]byte(seeds[alg]), p, code, -1, time.Unix(v.unix, 0))
			if want := (Result{Step: v.unix / 30}); got != want {
				t.Errorf("%s at %d, code %s: %+v, want %+v", alg, v.unix, code, got, want)
			}
		}
	}
	if n != 18 {
		t.Errorf("%d vectors, the RFC has 18", n)
	}
}

func TestTOTP1VectorsOfRFC4226(t *testing.T) {
	p := Params{Algorithm: SHA1, Digits: 6, Period: 30 * time.Second}
	for counter, code := range []string{
		"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
	} {
		now := time.Unix(int64(counter)*30, 0)
		if got, want := Check([]byte(seeds[SHA1]), p, code, -1, now), (Result{Step: int64(counter)}); got != want {
			t.Errorf("counter %d, code %s: %+v, want %+v", counter, code, got, want)
		}
	}
}

func TestTOTP1EverySpotOfTheWindow(t *testing.T) {
	secret := []byte(seeds[SHA1])
	now := time.Unix(1_700_000_010, 0)
	for _, w := range []struct{ back, ahead int }{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		p := Params{Algorithm: SHA1, Digits: 8, Period: 30 * time.Second, Back: w.back, Ahead: w.ahead}
		present := p.Step(now)
		for offset := int64(-Wide - 2); offset <= Wide+2; offset++ {
			step := present + offset
			code := codeOf(t, secret, p, step)
			want := Result{Step: step}
			switch {
			case offset < -Wide || offset > Wide:
				want = Result{Reason: audit.ReasonWrongCode}
			case offset < -int64(w.back):
				want.Reason = audit.ReasonCodeExpired
			case offset > int64(w.ahead):
				want.Reason = audit.ReasonCodeFromFuture
			}
			if got := Check(secret, p, code, -1, now); got != want {
				t.Errorf("window %+v, offset %d: %+v, want %+v", w, offset, got, want)
			}
			if want.Reason != "" {
				continue
			}
			for last, reason := range map[int64]string{step - 1: "", step: audit.ReasonCodeReplayed, step + 1: audit.ReasonCodeReplayed} {
				if got := Check(secret, p, code, last, now); got.Reason != reason {
					t.Errorf("window %+v, offset %d, last step %d: %+v, want %q", w, offset, last, got, reason)
				}
			}
		}
	}
}

func TestTOTP1TheHighestStepThatFitsCounts(t *testing.T) {
	// The first two steps of this secret that are two apart and share a code.
	const low, high, code = 153567, 153569, "468457"
	p, secret := Default(), []byte(seeds[SHA1])
	if codeOf(t, secret, p, low) != code || codeOf(t, secret, p, high) != code {
		t.Fatal("the steps do not share a code: this test would test nothing")
	}
	now := time.Unix((low+1)*30, 0)
	for last, want := range map[int64]Result{
		low - 1:  {Step: high},
		low:      {Step: high},
		high - 1: {Step: high},
		high:     {Step: high, Reason: audit.ReasonCodeReplayed}, // the higher one is spent, so the lower one is
	} {
		if got := Check(secret, p, code, last, now); got != want {
			t.Errorf("last step %d: %+v, want %+v", last, got, want)
		}
	}
	// A step of the window counts more than a higher one outside.
	p.Ahead = 0
	if got, want := Check(secret, p, code, -1, time.Unix(low*30, 0)), (Result{Step: low}); got != want {
		t.Errorf("without steps ahead: %+v, want %+v", got, want)
	}
}

func TestBefore1970NothingIsAccepted(t *testing.T) {
	p, secret := Default(), []byte(seeds[SHA1])
	for _, unix := range []int64{-1, -30, -31, -1_700_000_000} {
		now := time.Unix(unix, 0)
		if present := p.Step(now); present >= 0 || present*30 > unix || (present+1)*30 <= unix {
			t.Errorf("step of %d is %d", unix, present)
		}
		for step := range int64(Wide + 2) {
			got := Check(secret, p, codeOf(t, secret, p, step), -1, now)
			if got.Reason == "" && (got.Step < 0 || got.Step > p.Step(now)+1) {
				t.Errorf("at %d the code of step %d: %+v", unix, step, got)
			}
			if got.Reason == "" && unix < -30 {
				t.Errorf("at %d, long before, the code of step %d is accepted", unix, step)
			}
		}
	}
}
