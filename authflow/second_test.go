package authflow

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/verify/totp"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// safe keeps secrets the way an adapter does, with a key everybody can guess.
type safe struct{}

func scramble(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0x5c
	}
	return out
}

func params(c factor.Credential) totp.Params {
	p := totp.Default()
	if c.Algorithm != 0 {
		p.Algorithm, p.Digits, p.Period = c.Algorithm, c.Digits, c.Period
	}
	return p
}

func (safe) Shaped(code string) bool { return totp.Shaped(code) }

func (safe) Totp(_ string, c factor.Credential, code string, now time.Time) (factor.CheckFunc, error) {
	return totp.For(scramble(c.Sealed), params(c), code, now), nil
}

func (safe) Recovery(uid string, subject policy.AccountKey) factor.Hasher {
	return func(code string) factor.Hash {
		h := sha256.Sum256([]byte(fmt.Sprintf("%q %x %q", uid, subject, code)))
		return factor.Hash(h[:16])
	}
}

// New makes secrets that are the same in every run: a code of six digits is sometimes found where it does not come from.
func (safe) New(_ string, c factor.Credential) ([]byte, error) {
	h := sha256.Sum256([]byte(c.UID))
	return scramble(h[:20]), nil
}

func (safe) Take(_ string, _ factor.Credential, text string) ([]byte, error) {
	s, err := totp.ParseBase32(text)
	if err != nil {
		return nil, err
	}
	return scramble(s.Reveal()), totp.CheckStrength(s)
}

func (safe) HandOut(_ string, c factor.Credential, issuer, label string) (HandOut, error) {
	s := secret.NewBytes(scramble(c.Sealed))
	uri, err := totp.URI(issuer, label, s, params(c))
	return HandOut{URI: uri, Secret: totp.Base32(s).Reveal()}, err
}

func (s safe) RecoveryCodes(uid string, subject policy.AccountKey) ([]string, []factor.Hash, error) {
	return factor.NewRecoveryCodes(rand.Reader, s.Recovery(uid, subject))
}

func (safe) SealCodes(_, name string, codes []string) ([]byte, error) {
	return scramble([]byte(name + "\n" + strings.Join(codes, "\n"))), nil
}

func (safe) OpenCodes(_, name string, sealed []byte) ([]string, error) {
	lines := strings.Split(string(scramble(sealed)), "\n")
	if lines[0] != name {
		return nil, errs.New(errs.Internal, "KEY_UNREADABLE", "sealed for another name")
	}
	return lines[1:], nil
}

// codeAt is what an app shows at a time, from the library itself.
func codeAt(t testing.TB, base32Secret string, at time.Time) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(base32Secret, uint64(at.Unix()/30), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrongAt is a code that is right at no time near.
func wrongAt(t testing.TB, base32Secret string, at time.Time) string {
	t.Helper()
	right := map[string]bool{}
	for i := -20; i <= 20; i++ {
		right[codeAt(t, base32Secret, at.Add(time.Duration(i)*30*time.Second))] = true
	}
	for n := range 1000 {
		if code := fmt.Sprintf("%06d", n); !right[code] {
			return code
		}
	}
	t.Fatal("no wrong code")
	return ""
}

// strictMFA demands a code checked here, of any age up to twelve hours.
var strictMFA = policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{
	Factors: []string{audit.FactorTOTP, audit.FactorRecoveryCode}, Evidence: audit.EvidenceVerified, MaxAge: 12 * time.Hour}}}

// clinic is a world with second factors.
type clinic struct {
	*world
	auth *Authenticators
	n    int
}

func newClinic(t *testing.T, p policy.Policy) *clinic {
	t.Helper()
	w := newWorld(t, acme(p))
	return &clinic{world: w, auth: w.administration(w.flows)}
}

func (w *world) administration(f *Flows) *Authenticators {
	w.t.Helper()
	a, err := NewAuthenticators(AuthenticatorsConfig{Flows: f, Subjects: w.store, Secrets: safe{}, Verifier: safe{}, Bounds: w.store})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (c *clinic) request() string {
	c.n++
	return fmt.Sprint("r", c.n)
}

// bound opens a flow and binds an account.
func (c *clinic) bound(account string) FlowID {
	c.t.Helper()
	flow := c.start(c.request()).Flow
	c.step(flow, c.request(), reports(audit.TypePasswordVerified, account))
	return flow
}

// enrolled gives an account a confirmed factor and returns its secret. Codes of the period after are unspent.
func (c *clinic) enrolled(account string) string {
	c.t.Helper()
	in := EnrolInput{Organization: "acme", RequestID: c.request(), AccountID: account, Reason: "new phone", Issuer: "Acme", Label: "alice"}
	e, err := c.auth.Enrol(c.t.Context(), caller, in)
	if err != nil {
		c.t.Fatal(err)
	}
	c.setNow(c.clock().Add(time.Second))
	_, err = c.auth.Confirm(c.t.Context(), caller, ConfirmInput{Organization: "acme", RequestID: c.request(), Subject: e.Subject,
		Code: codeAt(c.t, e.HandOut.Secret, c.clock())})
	if err != nil {
		c.t.Fatal(err)
	}
	c.setNow(c.clock().Add(30 * time.Second))
	return e.HandOut.Secret
}

func (c *clinic) totp(flow FlowID, request, code string) (Answer, error) {
	return c.flows.VerifyTotp(c.t.Context(), caller, TotpInput{Organization: "acme", Flow: flow, RequestID: request, Code: code})
}

func (c *clinic) key(account string) policy.AccountKey {
	return hashNamer{}.AccountKey(orgUID, account)
}

// last returns the newest event of a flow.
func (c *clinic) last(flow FlowID) audit.Event {
	events := c.store.ordered(flow)
	return events[len(events)-1]
}
