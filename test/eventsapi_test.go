package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/examples"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// raw sends one HTTP request as it is written, line by line, and returns status and body.
func (p *process) raw(lines ...string) (status int, header http.Header, body string) {
	p.rig.t.Helper()
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(p.httpBase(), "http://"), 5*time.Second)
	if err != nil {
		p.rig.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "%s\r\nConnection: close\r\n\r\n", strings.Join(lines, "\r\n")); err != nil {
		p.rig.t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ")
	a, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		p.rig.t.Fatalf("%q: %v", lines[0], err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return a.StatusCode, a.Header, string(b)
}

// What the events API refuses at the real listener: in its own envelope, and on the record of whom it concerns.
func TestTheEventsAPIAtItsListener(t *testing.T) {
	p := lone(t, t.TempDir(), "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_HTTP_EVENTS_PUBLIC_URL=https://audit.example.com",
		"POSTERN_HTTP_EVENTS_REQUESTS_PER_MINUTE=1000")
	p.run()
	p.awaitServing()
	p.apply("organizations/acme", string(examples.Acme()))
	key := p.newKey("organizations/acme", posternv1.Key_DETAIL_FLOWS)
	const at = "GET /admin/v1/orgs/acme/events"
	bearer := "Authorization: Bearer " + key
	p.apply("organizations/globex", "organization: globex\ndisplay_name: Globex\nsites:\n  - id: door\n    display_name: Door\n")

	_ = eventually(20*time.Second, func(context.Context) error {
		if _, _, body := p.raw(at+" HTTP/1.1", "Host: 127.0.0.1", bearer); strings.Contains(body, `"data":[]`) {
			return errors.New("not archived yet")
		}
		return nil
	})
	for _, tt := range []struct {
		lines  []string
		status int
		want   string
	}{
		{[]string{at + " HTTP/1.1", "Host: 127.0.0.1", bearer}, 200, `"data":[`},
		{[]string{at + " HTTP/1.1", "Host: audit.example.com", bearer}, 200, `"links":{"self":"https://audit.example.com/admin/v1/orgs/acme/events/`},
		{[]string{at + " HTTP/1.1", "Host: evil.example", bearer}, 403, "ADMIN-403-3"},
		{[]string{"GET http://evil.example/admin/v1/orgs/acme/events HTTP/1.1", "Host: 127.0.0.1", bearer}, 403, "ADMIN-403-3"},
		{[]string{at + " HTTP/1.1", "Host: 127.0.0.1", bearer, bearer}, 401, "ADMIN-401-1"},
		{[]string{at + " HTTP/1.1", "Host: 127.0.0.1"}, 401, "ADMIN-401-1"},
		{[]string{"GET /admin/v1/orgs/globex/events HTTP/1.1", "Host: 127.0.0.1", bearer}, 404, "ADMIN-404-2"},
		{[]string{"GET /admin/v1/%6frgs/acme/events HTTP/1.1", "Host: 127.0.0.1", bearer}, 404, "ADMIN-404-1"},
		{[]string{"GET /admin/v1/orgs/acme/../globex/events HTTP/1.1", "Host: 127.0.0.1", bearer}, 404, "ADMIN-404-1"},
		{[]string{"HEAD /admin/v1/orgs/acme/events HTTP/1.1", "Host: 127.0.0.1", bearer}, 405, ""},
		{[]string{"OPTIONS /admin/v1/orgs/acme/events HTTP/1.1", "Host: 127.0.0.1", "Origin: https://evil.example"}, 405, "ADMIN-405-1"},
		{[]string{at + " HTTP/1.1", "Host: 127.0.0.1", bearer, "Content-Length: 0"}, 200, `"data":[`},
		{[]string{at + "?cursor=x HTTP/1.1", "Host: 127.0.0.1", bearer}, 400, "ADMIN-400-1"},
		{[]string{"GET /admin/v1/orgs/openapi.json HTTP/1.1", "Host: 127.0.0.1"}, 200, `"openapi": "3.0.3"`},
		// The key of an organization is none at the API beside it, nor the other way round.
		{[]string{"GET /v1/organizations HTTP/1.1", "Host: 127.0.0.1", bearer}, 401, "CREDENTIALS_INVALID"},
	} {
		status, header, body := p.raw(tt.lines...)
		if status != tt.status || !strings.Contains(body, tt.want) || tt.status != 200 && !strings.Contains(tt.want, "CRED") && header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %.300s", tt.lines, status, body)
		}
		for name := range header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%q: %s", tt.lines, name)
			}
		}
	}

	for _, part := range []string{key, key[4:], key[50:]} {
		for _, file := range p.files() {
			if bytes.Contains(file, []byte(part)) {
				t.Error("the key stands in a file or in the log")
			}
		}
	}
	p.revoke()
	if status, _, body := p.raw(at+" HTTP/1.1", "Host: 127.0.0.1", bearer); status != 401 || !strings.Contains(body, "ADMIN-401-1") {
		t.Errorf("a revoked key: %d %s", status, body)
	}
	p.denied("organizations/acme", "apikey:", "ADMIN_400_1", "API_KEY_REVOKED")
	p.denied("organizations/system", "", "CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "ADMIN_404_2", "HOST_NOT_ALLOWED", "ADMIN_405_1")
	events, err := p.record("organizations/globex")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.GetType() == "access.denied" {
			t.Errorf("another organization hears of it: %v", e)
		}
	}
}

// files are the contents of everything a process has written: its data and its log.
func (p *process) files() [][]byte {
	p.rig.t.Helper()
	paths := []string{p.log.Name()}
	err := filepath.WalkDir(p.rig.data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	var out [][]byte
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			p.rig.t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// revoke ends the one key there is.
func (p *process) revoke() {
	p.rig.t.Helper()
	keys := posternv1.NewKeyServiceClient(p.conn)
	list, err := keys.ListKeys(p.rig.t.Context(), &posternv1.ListKeysRequest{Parent: "organizations/acme"})
	if err != nil || len(list.GetKeys()) != 1 {
		p.rig.t.Fatalf("%v, %v", list, err)
	}
	if _, err := keys.RevokeKey(p.rig.t.Context(), &posternv1.RevokeKeyRequest{Name: list.GetKeys()[0].GetName(), RequestId: "revoke"}); err != nil {
		p.rig.t.Fatal(err)
	}
}

// denied waits until an organization's record has refusals for these reasons, by callers whose name begins so.
func (p *process) denied(organization, caller string, reasons ...string) {
	p.rig.t.Helper()
	err := eventually(20*time.Second, func(context.Context) error {
		events, err := p.record(organization)
		if err != nil {
			return err
		}
		var have []string
		for _, e := range events {
			if d := e.GetDenial(); d != nil && strings.HasPrefix(e.GetCaller(), caller) && strings.HasPrefix(d.GetMethod(), "orgevents/") {
				have = append(have, d.GetReason())
			}
		}
		for _, want := range reasons {
			if !slices.Contains(have, want) {
				return fmt.Errorf("%s has %v", organization, have)
			}
		}
		return nil
	})
	if err != nil {
		p.rig.t.Error(err)
	}
}

func TestATestEventComesOutWhereAPollerReads(t *testing.T) {
	p := embeddedProcess(t, t.TempDir())
	p.apply("organizations/acme", string(examples.Acme()))
	key := p.newKey("organizations/acme", posternv1.Key_DETAIL_FLOWS)
	emitted, err := posternv1.NewEventServiceClient(p.conn).EmitTestEvent(t.Context(), &posternv1.EmitTestEventRequest{
		Parent: "organizations/acme", RequestId: "test", Note: "new collector"})
	if err != nil {
		t.Fatal(err)
	}
	id := emitted.GetName()[strings.LastIndexByte(emitted.GetName(), '/')+1:]
	var status int
	var body string
	_ = eventually(20*time.Second, func(context.Context) error {
		status, _, body = p.raw("GET /admin/v1/orgs/acme/events/"+id+" HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer "+key)
		if status == http.StatusNotFound {
			return errors.New("not archived yet")
		}
		return nil
	})
	var one struct {
		Data struct {
			ID         string
			Attributes struct {
				Action  string
				Context []struct{ Attributes map[string]any }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &one); err != nil || status != 200 || one.Data.ID != id || one.Data.Attributes.Action != "audit_log_tested" ||
		len(one.Data.Attributes.Context) != 1 || one.Data.Attributes.Context[0].Attributes["text"] != "new collector" {
		t.Errorf("%d %s, %v", status, body, err)
	}
}
