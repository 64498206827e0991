package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Canaries: each stands for one thing a caller sends. Nothing else in the process, its tests or its documents looks like them.
const (
	// Nowhere at all, not even in an answer.
	canaryTyped    = "Canary0typed&hunter2"
	canaryHandle   = "canary0handle0sessions0cookie000"
	canaryBearer   = "canary0bearer0of0somebody0else00"
	canaryMetadata = "canary0metadata"
	canaryBody     = "canary0body"
	canaryPath     = "canary0path"
	canaryToken    = "canary0token"
	canaryName     = "canary-0-name" // an id that names nothing
	canaryWord     = "CANARY_0_WORD" // a reason that is none

	// Sealed: in answers of the record, and nowhere outside them.
	canaryEmail     = "Canary0mail@canary0domain.com"
	canaryAccount   = "canary0account"
	canaryOther     = "canary0other0account"
	canaryDisplay   = "Canary0 Display"
	canaryAgent     = "canary0agent/1.0"
	canaryDevice    = "canary0device"
	canaryIP        = "198.51.100.77"
	canaryDetail    = "canary0detail"
	canaryAMR       = "canary0amr"
	canaryACR       = "canary0acr"
	canaryClaim     = "canary0claim"
	canaryClaimMail = "canary0claim@canary0claims.com"
	canaryListed    = "canary0listed"
	canaryWhy       = "canary0why"

	// In the clear by design: it proves that the search finds what is there.
	canaryCorrelation = "canary0correlation"

	canaryOrganization = "organizations/canary"
	canarySite         = canaryOrganization + "/sites/door"
	canaryDocument     = `
organization: canary
display_name: Birds
sites: [{id: door}]
connections: [{id: google, kind: SOCIAL}, {id: firm, kind: SSO, protocol: OIDC}]
claims:
  accounts: [` + canaryClaim + `]
  addresses: [` + canaryClaimMail + `]
policy:
  account_lists: [{name: few, accounts: [` + canaryListed + `]}]
  rules: [{id: listed, match: {account_lists: [few]}, demands: {mfa: {factors: [TOTP], evidence: asserted}}}]
`
)

func secrets() []string {
	return []string{canaryTyped, canaryHandle, canaryBearer, canaryMetadata, canaryBody, canaryPath, canaryToken, canaryName, canaryWord}
}

func sealed() []string {
	return []string{canaryEmail, "canary0domain", canaryAccount, canaryOther, canaryDisplay, canaryAgent, canaryDevice, canaryIP, canaryDetail,
		canaryAMR, canaryACR, canaryClaim, "canary0claims", canaryListed, canaryWhy}
}

// TestCanaries sends a canary in every field of every method, on good paths and bad ones, with Redis there and away, and looks
// for them in the log, in everything Redis ever wrote to its disk, in every file of the process, in metrics and readiness, in
// errors and in answers.
func TestCanaries(t *testing.T) {
	t.Parallel()
	r := newRig(t, "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_LOG_LEVEL=debug", "POSTERN_DEADLINES_CALL=2s")
	s := &canaries{t: t, p: r.start("all", "signin", "archiver", "api")}
	s.apply()
	s.signIns()
	s.refusals()
	s.reads()
	s.accounts()
	s.broken()
	s.overHTTP()
	r.redis.Pause()
	s.away("paused")
	r.redis.Resume()
	r.redis.Kill()
	s.away("dead")
	r.redis.Restart()
	s.p.awaitServing()
	s.p.must2(s.start("after", nil))
	events := s.archived()
	s.search(events)
	s.logLines()
}

// logLines: the log is JSON and nothing else, whoever writes to it, and says nothing twice.
func (s *canaries) logLines() {
	for _, l := range s.p.logged("") {
		if l == "" {
			continue
		}
		if !json.Valid([]byte(l)) || strings.Count(l, `"call_id":`) > 1 {
			s.t.Errorf("a line of the log: %s", l)
			return
		}
	}
}

// canaries is the story with everything it was answered.
type canaries struct {
	t       *testing.T
	p       *process
	answers bytes.Buffer // of calls that succeeded
	errors  bytes.Buffer // of calls that failed, with their details
	last    string       // flow of the last start
}

func (p *process) must2(err error) {
	p.rig.t.Helper()
	if err != nil {
		p.rig.t.Fatal(err)
	}
}

// told keeps what a call was answered, and returns its error.
func (s *canaries) told(m proto.Message, err error) error {
	if err != nil {
		b, _ := protojson.Marshal(status.Convert(err).Proto())
		fmt.Fprintf(&s.errors, "%v\n%s\n", err, b)
		return err
	}
	b, err := protojson.Marshal(m)
	s.p.must2(err)
	s.answers.Write(append(b, '\n'))
	return nil
}

// refused is told for a call that must fail.
func (s *canaries) refused(what string, m proto.Message, err error) {
	s.t.Helper()
	if s.told(m, err) == nil {
		s.t.Errorf("%s was taken", what)
	}
}

func (s *canaries) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	s.t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "x-anything", canaryMetadata, "postern-principal", canaryMetadata, "authorization", "Bearer "+canaryBearer)
}

func canarySubject(account string) *posternv1.Subject {
	return &posternv1.Subject{AccountId: account, Email: canaryEmail, EmailVerified: proto.Bool(true), DisplayName: canaryDisplay}
}

func canaryContext() *posternv1.Context {
	return &posternv1.Context{Ip: canaryIP, UserAgent: canaryAgent, DeviceId: canaryDevice, Client: posternv1.Client_CLIENT_WEB}
}

func (s *canaries) apply() {
	d := posternv1.NewDirectoryServiceClient(s.p.conn)
	apply := func(id, document, etag string) (*posternv1.ApplyOrganizationResponse, error) {
		return d.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: canaryOrganization, Document: document, RequestId: id, Etag: etag, Reason: canaryWhy})
	}
	a, err := apply("a-1", canaryDocument, "")
	s.p.must2(s.told(a, err))
	for i, bad := range []string{
		"organization: canary\n" + canaryBody + ": 1\n", "organization: canary\nsites: [{id: \"" + canaryBody + "\"}]\n", "{" + canaryBody,
		"organization: other\ndisplay_name: " + canaryBody + "\n", "organization: canary\nclaims: {addresses: [" + canaryBody + "]}\n",
	} {
		_, err = apply(fmt.Sprintf("a-bad-%d", i), bad, "")
		// The operator's own document may be quoted to the operator; it goes nowhere else.
		if err == nil {
			s.t.Errorf("document %d was taken", i)
		}
	}
	a, err = apply("a-1", canaryDocument+"domains: [canary-other-bird.com]\n", "")
	s.refused("a request id used again", a, err)
	a, err = apply("a-2", canaryDocument, canaryToken)
	s.refused("an etag that is none", a, err)
}

// start opens a flow with everything in it.
func (s *canaries) start(id string, change func(*posternv1.StartFlowRequest)) error {
	r := &posternv1.StartFlowRequest{Parent: canarySite, RequestId: id, Subject: canarySubject(canaryAccount), Context: canaryContext(), CorrelationId: canaryCorrelation}
	if change != nil {
		change(r)
	}
	a, err := s.p.signIn().StartFlow(s.ctx(), r)
	if err == nil {
		s.last = a.GetFlow()
	}
	return s.told(a, err)
}

func (s *canaries) step(id string, step *posternv1.StepReport) error {
	a, err := s.p.signIn().ReportStep(s.ctx(), &posternv1.ReportStepRequest{Flow: s.last, RequestId: id, Step: step})
	return s.told(a, err)
}

func (s *canaries) finish(id string, f *posternv1.Finish) error {
	a, err := s.p.signIn().FinishFlow(s.ctx(), &posternv1.FinishFlowRequest{Flow: s.last, RequestId: id, Finish: f})
	return s.told(a, err)
}

func (s *canaries) session(id, handle string, event posternv1.RecordSessionRequest_Event, flow string) error {
	a, err := s.p.signIn().RecordSession(s.ctx(), &posternv1.RecordSessionRequest{
		Parent: canarySite, RequestId: id, Event: event, SessionHandle: []byte(handle), Flow: flow, Context: canaryContext()})
	return s.told(a, err)
}

// away calls while Redis answers nothing.
func (s *canaries) away(how string) {
	for i, err := range []error{
		s.start("away-"+how, nil), s.step("away-s-"+how, &posternv1.StepReport{Type: "password.verified", Subject: canarySubject(canaryAccount), Detail: canaryDetail}),
		s.session("away-h-"+how, canaryHandle+"away", posternv1.RecordSessionRequest_EVENT_STARTED, s.last),
	} {
		if reason := reason(err); reason != "NOT_RECORDED" && reason != "OUTCOME_UNKNOWN" {
			s.t.Errorf("Redis %s, call %d: %v", how, i, err)
		}
	}
}

// archived waits until nothing is on its way to the archive any more, and returns the record.
func (s *canaries) archived() []*posternv1.Event {
	s.t.Helper()
	var events []*posternv1.Event
	err := eventually(30*time.Second, func(context.Context) (err error) {
		if events, err = s.p.record(canaryOrganization); err != nil {
			return err
		}
		for _, e := range events {
			if e.GetType() == "sign_in.started" && strings.HasSuffix(s.last, e.GetFlow()) {
				return nil
			}
		}
		return fmt.Errorf("the last flow is not archived: %d events", len(events))
	})
	s.p.must2(err)
	for _, e := range events {
		_ = s.told(e, nil)
	}
	system, err := s.p.record("organizations/system")
	s.p.must2(err)
	for _, e := range system {
		b, err := protojson.Marshal(e)
		s.p.must2(err)
		s.errors.Write(b) // refusals hold nothing personal
	}
	if len(system) < 10 {
		s.t.Errorf("%d refusals on the record", len(system))
	}
	return events
}

// search looks everywhere.
func (s *canaries) search(events []*posternv1.Event) {
	dir := s.p.rig.redis.Client().ConfigGet(context.Background(), "dir").Val()["dir"]
	places := map[string][]byte{"errors": s.errors.Bytes()}
	for _, root := range []string{s.p.rig.data, dir} {
		s.p.must2(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			places[path] = b
			return err
		}))
	}
	stored := 0
	for place, b := range places {
		for _, c := range append(secrets(), sealed()...) {
			if f := form(b, c); f != "" {
				s.t.Errorf("%s is in %s as %s", c, place, f)
			}
		}
		if form(b, canaryCorrelation) != "" {
			stored++
		}
	}
	if stored < 2 {
		s.t.Errorf("what is stored in the clear was found in %d places: the search does not see Redis and the archive", stored)
	}
	answers := s.answers.Bytes()
	for _, c := range secrets() {
		if f := form(answers, c); f != "" {
			s.t.Errorf("%s is in an answer as %s", c, f)
		}
	}
	for _, c := range sealed() {
		if c != canaryListed && form(answers, c) == "" {
			s.t.Errorf("%s is not in the record either: it was lost, or never sent", c)
		}
	}
	if len(events) < 20 {
		s.t.Errorf("%d events in the record", len(events))
	}
}

// form says in which form a text is in b, "" when it is not.
func form(b []byte, text string) string {
	lower := bytes.ToLower(b)
	if bytes.Contains(lower, []byte(strings.ToLower(text))) {
		return "text"
	}
	if bytes.Contains(lower, []byte(hex.EncodeToString([]byte(text)))) {
		return "hex"
	}
	for shift := range 3 { // base64 depends on where the text begins
		whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + text))
		core := whole[4 : len(whole)-4]
		if bytes.Contains(b, []byte(core)) || bytes.Contains(b, []byte(strings.NewReplacer("+", "-", "/", "_").Replace(core))) {
			return "base64"
		}
	}
	return ""
}
