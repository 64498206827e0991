package show_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestJSONIsOneHarmlessLineWithTheSameMeaning(t *testing.T) {
	e := &posternv1.Event{Id: "1", Type: "password.rejected", Personal: &posternv1.Personal{
		Detail: "a\u202eb\u009b31m\n\u2028\U000e0041 Zoë 😀 \"quoted\" \\", DisplayName: "<b>&"}}
	first, err := show.JSON(e)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // protojson varies its white space
		if again, err := show.JSON(e); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%s and %s, %v", first, again, err)
		}
	}
	if strings.ContainsAny(string(first), "\u202e\u009b\u2028\U000e0041") || bytes.Count(first, []byte("\n")) != 1 {
		t.Errorf("%q", first)
	}
	var back posternv1.Event
	if err := protojson.Unmarshal(first, &back); err != nil || !proto.Equal(e, &back) {
		t.Errorf("%s reads back as %v, %v", first, &back, err)
	}
}

func TestTablesInPipesHaveNoEmptyColumns(t *testing.T) {
	var out bytes.Buffer
	if err := show.Table(&out, []string{"A", "B", "C"}, [][]string{{"1", "", "x\x1b[2J"}, {"22", "y", "z"}}); err != nil {
		t.Fatal(err)
	}
	want := "A   B  C\n1   -  x\\x1b[2J\n22  y  z\n"
	if out.String() != want {
		t.Errorf("got\n%q, want\n%q", out.String(), want)
	}
}

func TestAFlowReadsAsAStory(t *testing.T) {
	at := func(ms int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 11, 20, 8, 0, 0, ms*1e6, time.UTC))
	}
	flow := &posternv1.Flow{
		Id: "0190", Organization: "acme", Site: "portal", SupportCode: "K3J9Z-8Q2WM", Class: posternv1.Class_CLASS_EXTERNAL, Recorded: true,
		StartTime: at(1), EndTime: at(9), Ending: posternv1.Ending_ENDING_DENIED, Reason: "SSO_REQUIRED",
		Personal: &posternv1.Personal{Email: "eve\u202e@partner.example", AccountId: "a-1"},
		Steps: []*posternv1.Event{
			{Step: 1, Time: at(1), Type: "sign_in.started", Provisional: true, Class: posternv1.Class_CLASS_EXTERNAL},
			{Step: 2, Time: at(5), Type: "password.verified", Method: "password", Evidence: posternv1.Evidence_EVIDENCE_ASSERTED, Counts: proto.Bool(false), Reason: "SSO_REQUIRED"},
			{Step: 3, Time: at(9), Type: "sign_in.denied", Reason: "SSO_REQUIRED"},
		},
		Decision: &posternv1.Decision{
			Source: "RULE", Rule: "partners", PolicyRevision: 4, Verdict: posternv1.Verdict_VERDICT_DENY, Reason: "SSO_REQUIRED",
			Demands: []*posternv1.Demand{{Kind: "SSO", Connection: "partner-idp", Reason: "SSO_REQUIRED"}, {Kind: "MFA", Factors: []string{"TOTP", "WEBAUTHN"}, MaxAge: durationpb.New(12 * time.Hour), Met: true, MetByStep: 2}},
			WouldBe: &posternv1.WouldBe{Verdict: posternv1.Verdict_VERDICT_DENY, Rule: "later", Reason: "MFA_REQUIRED"},
		},
	}
	var out bytes.Buffer
	if err := show.Flow(&out, flow); err != nil {
		t.Fatal(err)
	}
	want := `K3J9Z-8Q2WM  EXTERNAL at acme/portal  DENIED (SSO_REQUIRED)
  flow 0190, started 2026-11-20 08:00:00.001Z, ended 2026-11-20 08:00:00.009Z
  eve\u202e@partner.example, account a-1
   1  08:00:00.001  sign_in.started              provisionally EXTERNAL
   2  08:00:00.005  password.verified  asserted  SSO_REQUIRED, does not count
   3  08:00:00.009  sign_in.denied               SSO_REQUIRED
  Rule partners (policy revision 4) demands single sign-on through partner-idp (unmet: SSO_REQUIRED), ` +
		`a second factor by TOTP or WEBAUTHN of at most 12h (met by step 2). Verdict DENY: SSO_REQUIRED. ` +
		`If report-only rules were enforced, rule later would decide: DENY, MFA_REQUIRED.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
