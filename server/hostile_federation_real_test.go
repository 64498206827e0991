package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/status"
)

const partner = "organizations/partner"

// partnerDocument is an organization whose provider is described in full, so that nothing is fetched.
const partnerDocument = `
organization: partner
sites: [{id: wiki}]
connections:
  - id: corp
    kind: sso
    protocol: oidc
    oidc:
      issuer: https://idp.partner-postern-demo.com
      client_id: "12"
      authorization_endpoint: https://idp.partner-postern-demo.com/a
      token_endpoint: https://idp.partner-postern-demo.com/t
      jwks_uri: https://idp.partner-postern-demo.com/k
      client_auth: none
      redirect_uris: [https://login.acme-postern-demo.com/cb]
  - {id: plain, kind: social}
policy: {}
`

// TestSignInsElsewhereInTheWrongState plays against a whole process what only flow and connection can know.
func TestSignInsElsewhereInTheWrongState(t *testing.T) {
	s := newSidecar(t)
	if _, err := s.dir.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: partner, RequestId: "apply-2", Document: partnerDocument}); err != nil {
		t.Fatal(err)
	}
	start := func(id string) string {
		a, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: partner + "/sites/wiki", RequestId: id, Subject: &posternv1.Subject{Email: "mia@guest-postern-demo.com"}})
		if err != nil {
			t.Fatal(err)
		}
		return a.GetFlow()
	}
	idle, pending := start("s-1"), start("s-2")
	begin := &posternv1.BeginFederationRequest{Flow: pending, RequestId: "b-1", Connection: "corp"}
	begun, err := s.signIn.BeginFederation(s.ctx(), begin)
	if err != nil || begun.GetBrowserToken() == "" || !strings.HasPrefix(begun.GetRedirectUrl(), "https://idp.partner-postern-demo.com/a?") {
		t.Fatal(begun, err)
	}
	again, err := s.signIn.BeginFederation(s.ctx(), begin)
	if err != nil || !again.GetAnswer().GetRepeatedAnswer() || again.GetRedirectUrl() != begun.GetRedirectUrl() || again.GetBrowserToken() != begun.GetBrowserToken() {
		t.Errorf("the same beginning again: %v, %v", again, err)
	}
	before := len(s.flow(idle).GetSteps())
	inPartner, inSystem := s.refusals(partner), s.refusals(system)
	beginning := func(change func(*posternv1.BeginFederationRequest)) func() error {
		return func() error {
			r := &posternv1.BeginFederationRequest{Flow: idle, RequestId: "h-1", Connection: "corp"}
			change(r)
			_, err := s.signIn.BeginFederation(s.ctx(), r)
			return err
		}
	}
	complete := func(change func(*posternv1.CompleteFederationRequest)) func() error {
		return func() error {
			r := completing(change)
			_, err := s.signIn.CompleteFederation(s.ctx(), r)
			return err
		}
	}
	known, err := s.signIn.StartFlow(s.ctx(), &posternv1.StartFlowRequest{Parent: partner + "/sites/wiki", RequestId: "s-3",
		Steps: []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1"}}}})
	if err != nil {
		t.Fatal(err)
	}
	link := func(flow string) func() error {
		return func() error {
			_, err := s.signIn.LinkAccount(s.ctx(), &posternv1.LinkAccountRequest{Flow: flow, RequestId: "h-2", AccountId: "a-1", NewAccount: true})
			return err
		}
	}
	missing := partner + "/flows/" + flowID
	invalid, failed := codes.InvalidArgument, codes.FailedPrecondition
	for what, tt := range map[string]hostileCall{
		"begin: unknown flow":       {beginning(func(r *posternv1.BeginFederationRequest) { r.Flow = missing }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"begin: another's flow":     {beginning(func(r *posternv1.BeginFederationRequest) { r.Flow = strings.Replace(idle, "partner", "acme", 1) }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"begin: unknown connection": {beginning(func(r *posternv1.BeginFederationRequest) { r.Connection = "nothing" }), invalid, "CONNECTION_UNKNOWN", false},
		"begin: not verified here":  {beginning(func(r *posternv1.BeginFederationRequest) { r.Connection = "plain" }), failed, "CONNECTION_NOT_VERIFIED_HERE", false},
		"begin: another callback":   {beginning(func(r *posternv1.BeginFederationRequest) { r.CallbackUrl = "https://evil.example/cb" }), invalid, "CALLBACK_URL_UNKNOWN", false},
		"begin: links nobody":       {beginning(func(r *posternv1.BeginFederationRequest) { r.LinkAccount = true }), failed, "NOT_BOUND", false},
		"begin: id of another":      {beginning(func(r *posternv1.BeginFederationRequest) { r.Flow, r.RequestId, r.PromptLogin = pending, "b-1", true }), codes.AlreadyExists, "REQUEST_ID_REUSED", false},
		"complete: nothing begun":   {complete(func(r *posternv1.CompleteFederationRequest) { r.Flow = idle }), failed, "FEDERATION_NOT_BEGUN", false},
		"complete: unknown flow":    {complete(func(r *posternv1.CompleteFederationRequest) { r.Flow = missing }), codes.NotFound, "FLOW_NOT_FOUND", true},
		"complete: unsolicited OIDC": {complete(func(r *posternv1.CompleteFederationRequest) {
			r.Flow, r.BrowserToken, r.Site, r.Connection = "", "", partner+"/sites/wiki", "corp"
			r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: secretForm}}
		}), invalid, "EVIDENCE_KIND_INVALID", false},
		"complete: SAML, expected of OIDC": {complete(func(r *posternv1.CompleteFederationRequest) {
			r.Flow, r.BrowserToken, r.Connection, r.Expectations = idle, "", "corp", &posternv1.Expectations{SamlRequestId: "_1"}
			r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: secretForm}}
		}), invalid, "EVIDENCE_KIND_INVALID", false},
		"link: nobody bound": {link(idle), failed, "NOT_BOUND", false},
		"link: no identity":  {link(known.GetFlow()), failed, "ACCOUNT_KNOWN", false},
		"unlink: nobody's": {func() error {
			_, err := posternv1.NewIdentityServiceClient(s.conn).UnlinkIdentity(s.ctx(), &posternv1.UnlinkIdentityRequest{
				Name: partner + "/identities/" + strings.Repeat("00", 32), RequestId: "h-3", Reason: "why"})
			return err
		}, codes.NotFound, "IDENTITY_NOT_FOUND", false},
	} {
		t.Run(what, func(t *testing.T) {
			err := tt.call()
			where := inPartner
			if tt.system {
				where = inSystem
			}
			if d := where.find(failedWith(t, err, tt)).GetDenial(); d.GetReason() != tt.reason || d.GetCode() != status.CodeName(tt.code) {
				t.Errorf("recorded as %v", d)
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error has a value: %v", err)
			}
		})
	}
	if after := len(s.flow(idle).GetSteps()); after != before {
		t.Errorf("the flow has %d steps, had %d", after, before)
	}
	// What a browser brings is no error: it goes on the flow's record, and the retry is told the same.
	stray := completing(func(r *posternv1.CompleteFederationRequest) { r.Flow, r.RequestId = pending, "c-1" })
	for _, repeated := range []bool{false, true} {
		done, err := s.signIn.CompleteFederation(s.ctx(), stray)
		if err != nil || done.GetAnswer().GetReason() != "STATE_MISMATCH" || done.GetIdentity() != nil || done.GetAnswer().GetRepeatedAnswer() != repeated {
			t.Errorf("a stray answer: %v, %v", done, err)
		}
	}
	for _, secret := range []string{"CANARY", begun.GetBrowserToken()} {
		if strings.Contains(s.log.String(), secret) || strings.Contains(s.flow(pending).String(), secret) {
			t.Errorf("%s is in the log or the flow", secret)
		}
		for name, content := range s.files() {
			if strings.Contains(string(content), secret) {
				t.Errorf("%s is in %s", secret, name)
			}
		}
	}
}
