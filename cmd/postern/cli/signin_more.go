package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// wantsTotp says whether a one-time code would bring the flow on.
func wantsTotp(answer *posternv1.FlowAnswer) bool {
	for _, n := range answer.GetNext() {
		if n.GetMethod() == "mfa" && n.GetFactor() == "TOTP" {
			return true
		}
	}
	return false
}

// typeCode has the sidecar check the code of this moment.
func (s *signIn) typeCode(ctx context.Context, flow string) (*posternv1.FlowAnswer, error) {
	text, err := s.readSecret(s.totpFile)
	if err != nil {
		return nil, err
	}
	code, err := s.codeOf(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.totpFile, err)
	}
	return send(ctx, s, "VerifyTotp", s.c.SignIn.VerifyTotp, &posternv1.VerifyTotpRequest{Flow: flow, RequestId: newRequestID(), Code: code})
}

// codeOf computes the code of this moment from an otpauth URI, or from a secret in base32 with what every app takes for granted.
func (a *app) codeOf(text string) (string, error) {
	bad := errors.New("it holds no secret in base32 and no otpauth URI") // the library's own text may hold the secret
	text = strings.TrimSpace(text)
	opts := totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	if strings.HasPrefix(text, "otpauth://") {
		key, err := otp.NewKeyFromURL(text)
		if err != nil {
			return "", bad
		}
		text = key.Secret()
		opts = totp.ValidateOpts{Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm()}
	}
	code, err := totp.GenerateCodeCustom(text, a.now(), opts)
	if err != nil {
		return "", bad
	}
	return code, nil
}

// recordSession reports a session or token, under the handle given or one made up here.
func (s *signIn) recordSession(ctx context.Context, flow string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r := &posternv1.RecordSessionRequest{
		Parent: s.site, RequestId: newRequestID(), Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: []byte(rand.Text()), Flow: flow,
		Kind: posternv1.RecordSessionRequest_KIND_SESSION,
	}
	if s.token {
		r.Kind = posternv1.RecordSessionRequest_KIND_TOKEN
	}
	if s.handleFile != "" {
		handle, err := s.readSecret(s.handleFile)
		if err != nil {
			return err
		}
		r.SessionHandle = []byte(handle)
	}
	answer, err := client.Repeat(ctx, s.c.SignIn.RecordSession, r)
	if err != nil {
		return err
	}
	if s.json() {
		return s.wrapped("session", answer)
	}
	fmt.Fprintf(s.stdout, "RecordSession: started, shown in the record as %s\n", printable.Escape(answer.GetSession()))
	return nil
}
