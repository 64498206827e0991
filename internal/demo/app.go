package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// app is an authenticator app on somebody's phone. It knows the time in steps from its first code on, so that the demo need not
// wait for the next one: a code of the step to come is accepted as well.
type app struct {
	name   string // of the authenticator
	secret string // base32
	first  int64  // step of the first code
}

// period is how long a code is good for, as every app takes for granted.
const period = 30 * time.Second

// code is the code of a step, counted from the first one.
func (a *app) code(n int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(a.secret, uint64(a.first+n), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // steps are positive
	if err != nil {
		return "", fmt.Errorf("the secret that was handed out makes no code") // the library's text may hold it
	}
	return code, nil
}

// wrong is a code of no step anywhere near.
func (a *app) wrong() (string, error) {
	near := map[string]bool{}
	for n := int64(-20); n <= 20; n++ {
		code, err := a.code(n)
		if err != nil {
			return "", err
		}
		near[code] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !near[code] {
			return code, nil
		}
	}
}

// enrol puts a new app in force for an account: in the person's own flow, or by the help desk when none is given. The first
// code is used up by it.
func (d *demo) enrol(ctx context.Context, account, flow string) (*app, error) {
	r := &posternv1.EnrollTotpRequest{Parent: organization, RequestId: requestID(), AccountId: account, Flow: flow, Issuer: "Acme Tracker", Label: account}
	if flow == "" {
		r.Reason = "came to the desk with an identity card"
	}
	answer, err := client.Repeat(ctx, d.c.Authenticators.EnrollTotp, r)
	if err != nil {
		return nil, err
	}
	a := &app{name: answer.GetAuthenticator().GetName(), secret: answer.GetSecret(), first: d.now().Unix() / int64(period/time.Second)}
	code, err := a.code(0)
	if err != nil {
		return nil, err
	}
	confirmed, err := client.Repeat(ctx, d.c.Authenticators.ConfirmTotp, &posternv1.ConfirmTotpRequest{Name: a.name, RequestId: requestID(), Code: code})
	if err == nil && confirmed.GetState() != posternv1.Authenticator_STATE_ACTIVE {
		err = fmt.Errorf("the authenticator is %s after its first code", confirmed.GetState())
	}
	return a, err
}

// typed has a code checked, and demands this reason of the answer; none means that it is accepted.
func (d *demo) typed(ctx context.Context, p *played, code, reason string) error {
	answer, err := client.Repeat(ctx, d.c.SignIn.VerifyTotp, &posternv1.VerifyTotpRequest{Flow: p.flow, RequestId: requestID(), Code: code})
	p.done = d.now()
	if err != nil {
		return err
	}
	if answer.GetReason() != reason {
		return fmt.Errorf("the caller is told %q of a code, and should be told %q", answer.GetReason(), reason)
	}
	return nil
}
