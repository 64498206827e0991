package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// elsewhere keeps what it was asked, and answers as a test says.
type elsewhere struct {
	mu     sync.Mutex
	asked  []any
	until  []time.Time // deadlines of the calls
	answer authflow.Answer
	fail   error
	links  []authflow.Link
}

// serve puts it into a configuration.
func (e *elsewhere) serve(c *server.Config) {
	c.SignIn = &server.SignIn{Flows: c.SignIn.Flows, Federation: e}
	c.Identities = &server.Identities{Keeper: e, MAC: mac{}}
}

func (e *elsewhere) one(ctx context.Context, asked any) (authflow.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, asked)
	if d, ok := ctx.Deadline(); ok {
		e.until = append(e.until, d)
	}
	a := e.answer
	id, _ := authflow.ParseFlowID(flowID)
	a.Organization, a.OrganizationUID, a.Flow = "acme", acmeUID, id
	return a, e.fail
}

// calls returns what was asked since the last look.
func (e *elsewhere) calls() []any {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.asked
	e.asked = nil
	return out
}

func (e *elsewhere) say(a authflow.Answer, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer, e.fail = a, err
}

func (e *elsewhere) BeginFederation(ctx context.Context, _ authflow.Caller, in authflow.BeginInput) (authflow.Begun, error) {
	a, err := e.one(ctx, in)
	return authflow.Begun{Answer: a, BrowserToken: secretBrowser, Redirect: authflow.Redirect{
		URL: "https://idp.example/authorize?state=" + secretState, Form: map[string]string{"RelayState": secretState}}}, err
}

func (e *elsewhere) CompleteFederation(ctx context.Context, _ authflow.Caller, in authflow.CompleteInput) (authflow.Completed, error) {
	a, err := e.one(ctx, in)
	if a.Reason != "" {
		return authflow.Completed{Answer: a}, err
	}
	return authflow.Completed{Answer: a, Identity: &authflow.ProvenIdentity{Connection: "okta", Issuer: "https://idp.example", SubjectID: "sub-1",
		Email: "mia@partner-postern-demo.com", EmailVerified: true, DisplayName: "Mia", AccountID: acctMia, SessionEnds: time.Unix(2e9, 0)}}, err
}

func (e *elsewhere) LinkAccount(ctx context.Context, _ authflow.Caller, in authflow.LinkInput) (authflow.Answer, error) {
	return e.one(ctx, in)
}

func (e *elsewhere) List(ctx context.Context, _ authflow.Caller, organization, accountID, after string, limit int) ([]authflow.Link, string, error) {
	if _, err := e.one(ctx, []any{organization, accountID, after, limit}); err != nil {
		return nil, "", err
	}
	var page []authflow.Link
	for i, l := range e.links {
		if place := fmt.Sprintf("%04d", i); place > after {
			if page = append(page, l); len(page) == limit && i < len(e.links)-1 {
				return page, place, nil
			}
		}
	}
	return page, "", nil
}

func (e *elsewhere) Unlink(ctx context.Context, _ authflow.Caller, in authflow.UnlinkInput) error {
	_, err := e.one(ctx, in)
	return err
}

// What is handed in or out and must be nowhere else.
const (
	secretBrowser = "CANARY-browser-token"
	secretState   = "CANARY-state"
	secretCode    = "CANARY-code"
	secretToken   = "CANARY-id-token"
	secretAccess  = "CANARY-access-token"
	secretForm    = "CANARYsamlresponse"
	secretNonce   = "CANARY-nonce-0123456789"
	acmeFlow      = "organizations/acme/flows/" + flowID
)

// federationCalls are the calls of a sign-in elsewhere, each with its secrets, by name.
func federationCalls(ctx context.Context, s posternv1.SignInServiceClient) map[string]func() (proto.Message, error) {
	completing := func(r *posternv1.CompleteFederationRequest) func() (proto.Message, error) {
		return func() (proto.Message, error) {
			r.RequestId = "r"
			return s.CompleteFederation(ctx, r)
		}
	}
	return map[string]func() (proto.Message, error){
		"begin": func() (proto.Message, error) {
			return s.BeginFederation(ctx, &posternv1.BeginFederationRequest{Flow: acmeFlow, RequestId: "r", Connection: "okta"})
		},
		"code": completing(&posternv1.CompleteFederationRequest{Flow: acmeFlow, BrowserToken: secretBrowser, Evidence: &posternv1.CompleteFederationRequest_OidcCallback{
			OidcCallback: &posternv1.OidcCallback{State: secretState, Code: secretCode}}}),
		"token": completing(&posternv1.CompleteFederationRequest{Flow: acmeFlow, Connection: "okta", Expectations: &posternv1.Expectations{Nonce: secretNonce},
			Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: secretToken, AccessToken: secretAccess}}}),
		"unsolicited": completing(&posternv1.CompleteFederationRequest{Site: acme + "/sites/wiki", Connection: "okta",
			Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: secretForm, RelayState: secretState}}}),
		"link": func() (proto.Message, error) {
			return s.LinkAccount(ctx, &posternv1.LinkAccountRequest{Flow: acmeFlow, RequestId: "r", AccountId: acctMia, NewAccount: true})
		},
	}
}

func TestASignInElsewhereIsAnsweredAndItsSecretsStayInTheAnswer(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	yes := true
	e.say(authflow.Answer{Repeated: true, Outcome: authflow.Outcome{Verdict: audit.VerdictAllow, Phase: authflow.PhaseGranted, Step: 3, Counts: &yes}}, nil)
	for name, call := range federationCalls(testContext(t), posternv1.NewSignInServiceClient(w.dial(t))) {
		m, err := call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var a *posternv1.FlowAnswer
		switch m := m.(type) {
		case *posternv1.FlowAnswer:
			a = m
		case *posternv1.BeginFederationResponse:
			if a = m.GetAnswer(); m.GetBrowserToken() != secretBrowser || !strings.HasSuffix(m.GetRedirectUrl(), secretState) || m.GetForm()["RelayState"] != secretState {
				t.Errorf("%s: %v", name, m)
			}
		case *posternv1.CompleteFederationResponse:
			a = m.GetAnswer()
			if i := m.GetIdentity(); i.GetSubjectId() != "sub-1" || i.GetIssuer() == "" || i.GetAccountId() != acctMia || !i.GetEmailVerified() || i.GetSessionExpires().GetSeconds() != 2e9 {
				t.Errorf("%s: %v", name, i)
			}
			if strings.Contains(m.String(), "CANARY") {
				t.Errorf("%s: the answer has what was handed in: %v", name, m)
			}
		}
		if !a.GetRepeatedAnswer() || a.GetFlow() != acmeFlow || a.GetStep() != 3 || a.GetVerdict() != posternv1.Verdict_VERDICT_ALLOW || !a.GetCounts() {
			t.Errorf("%s: %v", name, a)
		}
	}
	if n := len(e.calls()); n != 5 {
		t.Errorf("%d use cases were asked", n)
	}
	if strings.Contains(w.log.String(), "CANARY") {
		t.Errorf("a secret is in the log:\n%s", w.log.String())
	}
}

func TestNothingHandedInIsInAnErrorTheLogOrTheRecord(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	calls := federationCalls(testContext(t), posternv1.NewSignInServiceClient(w.dial(t)))
	for _, fail := range []error{
		errs.New(errs.FailedPrecondition, "FLOW_ENDED", "it has ended"), errs.Wrap(context.DeadlineExceeded, errs.Unavailable, "OUTCOME_UNKNOWN", "nobody knows"),
		errs.New(errs.Internal, "VERIFIER_ERROR", "a defect"), errs.New(errs.Conflict, "CONFLICT", "others were faster"),
	} {
		e.say(authflow.Answer{}, fail)
		for name, call := range calls {
			m, err := call()
			if err == nil || strings.Contains(err.Error(), "CANARY") || strings.Contains(fmt.Sprint(m), "CANARY") {
				t.Errorf("%s: %v, %v", name, m, err)
			}
			for _, event := range w.outbox.take() {
				if event.Denial == nil || strings.Contains(fmt.Sprintf("%+v %+v", event, *event.Denial), "CANARY") {
					t.Errorf("%s: recorded as %+v", name, event)
				}
			}
		}
	}
	if strings.Contains(w.log.String(), "CANARY") {
		t.Errorf("a secret is in the log:\n%s", w.log.String())
	}
}

func TestAProcessThatVerifiesNothingElsewhereSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	for name, call := range federationCalls(testContext(t), posternv1.NewSignInServiceClient(w.dial(t))) {
		_, err := call()
		failed(t, err, "UNIMPLEMENTED", "FEDERATION_MISSING")
		if e := w.one(t); e.Denial.Reason != "FEDERATION_MISSING" {
			t.Errorf("%s: recorded as %+v", name, e.Denial)
		}
	}
}

// A provider may take its time, whatever other calls are given; the caller's own deadline still wins.
func TestAProviderIsWaitedForLongerThanAStore(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, func(c *server.Config) {
		e.serve(c)
		c.CallTimeout = time.Millisecond
	})
	client := posternv1.NewSignInServiceClient(w.dial(t))
	began := time.Now()
	calls := federationCalls(context.Background(), client)
	for _, name := range []string{"begin", "code"} {
		if _, err := calls[name](); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	soon, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	if _, err := federationCalls(soon, client)["code"](); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until[0].Before(began.Add(11*time.Second)) || e.until[1].Before(began.Add(11*time.Second)) {
		t.Errorf("a provider's 10 s do not fit into calls until %v, begun at %v", e.until[:2], began)
	}
	if deadline, _ := soon.Deadline(); e.until[2].After(deadline) {
		t.Errorf("the call goes on until %v, though its caller leaves at %v", e.until[2], deadline)
	}
}

func TestASAMLResponseOf384KiBFitsAndNoOtherCallTakesMore(t *testing.T) {
	e := &elsewhere{}
	s := newSite(t, e.serve)
	body := func(size int) string {
		b, err := json.Marshal(map[string]any{"requestId": "r", "browserToken": "b", "samlResponse": map[string]string{
			"samlResponse": strings.Repeat("A", size), "relayState": "s"}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const path = "/v1/" + acmeFlow + ":completeFederation"
	a := s.do(t, "POST", path, body(384<<10), nil)
	if calls := e.calls(); a.code != 200 || len(calls) != 1 || len(calls[0].(authflow.CompleteInput).SAML.Response) != 384<<10 {
		t.Errorf("%d %.300s", a.code, a.body)
	}
	for size, reason := range map[int]string{384<<10 + 1: "FIELD_INVALID", 600 << 10: "MESSAGE_TOO_LARGE", 1300 << 10: "MESSAGE_TOO_LARGE", 3 << 20: "MESSAGE_TOO_LARGE"} {
		if got, _ := s.do(t, "POST", path, body(size), nil).reason(); got != reason {
			t.Errorf("%d bytes: %s, want %s", size, got, reason)
		}
	}
	linking := `{"requestId":"r","accountId":"a","email":"` + strings.Repeat("a", 300<<10) + `"}`
	if got, _ := s.do(t, "POST", "/v1/"+acmeFlow+":linkAccount", linking, nil).reason(); got != "MESSAGE_TOO_LARGE" {
		t.Errorf("LinkAccount takes 300 KiB: %s", got)
	}
	if calls := e.calls(); len(calls) != 0 {
		t.Errorf("a use case was reached: %d", len(calls))
	}
}

func TestFederationOverJSON(t *testing.T) {
	e := &elsewhere{links: []authflow.Link{{AccountID: acctMia, By: authflow.LinkedNew}}}
	s := newSite(t, e.serve)
	e.say(authflow.Answer{Repeated: true}, nil)
	identity := acme + "/identities/" + strings.Repeat("00", 32)
	for _, tt := range []struct{ method, path, body, want string }{
		{"POST", acmeFlow + ":beginFederation", `{"requestId":"r","connection":"okta","maxAge":"60s","acrValues":["a"]}`, `"browserToken":"` + secretBrowser},
		{"POST", acmeFlow + ":completeFederation", `{"requestId":"r","browserToken":"b","oidcCallback":{"state":"s","code":"c"}}`, `"subjectId":"sub-1"`},
		{"POST", acme + "/sites/wiki:completeFederation", `{"requestId":"r","connection":"okta","samlResponse":{"samlResponse":"x"}}`, `"repeatedAnswer":true`},
		{"POST", acmeFlow + ":linkAccount", `{"requestId":"r","accountId":"a","newAccount":true}`, `"repeatedAnswer":true`},
		{"GET", acme + "/identities?accountId=acct-mia", "", `"linkedBy":"NEW_ACCOUNT"`},
		{"POST", identity + ":unlink", `{"requestId":"r","reason":"left"}`, "{}"},
	} {
		if a := s.do(t, tt.method, "/v1/"+tt.path, tt.body, nil); a.code != 200 || !strings.Contains(a.body, tt.want) {
			t.Errorf("%s: %d %s", tt.path, a.code, a.body)
		}
	}
	calls := e.calls()
	if len(calls) != 6 || calls[0].(authflow.BeginInput).MaxAge != time.Minute || calls[2].(authflow.CompleteInput).Site != "wiki" || !calls[2].(authflow.CompleteInput).Flow.IsZero() {
		t.Errorf("asked %+v", calls)
	}
	for name, body := range map[string]string{
		"two kinds of evidence": `{"requestId":"r","browserToken":"b","oidcCallback":{"code":"` + secretCode + `"},"oidcToken":{"idToken":"` + secretToken + `"}}`,
		"an unknown field":      `{"requestId":"r","browserToken":"b","oidcCallback":{"code":"` + secretCode + `","nonce":"` + secretNonce + `"}}`,
		"a wrong type":          `{"requestId":"r","browserToken":["` + secretBrowser + `"],"oidcCallback":{"code":"c"}}`,
	} {
		a := s.do(t, "POST", "/v1/"+acmeFlow+":completeFederation", body, nil)
		if reason, _ := a.reason(); a.code != 400 || reason != "REQUEST_MALFORMED" || strings.Contains(a.body, "CANARY") {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if strings.Contains(s.log.String(), "CANARY") {
		t.Errorf("a secret is in the log:\n%s", s.log.String())
	}
}
