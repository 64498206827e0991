package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/telemetry"
)

type key struct{}

func callID(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

func TestLogLinesCarryTheCallAndNoControlCharacters(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, format, "info", callID)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.WithValue(t.Context(), key{}, "call-7")
		log.DebugContext(ctx, "too fine")
		log.With("a", "b").WithGroup("g").InfoContext(ctx, "said", "agent", "x\u202ey\x1b[2J\n", "error", errors.New("bad\u2028\u0085line"))
		line := out.String()
		if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\u202e\x1b\u2028\u0085") || strings.Contains(line, "too fine") {
			t.Errorf("%s: %q", format, line)
		}
		if !strings.Contains(line, "call-7") {
			t.Errorf("%s: no call id in %q", format, line)
		}
		if format == "json" && !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %q", line)
		}
	}
	if _, err := telemetry.NewLogger(io.Discard, "json", "loud", nil); err == nil {
		t.Error("an unknown level was accepted")
	}
}

// fakeStore answers every commit alike. Only Commit is called.
type fakeStore struct {
	authflow.Store
	done *authflow.Committed
	err  error
}

func (f fakeStore) Commit(context.Context, *authflow.Commit) (*authflow.Committed, error) {
	return f.done, f.err
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return w.Body.String()
}

func TestCommitsAreCountedByResult(t *testing.T) {
	m := telemetry.NewMetrics(time.Now)
	ended := &authflow.Commit{Flow: &authflow.FlowWrite{State: &authflow.State{Phase: authflow.PhaseEnded, Ending: audit.EndingDenied}}}
	for _, answer := range []fakeStore{
		{done: &authflow.Committed{}},
		{done: &authflow.Committed{Repeated: &authflow.Outcome{}}},
		{err: &authflow.Conflict{}},
		{err: errs.New(errs.Unavailable, "OUTCOME_UNKNOWN", "x")},
		{err: errs.New(errs.Unavailable, "NOT_RECORDED", "x")},
		{err: errs.New(errs.Invalid, "REQUEST_ID_REUSED", "x")},
	} {
		done, err := m.Store(answer).Commit(t.Context(), ended)
		if done != answer.done || !errors.Is(err, answer.err) {
			t.Errorf("Commit() = %v, %v, want those of the store inside: %v, %v", done, err, answer.done, answer.err)
		}
	}
	page := scrape(t, m)
	for _, want := range []string{
		`postern_commits_total{result="committed"} 1`, `postern_commits_total{result="repeated"} 1`,
		`postern_commits_total{result="conflict"} 1`, `postern_commits_total{result="outcome_unknown"} 1`,
		`postern_commits_total{result="not_recorded"} 1`, `postern_commits_total{result="refused"} 1`,
		`postern_commit_seconds_count 6`, `postern_flows_ended_total{ending="DENIED"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
}

func TestTheRestIsCounted(t *testing.T) {
	now := time.Unix(1000, 0)
	m := telemetry.NewMetrics(func() time.Time { return now })
	m.Backlog(3, now.Add(-5*time.Second))
	m.Ready(true)
	m.Call("/postern.v1.SignInService/StartFlow", "OK", true, time.Millisecond)
	m.Call("/postern.v1.SignInService/StartFlow", "NOT_FOUND", true, time.Millisecond)
	m.Archived(2)
	m.Failed("archive")
	m.Swept(4)
	m.SweepFailed()
	m.Pruned(7, 3)
	m.PruneFailed("drop")
	page := scrape(t, m)
	for _, want := range []string{
		"postern_outbox_entries 3", "postern_archive_lag_seconds 5", "postern_ready 1", `postern_refusals_total{code="NOT_FOUND"} 1`,
		`postern_calls_total{code="OK",method="/postern.v1.SignInService/StartFlow"} 1`, "postern_archived_total 2",
		`postern_archive_failures_total{reason="archive"} 1`, "postern_swept_total 4", "postern_sweep_failures_total 1",
		`postern_pruned_total{what="events"} 7`, `postern_pruned_total{what="flows"} 3`, `postern_prune_failures_total{step="drop"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	m.Backlog(0, time.Time{})
	if page := scrape(t, m); !strings.Contains(page, "postern_archive_lag_seconds 0\n") {
		t.Error("an empty outbox still lags")
	}
}

func TestNoLabelNamesATenantOrAPerson(t *testing.T) {
	for _, metric := range telemetry.NewMetrics(time.Now).Catalog() {
		for _, label := range metric.Labels {
			switch label {
			case "result", "ending", "evidence", "reason", "method", "code", "client", "version", "go", "outcome", "detail", "type", "what", "step":
			default:
				t.Errorf("%s has label %s; if its values are few and name nobody, add it here", metric.Name, label)
			}
		}
	}
}
