package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/status"
)

// TestHostileCallsAboutFactorsChangeNothingAndAreRecorded plays calls about second factors, sessions and tokens that must be
// refused against a whole process.
func TestHostileCallsAboutFactorsChangeNothingAndAreRecorded(t *testing.T) {
	s := newSidecar(t)
	c := posternv1.NewAuthenticatorServiceClient(s.conn)
	open := s.start("start-1").GetFlow()
	bound, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: acme + "/sites/wiki", RequestId: "start-2",
		Steps: []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	enrolled, err := c.EnrollTotp(s.ctx(), &posternv1.EnrollTotpRequest{Parent: acme, RequestId: "enrol-1", AccountId: "a-1", Flow: bound.GetFlow(), Issuer: "Acme", Label: "a-1"})
	if err != nil {
		t.Fatal(err)
	}
	name := enrolled.GetAuthenticator().GetName()
	beforeFlow, beforeFactor := s.flow(bound.GetFlow()), s.authenticator(c, name)
	const nobody = acme + "/authenticators/00112233445566778899aabbccddeeff"
	const missing = acme + "/flows/019365a0-0000-7000-8000-000000000001"
	enrol := func(change func(*posternv1.EnrollTotpRequest)) func() error {
		return func() error {
			r := &posternv1.EnrollTotpRequest{Parent: acme, RequestId: "h-1", AccountId: "a-1", Flow: bound.GetFlow(), Issuer: "Acme", Label: "a-1"}
			change(r)
			_, err := c.EnrollTotp(s.ctx(), r)
			return err
		}
	}
	verify := func(flow, code string) func() error {
		return func() error {
			_, err := s.signIn.VerifyTotp(s.ctx(), &posternv1.VerifyTotpRequest{Flow: flow, RequestId: "h-2", Code: code})
			return err
		}
	}
	session := func(change func(*posternv1.RecordSessionRequest)) func() error {
		return func() error {
			r := &posternv1.RecordSessionRequest{Parent: acme + "/sites/wiki", RequestId: "h-3", Event: posternv1.RecordSessionRequest_EVENT_STARTED,
				Flow: bound.GetFlow(), SessionHandle: make([]byte, 32)}
			change(r)
			_, err := s.signIn.RecordSession(s.ctx(), r)
			return err
		}
	}
	invalid, failed := codes.InvalidArgument, codes.FailedPrecondition
	for what, tt := range map[string]hostileCall{
		"enrol: unknown organization": {enrol(func(r *posternv1.EnrollTotpRequest) { r.Parent, r.Flow, r.Reason = "organizations/nobody", "", "why" }), codes.NotFound, "ORGANIZATION_NOT_FOUND", true},
		"enrol: another's flow":       {enrol(func(r *posternv1.EnrollTotpRequest) { r.AccountId = "a-2" }), failed, "FLOW_NOT_READY", false},
		"enrol: a flow of nobody":     {enrol(func(r *posternv1.EnrollTotpRequest) { r.Flow = open }), failed, "FLOW_NOT_READY", false},
		"enrol: no such flow":         {enrol(func(r *posternv1.EnrollTotpRequest) { r.Flow = missing }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"enrol: id of another":        {enrol(func(r *posternv1.EnrollTotpRequest) { r.RequestId, r.Label = "enrol-1", "other" }), codes.AlreadyExists, "REQUEST_ID_REUSED", false},
		"enrol: nine digits":          {enrol(func(r *posternv1.EnrollTotpRequest) { r.Digits = 9 }), invalid, "FIELD_INVALID", false},
		"enrol: a second a code":      {enrol(func(r *posternv1.EnrollTotpRequest) { r.Period = 1 }), invalid, "FIELD_INVALID", false},
		"confirm: nobody's": {func() error {
			_, err := c.ConfirmTotp(s.ctx(), &posternv1.ConfirmTotpRequest{Name: nobody, RequestId: "h-4", Code: "123456"})
			return err
		}, codes.NotFound, "AUTHENTICATOR_NOT_FOUND", false},
		"confirm: letters": {func() error {
			_, err := c.ConfirmTotp(s.ctx(), &posternv1.ConfirmTotpRequest{Name: name, RequestId: "h-4", Code: "canary"})
			return err
		}, invalid, "CODE_MALFORMED", false},
		"get: nobody's": {func() error {
			_, err := c.GetAuthenticator(s.ctx(), &posternv1.GetAuthenticatorRequest{Name: nobody})
			return err
		}, codes.NotFound, "AUTHENTICATOR_NOT_FOUND", false},
		"unlock: not in force": {func() error {
			_, err := c.UnlockAuthenticator(s.ctx(), &posternv1.UnlockAuthenticatorRequest{Name: name, RequestId: "h-5", Reason: "why"})
			return err
		}, failed, "NOT_ENROLLED", false},
		"recovery codes: not in force": {func() error {
			_, err := c.GenerateRecoveryCodes(s.ctx(), &posternv1.GenerateRecoveryCodesRequest{Name: name, RequestId: "h-6", Reason: "why"})
			return err
		}, failed, "NOT_ENROLLED", false},
		"revoke: unknown site": {func() error {
			_, err := c.RevokeProofs(s.ctx(), &posternv1.RevokeProofsRequest{Parent: acme, RequestId: "h-7", Reason: "why", Scope: &posternv1.RevokeProofsRequest_Site{Site: "nowhere"}})
			return err
		}, codes.NotFound, "SITE_NOT_FOUND", false},
		"list: a token of nobody's": {func() error {
			_, err := c.ListAuthenticators(s.ctx(), &posternv1.ListAuthenticatorsRequest{Parent: acme, PageToken: "AQID"})
			return err
		}, invalid, "TOKEN_INVALID", false},
		"verify: unknown flow":  {verify(missing, "123456"), codes.NotFound, "FLOW_NOT_FOUND", true},
		"verify: nobody bound":  {verify(open, "123456"), failed, "NOT_BOUND", false},
		"verify: endless code":  {verify(bound.GetFlow(), strings.Repeat("1", 17)), invalid, "FIELD_INVALID", false},
		"session: cause first":  {session(func(r *posternv1.RecordSessionRequest) { r.EndCause = posternv1.RecordSessionRequest_END_CAUSE_LOGOUT }), invalid, "FIELD_UNEXPECTED", false},
		"session: unknown kind": {session(func(r *posternv1.RecordSessionRequest) { r.Kind = 9 }), invalid, "FIELD_INVALID", false},
		"access: unknown site": {func() error {
			_, err := s.signIn.CheckAccess(s.ctx(), &posternv1.CheckAccessRequest{Site: acme + "/sites/nowhere", Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: make([]byte, 16)}})
			return err
		}, codes.NotFound, "SITE_NOT_FOUND", false},
		"step: handle out of place": {func() error {
			_, err := s.signIn.ReportStep(s.ctx(), &posternv1.ReportStepRequest{Flow: bound.GetFlow(), RequestId: "h-8", Step: &posternv1.StepReport{
				Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1"}, SessionHandle: make([]byte, 16)}})
			return err
		}, invalid, "SESSION_HANDLE_UNEXPECTED", false},
	} {
		t.Run(what, func(t *testing.T) {
			inAcme, inSystem := s.refusals(acme), s.refusals(system)
			where := inAcme
			if tt.system {
				where = inSystem
			}
			id := failedWith(t, tt.call(), tt)
			if d := where.find(id).GetDenial(); d.GetReason() != tt.reason || d.GetCode() != status.CodeName(tt.code) {
				t.Errorf("recorded as %v", d)
			}
		})
	}
	if after := s.flow(bound.GetFlow()); len(after.GetSteps()) != len(beforeFlow.GetSteps()) || after.GetPhase() != beforeFlow.GetPhase() {
		t.Errorf("the flow has changed to %v", after)
	}
	if after := s.authenticator(c, name); after.String() != beforeFactor.String() {
		t.Errorf("the authenticator has changed from\n%v\nto\n%v", beforeFactor, after)
	}
}

func failedWith(t *testing.T, err error, want hostileCall) string {
	t.Helper()
	return failed(t, err, status.CodeName(want.code), want.reason)
}

func (s *sidecar) authenticator(c posternv1.AuthenticatorServiceClient, name string) *posternv1.Authenticator {
	s.t.Helper()
	a, err := c.GetAuthenticator(s.ctx(), &posternv1.GetAuthenticatorRequest{Name: name})
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}
