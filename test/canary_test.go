package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

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
	r := newRig(t, "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_LOG_LEVEL=debug", "POSTERN_DEADLINES_CALL=2s")
	s := &canaries{t: t, p: r.start("all", "signin", "archiver", "api")}
	s.apply()
	s.signIns()
	s.refusals()
	s.reads()
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

// signIns plays what succeeds.
func (s *canaries) signIns() {
	must := s.p.must2
	typed := &posternv1.Subject{Email: canaryTyped, AccountId: canaryAccount}
	for _, id := range []string{"good", "typed", "held"} {
		must(s.start(id, func(r *posternv1.StartFlowRequest) {
			switch id {
			case "typed":
				r.Subject = &posternv1.Subject{Email: canaryTyped}
			case "held": // claimed: not recorded unless somebody else turns up
				r.Subject = &posternv1.Subject{AccountId: canaryClaim, Email: canaryClaimMail, DisplayName: canaryDisplay}
			}
		}))
		must(s.step(id+"-1", &posternv1.StepReport{Type: "password.rejected", Reason: "OTHER", Detail: canaryDetail, Subject: typed, Context: canaryContext()}))
		must(s.step(id+"-2", &posternv1.StepReport{Type: "sso.verified", Connection: "firm", Subject: canarySubject(canaryAccount), Detail: canaryDetail, Amr: []string{canaryAMR}, Acr: canaryACR}))
		must(s.step(id+"-3", &posternv1.StepReport{Type: "password.verified", Subject: canarySubject(canaryOther), Detail: canaryDetail}))
		must(s.step(id+"-4", &posternv1.StepReport{Type: "mfa.rejected", Factor: "SMS", Reason: "WRONG_CODE", Detail: canaryDetail, Subject: typed}))
		must(s.session(id+"-5", canaryHandle+id, posternv1.RecordSessionRequest_EVENT_STARTED, s.last))
		must(s.session(id+"-6", canaryHandle+id, posternv1.RecordSessionRequest_EVENT_ENDED, ""))
		must(s.finish(id+"-7", &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE, Detail: canaryDetail}))
	}
	must(s.start("whole", func(r *posternv1.StartFlowRequest) {
		r.OccurredAt = timestamppb.New(time.Now().Add(-time.Hour))
		r.Steps = []*posternv1.StepReport{{Type: "social.verified", Connection: "google", Subject: canarySubject(canaryListed), Detail: canaryDetail, OccurredAt: r.OccurredAt}}
		r.Finish = &posternv1.Finish{Action: posternv1.Finish_ACTION_REFUSE, Reason: "RISK_BLOCKED", Detail: canaryDetail}
	}))
	must(s.start("open", nil))
}

// refusals plays what is refused while everything works.
func (s *canaries) refusals() {
	no := func(what string, err error) {
		s.t.Helper()
		if err == nil {
			s.t.Errorf("%s was taken", what)
		}
	}
	for what, change := range map[string]func(*posternv1.StartFlowRequest){
		"unknown-site":         func(r *posternv1.StartFlowRequest) { r.Parent = canaryOrganization + "/sites/" + canaryName },
		"unknown-organization": func(r *posternv1.StartFlowRequest) { r.Parent = "organizations/" + canaryName + "/sites/door" },
		"name":                 func(r *posternv1.StartFlowRequest) { r.Parent = "//" + canaryPath },
		"ip":                   func(r *posternv1.StartFlowRequest) { r.Context.Ip = canaryWord },
		"long":                 func(r *posternv1.StartFlowRequest) { r.Subject.AccountId = strings.Repeat(canaryAccount, 20) },
		"control":              func(r *posternv1.StartFlowRequest) { r.Subject.DisplayName = canaryDisplay + "\x00" },
		"step":                 func(r *posternv1.StartFlowRequest) { r.Steps = []*posternv1.StepReport{{Type: canaryWord}} },
		"good":                 func(r *posternv1.StartFlowRequest) { r.Subject.DisplayName += "!" }, // its request id was used
	} {
		no(what, s.start(what, change))
	}
	for i, step := range []*posternv1.StepReport{
		{Type: "mfa.verified", Factor: "TOTP", Subject: canarySubject(canaryAccount), Detail: canaryDetail},
		{Type: "password.rejected", Reason: canaryWord, Detail: canaryDetail}, {Type: "sso.started", Connection: canaryName},
		{Type: "mfa.rejected", Factor: canaryWord}, {Type: "passwordless.started", Method: "canary_0_method"}, {Type: "canary0.type"},
		{Type: "password.verified", Subject: &posternv1.Subject{Email: canaryTyped}}, {Type: "password.rejected", Reason: "OTHER"},
	} {
		no(fmt.Sprintf("step %d", i), s.step(fmt.Sprintf("bad-%d", i), step))
	}
	no("a reason that is none", s.finish("bad-f", &posternv1.Finish{Action: posternv1.Finish_ACTION_REFUSE, Reason: canaryWord, Detail: canaryDetail}))
	no("a session twice", s.session("bad-s1", canaryHandle+"good", posternv1.RecordSessionRequest_EVENT_STARTED, s.last))
	no("an unknown session", s.session("bad-s2", canaryHandle+"unknown", posternv1.RecordSessionRequest_EVENT_ENDED, ""))
	no("a short handle", s.session("bad-s3", canaryHandle[:14], posternv1.RecordSessionRequest_EVENT_ENDED, ""))
	open := s.last
	s.last = canaryOrganization + "/flows/" + canaryName
	no("an unknown flow", s.step("bad-u", &posternv1.StepReport{Type: "password.verified", Subject: canarySubject(canaryAccount)}))
	s.last = open
}

// reads asks for the record in good ways and bad ones.
func (s *canaries) reads() {
	f, e := posternv1.NewFlowServiceClient(s.p.conn), posternv1.NewEventServiceClient(s.p.conn)
	d, x := posternv1.NewDirectoryServiceClient(s.p.conn), posternv1.NewPolicyServiceClient(s.p.conn)
	note := func(m proto.Message, err error) { _ = s.told(m, err) }
	for _, tail := range []string{s.last[strings.LastIndexByte(s.last, '/')+1:], canaryName, canaryPath} {
		m1, err := f.GetFlow(s.ctx(), &posternv1.GetFlowRequest{Name: canaryOrganization + "/flows/" + tail})
		note(m1, err)
		m2, err := e.GetEvent(s.ctx(), &posternv1.GetEventRequest{Name: canaryOrganization + "/events/" + tail})
		note(m2, err)
	}
	for _, mail := range []string{canaryEmail, canaryTyped} {
		m1, err := f.ListFlows(s.ctx(), &posternv1.ListFlowsRequest{Parent: canaryOrganization, Filter: &posternv1.FlowFilter{Emails: []string{mail}}})
		note(m1, err)
		m2, err := e.ListEvents(s.ctx(), &posternv1.ListEventsRequest{Parent: canaryOrganization, Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Emails: []string{mail}}}})
		note(m2, err)
		m3, err := x.Explain(s.ctx(), &posternv1.ExplainRequest{Site: canarySite, Email: mail, AccountId: canaryListed, Context: canaryContext()})
		note(m3, err)
	}
	m1, err := e.ListEvents(s.ctx(), &posternv1.ListEventsRequest{Parent: canaryOrganization, PageToken: canaryToken})
	s.refused("a page token that is none", m1, err)
	m2, err := d.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: canaryOrganization})
	note(m2, err)
	m3, err := d.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: "organizations/" + canaryName})
	s.refused("an unknown organization", m3, err)
	m4, err := d.ListOrganizations(s.ctx(), &posternv1.ListOrganizationsRequest{PageToken: canaryToken})
	s.refused("a page token that is none", m4, err)
	w, err := e.WatchEvents(s.ctx(), &posternv1.WatchEventsRequest{Parent: canaryOrganization, Cursor: canaryToken})
	s.p.must2(err)
	m5, err := w.Recv()
	s.refused("a cursor that is none", m5, err)
	wf, err := f.WatchFlow(s.ctx(), &posternv1.WatchFlowRequest{Name: canaryOrganization + "/flows/" + canaryName})
	s.p.must2(err)
	m6, err := wf.Recv()
	s.refused("an unknown flow", m6, err)
}

// raw sends bytes as they are.
type raw struct{ encoding.Codec }

func (raw) Name() string                    { return "proto" }
func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil } //nolint:forcetypeassert // only this test's values
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }

// broken sends what is no request.
func (s *canaries) broken() {
	for _, method := range []string{"/postern.v1.SignInService/StartFlow", "/postern.v1.SignInService/" + canaryPath, "/" + canaryPath + "/x"} {
		for _, body := range [][]byte{[]byte(canaryBody), append([]byte{0x0a, 12}, "\xffcanary0body"...), bytes.Repeat([]byte(canaryBody), 200_000)} {
			var out []byte
			if err := s.p.conn.Invoke(s.ctx(), method, &body, &out, grpc.ForceCodec(raw{})); err == nil {
				s.t.Errorf("%s took %d bytes of nothing", method, len(body))
			} else {
				_ = s.told(nil, err)
			}
		}
	}
}

// overHTTP does the same through the gateway, with the key and without.
func (s *canaries) overHTTP() {
	m := regexp.MustCompile(`"http":"(127\.0\.0\.1:[0-9]+)"`).FindStringSubmatch(strings.Join(s.p.logged(`"serving"`), ""))
	key, err := os.ReadFile(filepath.Join(s.p.rig.data, "http.key"))
	if m == nil || err != nil {
		s.t.Fatalf("no HTTP: %v, %v", m, err)
	}
	flows := "/v1/" + canarySite + "/flows"
	good := `{"requestId":"h-1","subject":{"email":"` + canaryTyped + `","accountId":"` + canaryAccount + `","displayName":"` + canaryDisplay + `"}}`
	for _, auth := range []string{"Bearer " + string(key), "Bearer " + canaryBearer, "Basic " + canaryBearer, ""} {
		for _, c := range []struct{ method, path, kind, body string }{
			{"POST", flows, "application/json", good}, {"POST", flows, "text/plain", canaryBody},
			{"POST", flows, "application/json", `{"requestId":"h-2","lifetime":"` + canaryBody + `"}`},
			{"POST", flows, "application/json", `{"requestId":"` + canaryBody + `"`},
			{"POST", flows, "application/json", `{"subject":{"kind":"` + canaryWord + `"}}`},
			{"POST", flows + "?x=1", "application/json", good},
			{"GET", "/v1/" + canaryOrganization + "/events?pageToken=" + canaryToken, "", ""},
			{"GET", "/v1/" + canaryOrganization + "/events?pageSize=" + canaryToken, "", ""},
			{"GET", "/v1/" + canaryOrganization + "/events/" + canaryName, "", ""},
			{"GET", "/v1/" + canaryOrganization + "/flows/" + canaryName, canaryBody + ";=", ""},
			{"GET", "/" + canaryPath, "", ""}, {"PUT", "/v1/" + canaryPath, "application/json", good}, {"DELETE", flows, "application/json", canaryBody},
		} {
			r, err := http.NewRequestWithContext(s.ctx(), c.method, "http://"+m[1]+c.path, strings.NewReader(c.body))
			s.p.must2(err)
			r.Header.Set("Content-Type", c.kind)
			for name, v := range map[string]string{"Authorization": auth, "Grpc-Metadata-Postern-Principal": "key:local", "X-Forwarded-For": canaryMetadata,
				"X-Forwarded-Host": canaryMetadata, "Accept": canaryMetadata + ";=", "X-Canary": canaryMetadata, "Cookie": "s=" + canaryHandle} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			a, err := http.DefaultClient.Do(r)
			s.p.must2(err)
			b, err := io.ReadAll(a.Body)
			s.p.must2(err)
			_ = a.Body.Close()
			s.errors.Write(append(b, '\n'))
			if strings.Contains(auth, string(key)) == (a.StatusCode == http.StatusUnauthorized) && c.path != "/"+canaryPath && c.method != "PUT" && c.method != "DELETE" {
				s.t.Errorf("%s %s with %q: %d", c.method, c.path, auth[:min(12, len(auth))], a.StatusCode)
			}
		}
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		_, body := s.p.get(path)
		s.errors.WriteString(body)
	}
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
