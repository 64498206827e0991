package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/rest"
)

const httpKey = "0123456789abcdef0123456789abcdef0123456789a"

// site is a world that is reached over HTTP alone.
type site struct {
	*world
	url    string
	ready  bool
	client *http.Client
}

func newSite(t *testing.T, change func(*server.Config)) *site {
	t.Helper()
	w := &world{outbox: newOutbox(), flows: newFlows(), archive: &archive{}, domains: &domains{}, log: &syncBuffer{}, served: make(chan error, 1)}
	s := &site{world: w, ready: true, client: &http.Client{Transport: &http.Transport{}}}
	c := w.config()
	c.UIDs = nil // the socket's rights never help here
	if change != nil {
		change(&c)
	}
	var err error
	if w.server, err = server.New(c); err != nil {
		t.Fatal(err)
	}
	gateway, err := rest.New(rest.Config{
		Key: secret.NewString(httpKey), Hosts: []string{"postern.internal"}, Record: w.server.Refusals().Record, Log: c.Log,
		Ready:   func() (bool, any) { return s.ready, map[string]string{"store": "EMBEDDED"} },
		Metrics: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("metric 1\n")) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.socket = filepath.Join(t.TempDir(), "s")
	socket, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	go func() { w.served <- w.server.Serve(server.Listeners{Socket: socket, Gateway: gateway.Listener()}) }()
	served := make(chan error, 1)
	go func() { served <- gateway.Serve(l) }()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := gateway.Shutdown(ctx); err != nil {
			t.Errorf("gateway: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("gateway: %v", err)
		}
		w.stop(t)
	})
	return s
}

type answer struct {
	code   int
	header http.Header
	body   string
	json   map[string]any
}

// reason returns the ErrorInfo's reason and call id.
func (a answer) reason() (string, string) {
	details, _ := a.json["details"].([]any)
	for _, d := range details {
		m, _ := d.(map[string]any)
		if m["@type"] == "type.googleapis.com/google.rpc.ErrorInfo" {
			meta, _ := m["metadata"].(map[string]any)
			id, _ := meta["call_id"].(string)
			reason, _ := m["reason"].(string)
			return reason, id
		}
	}
	return "", ""
}

// do sends a request with the key and a JSON body unless change says otherwise.
func (s *site) do(t *testing.T, method, path, body string, change func(*http.Request)) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(testContext(t), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+httpKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{code: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.json)
	return a
}

const (
	stepPath = "/v1/organizations/acme/flows/" + flowID + ":reportStep"
	stepBody = `{"requestId":"r-1","step":{"type":"password.rejected","reason":"BAD_CREDENTIALS"}}`
)

func TestACallOverHTTPIsServedAsTheKeysHolder(t *testing.T) {
	s := newSite(t, nil)
	a := s.do(t, "POST", stepPath, stepBody, func(r *http.Request) {
		r.Header.Set("Grpc-Metadata-Postern-Principal", "unix:0")
		r.Header.Set("Postern-Principal", "unix:0")
	})
	if a.code != 200 || a.json["verdict"] != "VERDICT_CONTINUE" || a.json["flow"] != "organizations/acme/flows/"+flowID {
		t.Errorf("%d %s", a.code, a.body)
	}
	if _, unset := a.json["supportCode"]; unset {
		t.Errorf("unpopulated fields are emitted: %s", a.body)
	}
	if len(s.flows.calls) != 1 || s.flows.calls[0].Principal != "key:local" {
		t.Errorf("callers %v", s.flows.calls)
	}
}

func TestWithoutTheKeyACallIsRefusedAndRecorded(t *testing.T) {
	s := newSite(t, nil)
	for name, tt := range map[string]struct {
		header, reason string
	}{
		"nothing": {"", "CREDENTIALS_MISSING"}, "another key": {"Bearer " + httpKey + "x", "CREDENTIALS_INVALID"}, "basic": {"Basic " + httpKey, "CREDENTIALS_INVALID"},
		"empty": {"Bearer ", "CREDENTIALS_INVALID"},
	} {
		for _, body := range []string{stepBody, "not JSON", ""} {
			a := s.do(t, "POST", stepPath, body, func(r *http.Request) {
				r.Header.Del("Authorization")
				r.Header.Set("Postern-Principal", "key:local")
				r.Header.Set("Grpc-Metadata-Postern-Principal", "key:local")
				if tt.header != "" {
					r.Header.Set("Authorization", tt.header)
				}
			})
			reason, id := a.reason()
			if a.code != 401 || reason != tt.reason || a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %d %s", name, a.code, a.body)
			}
			e := s.one(t)
			if e.OrganizationUID != audit.SystemUID || e.Caller != "none" || e.Denial.CallID != id || e.Denial.Method != "/postern.v1.SignInService/ReportStep" {
				t.Errorf("%s: recorded as %+v", name, e.Denial)
			}
		}
	}
	if len(s.flows.calls) != 0 || strings.Contains(s.log.String(), httpKey) {
		t.Error("a handler was reached, or the key is in the log")
	}
}

func TestWhatNeverBecomesACallIsRefusedAndRecorded(t *testing.T) {
	s := newSite(t, nil)
	for name, tt := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		code               int
		reason, uid, says  string
	}{
		"another host":       {"POST", stepPath, stepBody, func(r *http.Request) { r.Host = "evil.example:80" }, 403, "HOST_NOT_ALLOWED", acmeUID, ""},
		"no content type":    {"POST", stepPath, stepBody, func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "REQUEST_MALFORMED", acmeUID, ""},
		"a form":             {"POST", stepPath, stepBody, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "REQUEST_MALFORMED", acmeUID, ""},
		"not JSON":           {"POST", stepPath, "{", nil, 400, "REQUEST_MALFORMED", acmeUID, ""},
		"two JSON values":    {"POST", stepPath, stepBody + stepBody, nil, 400, "REQUEST_MALFORMED", acmeUID, ""},
		"an unknown field":   {"POST", stepPath, `{"requestId":"r","stepp":{}}`, nil, 400, "REQUEST_MALFORMED", acmeUID, `unknown field \"stepp\"`},
		"a wrong type":       {"POST", stepPath, `{"requestId":{"secret":"hunter2"}}`, nil, 400, "REQUEST_MALFORMED", acmeUID, "not that of this request"},
		"a field twice":      {"POST", stepPath, `{"requestId":"a","requestId":"b"}`, nil, 400, "REQUEST_MALFORMED", acmeUID, ""},
		"3 MiB":              {"POST", stepPath, `{"requestId":"` + strings.Repeat("a", 3<<20) + `"}`, nil, 413, "MESSAGE_TOO_LARGE", acmeUID, ""},
		"no such path":       {"GET", "/v1/nothing", "", nil, 404, "PATH_NOT_FOUND", audit.SystemUID, ""},
		"another method":     {"DELETE", stepPath, "{}", nil, 405, "PATH_NOT_FOUND", acmeUID, ""},
		"a preflight":        {"OPTIONS", stepPath, "{}", nil, 405, "PATH_NOT_FOUND", acmeUID, ""},
		"a body with GET":    {"GET", "/v1/organizations/acme/events", "{}", nil, 400, "REQUEST_MALFORMED", acmeUID, ""},
		"unknown parameter":  {"GET", "/v1/organizations/acme/events?filter.include.typs=x", "", nil, 400, "REQUEST_MALFORMED", acmeUID, "unknown query parameter filter.include.typs"},
		"a stream over HTTP": {"GET", "/v1/organizations/acme/events:watch", "", nil, 404, "PATH_NOT_FOUND", acmeUID, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, tt.method, tt.path, tt.body, tt.change)
			reason, id := a.reason()
			if a.code != tt.code || reason != tt.reason || !strings.Contains(a.body, tt.says) || strings.Contains(a.body, "hunter2") {
				t.Errorf("%d %s", a.code, a.body)
			}
			for h := range a.header {
				if strings.HasPrefix(h, "Access-Control") {
					t.Errorf("a permission for other origins: %s", h)
				}
			}
			if e := s.one(t); e.OrganizationUID != tt.uid || e.Denial.CallID != id || e.Denial.Reason != reason {
				t.Errorf("recorded as %s %+v", e.OrganizationUID, e.Denial)
			}
		})
	}
	if len(s.flows.calls) != 0 {
		t.Error("a handler was reached")
	}
}

func TestErrorsOfCallsKeepReasonAndCallIDOverHTTP(t *testing.T) {
	s := newSite(t, nil)
	s.flows.step = func(context.Context, authflow.StepInput) (authflow.Answer, error) {
		return authflow.Answer{}, errs.New(errs.Unavailable, "NOT_RECORDED", "try again")
	}
	a := s.do(t, "POST", stepPath, stepBody, nil)
	if reason, id := a.reason(); a.code != 503 || reason != "NOT_RECORDED" || id == "" || a.header.Get("Retry-After") != "1" || a.json["code"] != float64(14) {
		t.Errorf("%d %s", a.code, a.body)
	}
	s.outbox.take()
	s.flows.step = nil
	a = s.do(t, "POST", stepPath, `{"requestId":"r"}`, nil)
	if reason, _ := a.reason(); a.code != 400 || reason != "FIELD_REQUIRED" || !strings.Contains(a.body, `"field":"step"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if e := s.one(t); e.OrganizationUID != acmeUID || e.Caller != "key:local" {
		t.Errorf("recorded as %+v", e)
	}
}

func TestWhatStandsBesideTheCallsNeedsNoKey(t *testing.T) {
	s := newSite(t, nil)
	anonymous := func(r *http.Request) { r.Header.Del("Authorization") }
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": `"store":"EMBEDDED"`, "/metrics": "metric 1", "/openapi.json": `"swagger"`,
	} {
		if a := s.do(t, "GET", path, "", anonymous); a.code != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %.200s", path, a.code, a.body)
		}
	}
	s.ready = false
	if a := s.do(t, "GET", "/readyz", "", anonymous); a.code != 503 || !strings.Contains(a.body, "EMBEDDED") {
		t.Errorf("not ready: %d %s", a.code, a.body)
	}
	if a := s.do(t, "GET", "/healthz", "", func(r *http.Request) { r.Host = "evil.example" }); a.code != 403 {
		t.Errorf("another host: %d", a.code)
	}
	for _, host := range []string{"localhost", "localhost:1", "127.0.0.1", "[::1]:80", "[::1]", "LOCALHOST", "postern.internal:8470"} {
		if a := s.do(t, "GET", "/healthz", "", func(r *http.Request) { r.Host = host }); a.code != 200 {
			t.Errorf("host %s: %d", host, a.code)
		}
	}
}

func TestFiltersArriveThroughTheQuery(t *testing.T) {
	s := newSite(t, nil)
	s.archive.add(audit.TypePasswordVerified, audit.TypeSSOVerified)
	a := s.do(t, "GET", "/v1/organizations/acme/events?filter.include.types=sso.verified&pageSize=5&order=ORDER_OLDEST_FIRST", "", nil)
	events, _ := a.json["events"].([]any)
	if a.code != 200 || len(events) != 1 || !bytes.Contains([]byte(a.body), []byte("sso.verified")) {
		t.Errorf("%d %s", a.code, a.body)
	}
}
