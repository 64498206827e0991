package rest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/rest"
)

// files has one export, by one link to each part of it.
type files struct{ data []byte }

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (f files) Fetch(_ context.Context, link string) (*export.Fetched, string, error) {
	job := &export.Job{
		Organization: "acme", ID: "0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e", Format: export.FormatCSV, Created: time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC),
		SHA256: []byte{1, 2}, ManifestSHA256: []byte{3, 4},
	}
	switch link {
	case "data":
		return &export.Fetched{Job: job, Part: export.PartData, Content: content{bytes.NewReader(f.data)}}, "acme", nil
	case "manifest":
		return &export.Fetched{Job: job, Part: export.PartManifest, Content: content{bytes.NewReader([]byte("{}"))}}, "acme", nil
	case "late":
		return nil, "acme", errs.New(errs.PermissionDenied, "EXPORT_LINK_EXPIRED", "late")
	case "odd":
		return nil, "acme", errors.New("a driver's text")
	}
	return nil, "", errs.New(errs.PermissionDenied, "EXPORT_LINK_INVALID", "no link")
}

// served is a gateway with what it recorded.
type served struct {
	base string
	mu   sync.Mutex
	all  []interceptor.Refusal
}

func (s *served) record(_ context.Context, r interceptor.Refusal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, r)
	return nil
}

func (s *served) last() interceptor.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return interceptor.Refusal{}
	}
	return s.all[len(s.all)-1]
}

func serve(t *testing.T, data []byte) *served {
	t.Helper()
	s := &served{}
	g, err := rest.New(rest.Config{
		Key: secret.NewString(strings.Repeat("k", 40)), Record: s.record, Ready: func() (bool, any) { return true, nil }, Metrics: http.NotFoundHandler(),
		Exports: files{data}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(g.Shutdown(context.Background()), <-done, g.Listener().Close()); err != nil {
			t.Error(err)
		}
	})
	s.base = "http://" + l.Addr().String()
	return s
}

func get(t *testing.T, url string, change func(*http.Request)) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, b
}

func TestALinkLeadsToItsFileWithoutACredential(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	s := serve(t, data)
	for name, change := range map[string]func(*http.Request){
		"no key": nil, "a wrong key": func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") },
	} {
		answer, b := get(t, s.base+rest.DownloadQuery+"data", change) //nolint:bodyclose // get closes it
		h := answer.Header
		if answer.StatusCode != http.StatusOK || !bytes.Equal(b, data) || h.Get("Content-Type") != "text/csv; charset=utf-8" || h.Get("Cache-Control") != "no-store" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Disposition") != `attachment; filename="acme-20260501T080000Z-5c6d7e.csv"` || h.Get("ETag") != `"0102"` ||
			h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d, %d bytes, %v", name, answer.StatusCode, len(b), h)
		}
	}
	answer, b := get(t, s.base+rest.DownloadQuery+"manifest", nil) //nolint:bodyclose // get closes it
	if string(b) != "{}" || answer.Header.Get("Content-Type") != "application/json" || !strings.HasSuffix(answer.Header.Get("Content-Disposition"), `.csv.manifest.json"`) {
		t.Errorf("%s, %v", b, answer.Header)
	}
}

func TestAFileIsFetchedInRanges(t *testing.T) {
	s := serve(t, []byte("0123456789"))
	ranged := func(value, ifRange string) (*http.Response, string) {
		answer, b := get(t, s.base+rest.DownloadQuery+"data", func(r *http.Request) {
			r.Header.Set("Range", value)
			if ifRange != "" {
				r.Header.Set("If-Range", ifRange)
			}
		})
		return answer, string(b)
	}
	if a, b := ranged("bytes=4-", `"0102"`); a.StatusCode != http.StatusPartialContent || b != "456789" || a.Header.Get("Content-Range") != "bytes 4-9/10" { //nolint:bodyclose // get closes it
		t.Errorf("%d %q", a.StatusCode, b)
	}
	if a, b := ranged("bytes=4-", `"another"`); a.StatusCode != http.StatusOK || b != "0123456789" { //nolint:bodyclose // get closes it
		t.Errorf("of another file: %d %q", a.StatusCode, b)
	}
	if a, _ := ranged("bytes=20-", ""); a.StatusCode != http.StatusRequestedRangeNotSatisfiable { //nolint:bodyclose // get closes it
		t.Errorf("behind its end: %d", a.StatusCode)
	}
}

func TestARequestForAFileThatIsRefusedIsOnTheRecord(t *testing.T) {
	s := serve(t, nil)
	for name, tt := range map[string]struct {
		url, reason, organization string
		status                    int
		change                    func(*http.Request)
	}{
		"a link that is none": {rest.DownloadQuery + "x", "EXPORT_LINK_INVALID", "", http.StatusForbidden, nil},
		"late":                {rest.DownloadQuery + "late", "EXPORT_LINK_EXPIRED", "acme", http.StatusForbidden, nil},
		"trouble":             {rest.DownloadQuery + "odd", "INTERNAL", "acme", http.StatusInternalServerError, nil},
		"no link":             {rest.DownloadPath, "REQUEST_MALFORMED", "", http.StatusBadRequest, nil},
		"two links":           {rest.DownloadQuery + "data&link=data", "REQUEST_MALFORMED", "", http.StatusBadRequest, nil},
		"something beside it": {rest.DownloadQuery + "data&x=1", "REQUEST_MALFORMED", "", http.StatusBadRequest, nil},
		"broken escapes":      {rest.DownloadQuery + "%zz", "REQUEST_MALFORMED", "", http.StatusBadRequest, nil},
		"another method":      {rest.DownloadQuery + "data", "REQUEST_MALFORMED", "", http.StatusBadRequest, func(r *http.Request) { r.Method = http.MethodPost }},
		"another host":        {rest.DownloadQuery + "data", "HOST_NOT_ALLOWED", "", http.StatusForbidden, func(r *http.Request) { r.Host = "evil.example.com" }},
	} {
		answer, b := get(t, s.base+tt.url, tt.change) //nolint:bodyclose // get closes it
		last := s.last()
		if answer.StatusCode != tt.status || !strings.Contains(string(b), tt.reason) && tt.reason != "INTERNAL" || last.Organization != tt.organization || last.Method != "HTTP/DownloadExport" ||
			answer.Header.Get("Content-Disposition") != "" || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, recorded %+v", name, answer.StatusCode, b, last)
		}
		if last.Reason != tt.reason {
			t.Errorf("%s: recorded %s", name, last.Reason)
		}
		if strings.Contains(string(b), "driver") {
			t.Errorf("%s: %s", name, b)
		}
	}
}
