package test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

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
func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
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
