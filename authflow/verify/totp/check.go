package totp

import (
	"crypto/hmac"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
)

// Wide is how many steps around the present one are looked at, so that a code too late or too early is told from a wrong one.
const Wide = 10

// Result is what a code came to.
type Result struct {
	Step   int64  // the step it is a code of; 0 when of none
	Reason string // of the audit catalogue; empty when accepted
}

// Check looks at one code. It is accepted when it is the code of a step of the window around now that lies above lastStep, -1
// if none was ever used. Else the reason is one of
//
//	MALFORMED         not as many ASCII digits as the secret's codes have
//	NOT_ENROLLED      there is no secret (nil); the same work was done with DummySecret
//	CODE_REPLAYED     right, but the step is not above lastStep
//	CODE_EXPIRED      right up to Wide steps ago
//	CODE_FROM_FUTURE  right in up to Wide steps
//	WRONG_CODE        everything else
//	VERIFIER_ERROR    the parameters are out of bounds: a defect of the caller, never accepted
//
// The highest step that fits counts. Steps are compared all of them and without branches on the result.
func Check(secret []byte, p Params, code string, lastStep int64, now time.Time) Result {
	if p.Validate() != nil || len(secret) > MaxSecret {
		return Result{Reason: audit.ReasonVerifierError}
	}
	if !digits(code, p.Digits) {
		return Result{Reason: audit.ReasonMalformed}
	}
	enrolled := len(secret) > 0
	if !enrolled {
		secret = DummySecret(p.Algorithm)
	}
	m, err := search(secret, p, code, p.Step(now))
	switch {
	case err != nil:
		return Result{Reason: audit.ReasonVerifierError}
	case !enrolled:
		return Result{Reason: audit.ReasonNotEnrolled}
	case m.where == 0:
		return Result{Reason: audit.ReasonWrongCode}
	}
	res := Result{Step: m.step}
	switch {
	case m.where == before:
		res.Reason = audit.ReasonCodeExpired
	case m.where != within:
		res.Reason = audit.ReasonCodeFromFuture
	case m.step <= lastStep:
		res.Reason = audit.ReasonCodeReplayed
	}
	return res
}

// For is Check bound to a code and a time, as authflow/factor asks for it.
func For(secret []byte, p Params, code string, now time.Time) factor.CheckFunc {
	return func(lastStep int64) (int64, string) {
		r := Check(secret, p, code, lastStep, now)
		return r.Step, r.Reason
	}
}

// Where a step lies, in the order of what counts more: a code that fits several steps is taken for one of the window, else for
// one of the past.
const (
	after = iota + 1
	before
	within
)

// match is the best step that fits; where is 0 when none does.
type match struct {
	where int
	step  int64
}

// search compares the code with those of all steps around the present one. Whether it is accepted is the library's word alone;
// steps outside the window only choose between reasons, and are compared by near, which costs far less.
func search(secret []byte, p Params, code string, present int64) (match, error) {
	key := base32.StdEncoding.EncodeToString(secret)
	opts := hotp.ValidateOpts{Digits: otp.Digits(p.Digits), Algorithm: library(p.Algorithm)}
	outside := near(secret, p, code)
	where, at := 0, 0
	for offset := -Wide; offset <= Wide; offset++ {
		step := present + int64(offset)
		counter := uint64(max(step, 0))
		place, hit := within, 0
		switch {
		case offset < -p.Back:
			place, hit = before, outside(counter)
		case offset > p.Ahead:
			place, hit = after, outside(counter)
		default:
			ok, err := hotp.ValidateCustom(code, counter, key, opts)
			if err != nil {
				return match{}, err
			}
			hit = bit(ok)
		}
		better := hit & bit(step >= 0) & subtle.ConstantTimeLessOrEq(where, place) // equal: the higher step counts
		where = subtle.ConstantTimeSelect(better, place, where)
		at = subtle.ConstantTimeSelect(better, offset, at)
	}
	return match{where: where, step: present + int64(at)}, nil
}

// near compares a code, known to be digits, with that of a step, as RFC 4226 section 5.3 makes it, and answers 1 or 0.
func near(secret []byte, p Params, code string) func(counter uint64) int {
	mac := hmac.New(library(p.Algorithm).Hash, secret)
	typed, modulus := int32(0), int32(1)
	for i := range len(code) {
		typed, modulus = typed*10+int32(code[i]-'0'), modulus*10
	}
	var in [8]byte
	sum := make([]byte, 0, sha512.Size)
	return func(counter uint64) int {
		mac.Reset()
		binary.BigEndian.PutUint64(in[:], counter)
		mac.Write(in[:])
		sum = mac.Sum(sum[:0])
		offset := sum[len(sum)-1] & 0xf
		value := int32(binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff)
		return subtle.ConstantTimeEq(value%modulus, typed)
	}
}

// bit compiles to a move, not to a jump.
func bit(b bool) int {
	n := 0
	if b {
		n = 1
	}
	return n
}

// digits says whether s is n ASCII digits and nothing else.
func digits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Shaped says whether s could be a code of some authenticator: 6 to 8 ASCII digits. A caller who is told that a code of another
// length than the enrolled one is malformed learns what is enrolled; told it of codes that fail Shaped, he learns nothing.
func Shaped(s string) bool {
	return len(s) >= factor.MinDigits && len(s) <= factor.MaxDigits && digits(s, len(s))
}
