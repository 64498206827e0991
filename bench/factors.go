package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pquerna/otp/totp"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// secret is every benchmark account's: a code is good once per account, and each account is used once.
const (
	secret    = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" //nolint:gosec // G101: everybody may know it
	importMax = 500
)

// enrolledFlows opens flows of new accounts that have an authenticator and whose second factor is missing.
func enrolledFlows(ctx context.Context, t *target, callers, perCaller int) ([][]string, error) {
	accounts := make([]string, callers*perCaller)
	rows := make([]*posternv1.ImportedTotp, len(accounts))
	for i := range accounts {
		accounts[i] = fmt.Sprintf("enrolled-%d", t.ids.Add(1))
		rows[i] = &posternv1.ImportedTotp{AccountId: accounts[i], Secret: secret}
	}
	client := posternv1.NewAuthenticatorServiceClient(t.conns[0])
	for from := 0; from < len(rows); from += importMax {
		if _, err := client.ImportAuthenticators(ctx, &posternv1.ImportAuthenticatorsRequest{Parent: organization, RequestId: t.requestID("import"),
			Reason: "benchmark", Authenticators: rows[from:min(len(rows), from+importMax)]}); err != nil {
			return nil, err
		}
	}
	return concurrently(callers, func(c int) ([]string, error) {
		var flows []string
		for _, account := range accounts[c*perCaller : (c+1)*perCaller] {
			r := startRequest(t, t.ids.Add(1))
			r.Steps = []*posternv1.StepReport{passwordVerified(account)}
			a, err := t.signIn(c).StartFlow(ctx, r)
			if err != nil {
				return nil, err
			}
			flows = append(flows, a.GetFlow())
		}
		return flows, nil
	})
}

func verifyTotp(ctx context.Context, t *target, c int, flow string) error {
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		return err
	}
	a, err := t.signIn(c).VerifyTotp(ctx, &posternv1.VerifyTotpRequest{Flow: flow, RequestId: t.requestID("totp"), Code: code})
	if err == nil && t.name == "postern" && a.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		err = fmt.Errorf("a right code was answered %s (%s)", a.GetVerdict(), a.GetReason())
	}
	return err
}

// sessions records one session for each caller; its use is then asked about again and again, as a login service does.
func sessions(ctx context.Context, t *target, callers, _ int) ([][]string, error) {
	return concurrently(callers, func(c int) ([]string, error) {
		n := t.ids.Add(1)
		r := startRequest(t, n)
		r.Parent = openSite
		r.Steps = []*posternv1.StepReport{passwordVerified(fmt.Sprintf("account-%d", n))}
		r.Finish = &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}
		a, err := t.signIn(c).StartFlow(ctx, r)
		if err != nil {
			return nil, err
		}
		handle := make([]byte, 32)
		binary.BigEndian.PutUint64(handle, n)
		_, err = t.signIn(c).RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: openSite, RequestId: t.requestID("session"), Flow: a.GetFlow(),
			Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: handle})
		return []string{string(handle)}, err
	})
}

func checkAccess(ctx context.Context, t *target, c int, handle string) error {
	a, err := askAccess(ctx, t, c, handle)
	if err == nil && a.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW {
		err = fmt.Errorf("a session that may be used was answered %s (%s)", a.GetVerdict(), a.GetReason())
	}
	return err
}

func askAccess(ctx context.Context, t *target, c int, handle string) (*posternv1.CheckAccessResponse, error) {
	return t.signIn(c).CheckAccess(ctx, &posternv1.CheckAccessRequest{Site: openSite,
		Credential: &posternv1.CheckAccessRequest_SessionHandle{SessionHandle: []byte(handle)}, Context: &posternv1.Context{Ip: "203.0.113.9"}})
}
