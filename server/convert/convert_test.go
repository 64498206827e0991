package convert_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

const (
	flowID   = "019365a0-0000-7000-8000-000000000001"
	flowName = "organizations/acme/flows/" + flowID
	siteName = "organizations/acme/sites/wiki"
)

func newConverter(t *testing.T) *convert.Converter {
	t.Helper()
	c, err := convert.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refused(t *testing.T, err error, reason, field string) {
	t.Helper()
	e := errs.As(err)
	if e == nil || e.Kind != errs.Invalid || e.Reason != reason || len(e.Violations) != 1 || e.Violations[0].Field != field {
		t.Errorf("got %v, want %s about %s", err, reason, field)
	}
}

func startRequest() *posternv1.StartFlowRequest {
	return &posternv1.StartFlowRequest{Parent: siteName, RequestId: "r-1"}
}

func TestAWholeStartFlowSurvives(t *testing.T) {
	verified := true
	r := startRequest()
	r.CorrelationId, r.Lifetime, r.OccurredAt = "c-1", durationpb.New(5*time.Minute), timestamppb.New(time.Unix(1e9, 0))
	r.Subject = &posternv1.Subject{AccountId: "a-1", Email: "Guest@Partner.com", EmailVerified: &verified, Kind: posternv1.SubjectKind_SUBJECT_KIND_PERSON, DisplayName: "Guest"}
	r.Context = &posternv1.Context{Ip: "::ffff:203.0.113.7", UserAgent: "curl/8", DeviceId: "d-1", Client: posternv1.Client_CLIENT_WEB}
	r.Steps = []*posternv1.StepReport{{
		Type: "sso.verified", Connection: "okta", Subject: r.GetSubject(), Amr: []string{"mfa"}, Acr: "urn:x", Detail: "two\nlines",
		Context: &posternv1.Context{Ip: "2001:db8::1"},
	}}
	r.Finish = &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}
	in, err := newConverter(t).StartFlow(r)
	if err != nil {
		t.Fatal(err)
	}
	if in.Organization != "acme" || in.Site != "wiki" || in.RequestID != "r-1" || in.CorrelationID != "c-1" || in.Lifetime != 5*time.Minute || in.OccurredAt.Unix() != 1e9 {
		t.Errorf("got %+v", in)
	}
	if in.Subject.Address.String() != "Guest@partner.com" || in.Subject.Identifier != "" || in.Subject.EmailVerified == nil || in.Subject.Kind != audit.SubjectPerson {
		t.Errorf("subject %+v", in.Subject)
	}
	if in.Context.IP != netip.MustParseAddr("203.0.113.7") || in.Context.Client != audit.ClientWeb {
		t.Errorf("context %+v", in.Context)
	}
	if len(in.Steps) != 1 || in.Steps[0].Type != audit.TypeSSOVerified || in.Steps[0].Context.IP.String() != "2001:db8::1" || in.Steps[0].AMR[0] != "mfa" {
		t.Errorf("steps %+v", in.Steps)
	}
	if in.Finish == nil || in.Finish.Action != authflow.ActionComplete {
		t.Errorf("finish %+v", in.Finish)
	}
}

func TestWhatIsNoAddressGoesOnlyWhereItIsHashed(t *testing.T) {
	const typed = "correct horse battery staple"
	r := startRequest()
	r.Subject = &posternv1.Subject{Email: typed}
	in, err := newConverter(t).StartFlow(r)
	if err != nil {
		t.Fatal(err)
	}
	if in.Subject.Identifier != typed || !in.Subject.Address.IsZero() {
		t.Errorf("subject %+v", in.Subject)
	}
	in.Subject.Identifier = ""
	if strings.Contains(fmt.Sprintf("%+v", in), "horse") {
		t.Errorf("the typed text is somewhere else too: %+v", in)
	}
}

func TestRequestsNameWhatIsMissingOrWrong(t *testing.T) {
	c := newConverter(t)
	step := func(change func(*posternv1.StepReport)) error {
		s := &posternv1.StepReport{Type: "password.verified"}
		change(s)
		_, err := c.ReportStep(&posternv1.ReportStepRequest{Flow: flowName, RequestId: "r", Step: s})
		return err
	}
	start := func(change func(*posternv1.StartFlowRequest)) error {
		r := startRequest()
		change(r)
		_, err := c.StartFlow(r)
		return err
	}
	session := func(change func(*posternv1.RecordSessionRequest)) error {
		r := &posternv1.RecordSessionRequest{
			Parent: siteName, RequestId: "r", Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: make([]byte, 16), Flow: flowName,
		}
		change(r)
		_, err := c.RecordSession(r)
		return err
	}
	for name, tt := range map[string]struct {
		err           error
		reason, field string
	}{
		"no request id":         {start(func(r *posternv1.StartFlowRequest) { r.RequestId = "" }), "FIELD_REQUIRED", "request_id"},
		"request id with space": {start(func(r *posternv1.StartFlowRequest) { r.RequestId = "a b" }), "FIELD_INVALID", "request_id"},
		"no parent":             {start(func(r *posternv1.StartFlowRequest) { r.Parent = "" }), "NAME_INVALID", "parent"},
		"parent of a flow":      {start(func(r *posternv1.StartFlowRequest) { r.Parent = flowName }), "NAME_INVALID", "parent"},
		"63 steps":              {start(func(r *posternv1.StartFlowRequest) { r.Steps = make([]*posternv1.StepReport, 63) }), "FIELD_INVALID", "steps"},
		"ip is a name":          {start(func(r *posternv1.StartFlowRequest) { r.Context = &posternv1.Context{Ip: "localhost"} }), "FIELD_INVALID", "context.ip"},
		"ip with zone":          {start(func(r *posternv1.StartFlowRequest) { r.Context = &posternv1.Context{Ip: "fe80::1%eth0"} }), "FIELD_INVALID", "context.ip"},
		"finish without action": {start(func(r *posternv1.StartFlowRequest) { r.Finish = &posternv1.Finish{} }), "FIELD_REQUIRED", "finish.action"},
		"unknown type":          {step(func(s *posternv1.StepReport) { s.Type = "password.guessed" }), "STEP_TYPE_UNKNOWN", "step.type"},
		"type of ours":          {step(func(s *posternv1.StepReport) { s.Type = "sign_in.succeeded" }), "STEP_TYPE_UNKNOWN", "step.type"},
		"family":                {step(func(s *posternv1.StepReport) { s.Type = "password." }), "STEP_TYPE_UNKNOWN", "step.type"},
		"connection with slash": {step(func(s *posternv1.StepReport) { s.Connection = "a/b" }), "FIELD_INVALID", "step.connection"},
		"step ip":               {step(func(s *posternv1.StepReport) { s.Context = &posternv1.Context{Ip: "x"} }), "FIELD_INVALID", "step.context.ip"},
		"handle of 15 bytes":    {session(func(r *posternv1.RecordSessionRequest) { r.SessionHandle = make([]byte, 15) }), "FIELD_INVALID", "session_handle"},
		"no handle":             {session(func(r *posternv1.RecordSessionRequest) { r.SessionHandle = nil }), "FIELD_REQUIRED", "session_handle"},
		"no event":              {session(func(r *posternv1.RecordSessionRequest) { r.Event = 0 }), "FIELD_REQUIRED", "event"},
		"flow of another":       {session(func(r *posternv1.RecordSessionRequest) { r.Flow = "organizations/other/flows/" + flowID }), "FIELD_INVALID", "flow"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, tt.err, tt.reason, tt.field) })
	}
}

func TestFlowsAreNamedByIDOrCode(t *testing.T) {
	c := newConverter(t)
	for in, want := range map[string]string{flowID: flowID, "abcde-fgh1j": "ABCDE-FGH1J", "ABCDEFGHOJ": "ABCDE-FGH0J"} {
		ref, err := c.GetFlow(&posternv1.GetFlowRequest{Name: "organizations/acme/flows/" + in})
		if err != nil || ref.IDOrCode != want || ref.Organization != "acme" {
			t.Errorf("%s: %+v, %v", in, ref, err)
		}
	}
	_, err := c.GetFlow(&posternv1.GetFlowRequest{Name: "organizations/acme/flows/" + strings.ToUpper(flowID)})
	refused(t, err, "FLOW_ID_INVALID", "name")
	_, err = c.GetFlow(&posternv1.GetFlowRequest{Name: "organizations/acme/flows/U-U"})
	refused(t, err, "SUPPORT_CODE_INVALID", "name")
}

// indexer makes indexes that tests can read.
type indexer struct{}

func (indexer) Indexes(uid string, p audit.Purpose, value string) ([]audit.Index, error) {
	return []audit.Index{{Purpose: p, Value: []byte(uid + "|" + value)}}, nil
}

func TestFiltersBecomeQueries(t *testing.T) {
	q, err := convert.Events(&posternv1.EventFilter{Include: &posternv1.EventMatch{
		Emails: []string{"Guest@Partner.COM"}, Types: []string{"password.*", "sso.verified"}, Networks: []string{"203.0.113.7", "2001:db8::/32"},
		Flows: []string{flowID}, Outcomes: []posternv1.Outcome{posternv1.Outcome_OUTCOME_FAILURE}, Sites: []string{"wiki"},
	}}, "uid-1", indexer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Subjects) != 1 || string(q.Subjects[0].Value) != "uid-1|guest@partner.com" || q.Subjects[0].Purpose != audit.IndexEmail {
		t.Errorf("subjects %q", q.Subjects)
	}
	if len(q.Networks) != 2 || string(q.Networks[0].Value) != "uid-1|203.0.113.7/32" || q.Networks[1].Purpose != audit.IndexNetwork8 {
		t.Errorf("networks %q", q.Networks)
	}
	if q.OrganizationUID != "uid-1" || len(q.Types) != 2 || q.Outcomes[0] != audit.OutcomeFailure || q.Flows[0] != flowID || q.Sites[0] != "wiki" {
		t.Errorf("query %+v", q)
	}
}

func TestFiltersThatCannotMeanWhatTheySayAreRefused(t *testing.T) {
	at := func(n int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(n, 0)) }
	match := func(m *posternv1.EventMatch) error {
		_, err := convert.Events(&posternv1.EventFilter{Include: m}, "u", indexer{})
		return err
	}
	_, err := convert.Events(&posternv1.EventFilter{StartTime: at(5), EndTime: at(5)}, "u", indexer{})
	refused(t, err, "FIELD_INVALID", "filter.end_time")
	refused(t, match(&posternv1.EventMatch{Types: []string{"pass*"}}), "FIELD_INVALID", "filter.include.types")
	refused(t, match(&posternv1.EventMatch{Types: []string{"nothing.*"}}), "FIELD_INVALID", "filter.include.types")
	refused(t, match(&posternv1.EventMatch{Types: []string{"*"}}), "FIELD_INVALID", "filter.include.types")
	refused(t, match(&posternv1.EventMatch{Networks: []string{"203.0.113.0/25"}}), "NETWORK_LENGTH", "filter.include.networks")
	refused(t, match(&posternv1.EventMatch{Networks: []string{"203.0.113.1/24"}}), "NETWORK_INVALID", "filter.include.networks")
	refused(t, match(&posternv1.EventMatch{Emails: []string{"nobody"}}), "ADDRESS_NO_AT", "filter.include.emails")
	refused(t, match(&posternv1.EventMatch{Outcomes: []posternv1.Outcome{0}}), "FIELD_INVALID", "filter.include.outcomes")
	refused(t, match(&posternv1.EventMatch{Emails: []string{"a@partner.com"}, AccountIds: []string{"a"}}), "FIELD_UNEXPECTED", "filter.include.account_ids")
	_, err = convert.Flows(&posternv1.FlowFilter{SupportCodes: []string{"12345"}}, "u", indexer{})
	refused(t, err, "SUPPORT_CODE_INVALID", "filter.support_codes")
}

func TestPageSizesAreCoerced(t *testing.T) {
	for in, want := range map[int32]int{0: 100, 1: 1, 1000: 1000, 1001: 1000, 1 << 30: 1000} {
		if got := convert.PageSize(in); got != want {
			t.Errorf("%d: %d, want %d", in, got, want)
		}
	}
}

func TestExplainTakesAnAddressThatIsNotUsableAsAnAnswer(t *testing.T) {
	q, err := newConverter(t).Explain(&posternv1.ExplainRequest{Site: siteName, Email: "no address", Method: "sso:okta"})
	if err != nil || q.AddressReason == "" || !q.Address.IsZero() || q.Method.Token != "sso" || q.Method.Connection != "okta" {
		t.Errorf("%+v, %v", q, err)
	}
	_, err = newConverter(t).Explain(&posternv1.ExplainRequest{Site: siteName, Method: "password:x"})
	refused(t, err, "METHOD_CONNECTION", "method")
}
