package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	beginMethod    = "/postern.v1.SignInService/BeginFederation"
	completeMethod = "/postern.v1.SignInService/CompleteFederation"
)

func completing(change func(*posternv1.CompleteFederationRequest)) *posternv1.CompleteFederationRequest {
	r := &posternv1.CompleteFederationRequest{Flow: acmeFlow, RequestId: "h-1", BrowserToken: secretBrowser,
		Evidence: &posternv1.CompleteFederationRequest_OidcCallback{OidcCallback: &posternv1.OidcCallback{State: secretState, Code: secretCode}}}
	change(r)
	return r
}

// TestHostileCallsOfSignInsElsewhereReachNothingAndAreRecorded plays calls that must be refused before any use case sees them.
func TestHostileCallsOfSignInsElsewhereReachNothingAndAreRecorded(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	c := posternv1.NewSignInServiceClient(w.dial(t))
	ctx := testContext(t)
	complete := func(change func(*posternv1.CompleteFederationRequest)) func() error {
		return func() error { _, err := c.CompleteFederation(ctx, completing(change)); return err }
	}
	begin := func(change func(*posternv1.BeginFederationRequest)) func() error {
		return func() error {
			r := &posternv1.BeginFederationRequest{Flow: acmeFlow, RequestId: "h-2", Connection: "okta", LoginHint: secretState}
			change(r)
			_, err := c.BeginFederation(ctx, r)
			return err
		}
	}
	link := func(change func(*posternv1.LinkAccountRequest)) func() error {
		return func() error {
			r := &posternv1.LinkAccountRequest{Flow: acmeFlow, RequestId: "h-3", AccountId: "a-1"}
			change(r)
			_, err := c.LinkAccount(ctx, r)
			return err
		}
	}
	type request = posternv1.CompleteFederationRequest
	for what, tt := range map[string]struct {
		call   func() error
		reason string
		system bool // recorded there
	}{
		"complete: no evidence":        {complete(func(r *request) { r.Evidence = nil }), "FIELD_REQUIRED", false},
		"complete: no cookie":          {complete(func(r *request) { r.BrowserToken = "" }), "FIELD_REQUIRED", false},
		"complete: endless cookie":     {complete(func(r *request) { r.BrowserToken += strings.Repeat("x", 128) }), "FIELD_INVALID", false},
		"complete: endless code":       {complete(func(r *request) { r.GetOidcCallback().Code += strings.Repeat("x", 4096) }), "FIELD_INVALID", false},
		"complete: NUL in the code":    {complete(func(r *request) { r.GetOidcCallback().Code += "\x00" }), "FIELD_INVALID", false},
		"complete: a line in state":    {complete(func(r *request) { r.GetOidcCallback().State += "\r\nSet-Cookie: a" }), "FIELD_INVALID", false},
		"complete: another's begin":    {complete(func(r *request) { r.Connection = "okta" }), "FIELD_UNEXPECTED", false},
		"complete: flow and site":      {complete(func(r *request) { r.Site = acme + "/sites/wiki" }), "FIELD_UNEXPECTED", false},
		"complete: neither":            {complete(func(r *request) { r.Flow = "" }), "NAME_INVALID", true},
		"complete: malformed flow":     {complete(func(r *request) { r.Flow = acme + "/flows/" + secretCode }), "FLOW_ID_INVALID", true},
		"complete: a code unsolicited": {complete(func(r *request) { r.Flow, r.Site, r.BrowserToken = "", acme+"/sites/wiki", "" }), "FIELD_REQUIRED", false},
		"complete: a code, expected":   {complete(func(r *request) { r.Expectations = &posternv1.Expectations{Nonce: secretNonce} }), "FIELD_UNEXPECTED", false},
		"complete: cookie and nonce": {complete(func(r *request) {
			r.Expectations = &posternv1.Expectations{Nonce: secretNonce}
			r.Evidence = &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: secretToken}}
		}), "FIELD_UNEXPECTED", false},
		"complete: 500 KiB of SAML": {complete(func(r *request) {
			r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: secretForm + strings.Repeat("A", 500<<10)}}
		}), "FIELD_INVALID", false},
		"begin: no connection":    {begin(func(r *posternv1.BeginFederationRequest) { r.Connection = "" }), "FIELD_REQUIRED", false},
		"begin: ../connection":    {begin(func(r *posternv1.BeginFederationRequest) { r.Connection = "../okta" }), "FIELD_INVALID", false},
		"begin: endless callback": {begin(func(r *posternv1.BeginFederationRequest) { r.CallbackUrl = strings.Repeat("h", 2049) }), "FIELD_INVALID", false},
		"begin: two days":         {begin(func(r *posternv1.BeginFederationRequest) { r.MaxAge = durationpb.New(48 * time.Hour) }), "FIELD_INVALID", false},
		"begin: smuggled class":   {begin(func(r *posternv1.BeginFederationRequest) { r.AcrValues = []string{"a b"} }), "FIELD_INVALID", false},
		"link: nobody":            {link(func(r *posternv1.LinkAccountRequest) { r.AccountId = "" }), "FIELD_REQUIRED", false},
		"link: no address":        {link(func(r *posternv1.LinkAccountRequest) { r.Email = secretNonce }), "ADDRESS_NO_AT", false},
		"link: NUL":               {link(func(r *posternv1.LinkAccountRequest) { r.AccountId = "a\x00" }), "FIELD_INVALID", false},
	} {
		err := tt.call()
		id := failed(t, err, "INVALID_ARGUMENT", tt.reason)
		event := w.one(t)
		uid := acmeUID
		if tt.system {
			uid = audit.SystemUID
		}
		if event.Denial.Reason != tt.reason || event.Denial.CallID != id || event.OrganizationUID != uid {
			t.Errorf("%s: recorded in %s as %+v", what, event.OrganizationUID, event.Denial)
		}
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: the error has a value: %v", what, err)
		}
	}
	if calls := e.calls(); len(calls) != 0 {
		t.Errorf("use cases were asked %+v", calls)
	}
	if strings.Contains(w.log.String(), "CANARY") {
		t.Errorf("a value is in the log:\n%s", w.log.String())
	}
}

// TestBytesThatAreNoRequestOfASignInElsewhere sends what no client library would.
func TestBytesThatAreNoRequestOfASignInElsewhere(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	conn := w.dial(t, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	text := func(field protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), value)
	}
	inside := func(field protowire.Number, inner []byte) []byte { return text(field, string(inner)) }
	for what, tt := range map[string]struct {
		method, reason string
		bytes          []byte
	}{
		"not UTF-8 in a code":      {completeMethod, "REQUEST_MALFORMED", inside(4, text(2, secretCode+"\xff"))},
		"not UTF-8 in a hint":      {beginMethod, "REQUEST_MALFORMED", text(5, secretState+"\xfe")},
		"cut short":                {completeMethod, "REQUEST_MALFORMED", text(3, secretBrowser)[:12]},
		"a group for a message":    {completeMethod, "REQUEST_MALFORMED", append(protowire.AppendTag(nil, 4, protowire.StartGroupType), secretCode...)},
		"600 KiB":                  {completeMethod, "MESSAGE_TOO_LARGE", inside(6, text(1, strings.Repeat("A", 600<<10)))},
		"300 KiB to begin with":    {beginMethod, "MESSAGE_TOO_LARGE", text(5, strings.Repeat("A", 300<<10))},
		"evidence of two kinds":    {completeMethod, "FIELD_REQUIRED", append(inside(4, text(2, secretCode)), inside(5, nil)...)}, // the last counts
		"nothing at all":           {completeMethod, "FIELD_REQUIRED", nil},
		"nothing to begin with":    {beginMethod, "FIELD_REQUIRED", nil},
		"a field nobody knows":     {beginMethod, "FIELD_REQUIRED", text(999, secretCode)},
		"duration of nonsense":     {beginMethod, "FIELD_INVALID", inside(6, protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1<<62))},
		"as many classes as bytes": {beginMethod, "FIELD_INVALID", []byte(strings.Repeat(string(text(7, "")), 50_000))},
	} {
		var reply []byte
		err := conn.Invoke(testContext(t), tt.method, tt.bytes, &reply)
		if reason, id := reasonOf(err); reason != tt.reason || id == "" || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want %s", what, err, tt.reason)
		}
		if d := w.one(t).Denial; d.Reason != tt.reason || d.Method != tt.method {
			t.Errorf("%s: recorded as %+v", what, d)
		}
	}
	if len(e.calls()) != 0 || strings.Contains(w.log.String(), "CANARY") {
		t.Errorf("a use case was asked, or the log says too much:\n%s", w.log.String())
	}
}

// TestCallsInTheWrongStateAreAnsweredAsTheUseCaseSays plays what only the flow can know.
func TestCallsInTheWrongStateAreAnsweredAsTheUseCaseSays(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	c := posternv1.NewSignInServiceClient(w.dial(t))
	for reason, tt := range map[string]struct {
		fail error
		code string
	}{
		"FLOW_ENDED":         {errs.New(errs.FailedPrecondition, authflow.ErrFlowEnded, "it has ended"), "FAILED_PRECONDITION"},
		"NOT_BOUND":          {errs.New(errs.FailedPrecondition, authflow.ErrNotBound, "nobody was proven"), "FAILED_PRECONDITION"},
		"FLOW_NOT_FOUND":     {errs.New(errs.NotFound, authflow.ErrFlowNotFound, "there is none"), "NOT_FOUND"},
		"CONNECTION_UNKNOWN": {errs.Field("connection", authflow.ErrConnectionUnknown, "there is none"), "INVALID_ARGUMENT"},
		"REQUEST_ID_REUSED":  {errs.New(errs.AlreadyExists, authflow.ErrRequestIDReused, "it was another request"), "ALREADY_EXISTS"},
		"OUTCOME_UNKNOWN":    {errs.Wrap(context.DeadlineExceeded, errs.Unavailable, "OUTCOME_UNKNOWN", "nobody knows"), "UNAVAILABLE"},
	} {
		e.say(authflow.Answer{}, tt.fail)
		for name, call := range federationCalls(testContext(t), c) {
			_, err := call()
			if failed(t, err, tt.code, reason); t.Failed() {
				t.Fatalf("in %s", name)
			}
		}
	}
	// Refused evidence is an answer, not an error: the flow goes on, and names nobody.
	no := false
	e.say(authflow.Answer{Repeated: true, Outcome: authflow.Outcome{Reason: audit.ReasonReplayed, Step: 4, Counts: &no, Verdict: audit.VerdictContinue}}, nil)
	done, err := c.CompleteFederation(testContext(t), completing(func(*posternv1.CompleteFederationRequest) {}))
	a := done.GetAnswer()
	if err != nil || a.GetReason() != "REPLAYED" || a.GetCounts() || a.Counts == nil || !a.GetRepeatedAnswer() || a.GetStep() != 4 || done.GetIdentity() != nil {
		t.Errorf("%v, %v", done, err)
	}
}
