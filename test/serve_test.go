package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestAKilledEmbeddedSidecarStartsOnItsOwnDataAndSaysWhatItLost(t *testing.T) {
	t.Parallel()
	p := embeddedProcess(t, t.TempDir())
	p.apply("organizations/acme", string(examples.Acme()))
	kept := p.must("kept")
	var l lostAndBehind
	for n := 0; !l.lose(p, n); n++ { // until no snapshot came in between
		p.restart()
	}
	p.restart()

	told := p.logged("RECOVERED")
	if len(told) != 1 || !strings.Contains(told[0], `"flows_ended":2,"flows_set_back":1,"organizations_lost":["late"],"organizations_set_back":["acme"]`) {
		t.Errorf("the log says %q", told)
	}
	events := p.eventsOf(l.lost.GetFlow(), "sign_in.abandoned")
	if end := events[len(events)-1]; end.GetReason() != "STORE_LOST" || end.GetStep() != 2 || len(end.GetSteps()) != 1 ||
		end.GetPersonal().GetTypedAddress() != "guest@gmail.com" {
		t.Errorf("the lost flow ended with %v", end)
	}
	events = p.eventsOf(l.behind.GetFlow(), "sign_in.abandoned")
	if end := events[len(events)-1]; end.GetReason() != "STORE_LOST" || end.GetStep() != 3 || end.GetPersonal().GetAccountId() != "a-1" ||
		end.GetDecision().GetRule() != "freemail-guests" {
		t.Errorf("the flow that was set back ended with %v", end)
	}
	if _, err := p.report(l.behind, "again"); status.Code(err) != codes.FailedPrecondition && status.Code(err) != codes.NotFound {
		t.Errorf("the flow that was set back takes a step: %v", err)
	}
	// What the snapshot had goes on.
	if _, err := p.signIn().FinishFlow(t.Context(), &posternv1.FinishFlowRequest{Flow: kept.GetFlow(), RequestId: "end",
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}}); err != nil {
		t.Errorf("a flow of the snapshot does not go on: %v", err)
	}
	p.eventsOf(kept.GetFlow(), "sign_in.cancelled")
	// A revision never names two states.
	if again := p.rename("Later again", "rename-again"); again.GetRevision() <= l.revision {
		t.Errorf("the archive has seen revision %d, and the next change makes %d", l.revision, again.GetRevision())
	}

	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	p.restart()
	if told := p.logged("RECOVERED"); len(told) != 0 {
		t.Errorf("after a stop in order the log says %q", told)
	}
	if n := len(p.eventsOf(l.lost.GetFlow(), "sign_in.abandoned")); n != 2 {
		t.Errorf("the lost flow has %d events now", n)
	}
}

// lostAndBehind is what a kill takes: a flow that is in no snapshot, and one whose last step is in none.
type lostAndBehind struct {
	lost, behind *posternv1.FlowAnswer
	revision     int64 // of a change that is in no snapshot
}

// lose kills the process right after things were archived that are in no snapshot. It reports false when one was taken in time.
func (l *lostAndBehind) lose(p *process, n int) bool {
	t := p.rig.t
	snapshot := func() time.Time {
		info, err := os.Stat(filepath.Join(p.rig.data, "embedded.snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	l.behind = p.must(fmt.Sprintf("behind-%d", n))
	p.eventsOf(l.behind.GetFlow(), "sign_in.started")
	before := snapshot()
	if err := eventually(60*time.Second, func(context.Context) error {
		if snapshot().Equal(before) {
			return errors.New("no new snapshot")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	before = snapshot()
	l.lost = p.must(fmt.Sprintf("lost-%d", n))
	if _, err := p.report(l.behind, "step"); err != nil {
		t.Fatal(err)
	}
	p.apply("organizations/late", "organization: late")
	l.revision = p.rename("Later", fmt.Sprintf("rename-%d", n)).GetRevision()
	p.eventsOf(l.lost.GetFlow(), "sign_in.started")
	p.eventsOf(l.behind.GetFlow(), "password.verified")
	if err := eventually(30*time.Second, func(context.Context) error {
		all, err := p.record("organizations/acme")
		if err != nil || all[len(all)-1].GetRevision() != l.revision || all[len(all)-1].GetType() != "organization.updated" {
			return fmt.Errorf("revision %d is not archived: %w", l.revision, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	p.kill()
	return snapshot().Equal(before)
}

func TestAStopInOrderLosesNothing(t *testing.T) {
	p := embeddedProcess(t, t.TempDir())
	p.apply("organizations/acme", string(examples.Acme()))
	var last *posternv1.FlowAnswer
	for i := range 50 {
		last = p.must(fmt.Sprintf("r%d", i))
	}
	if err := p.terminate(); err != nil { // at once: most of it is not archived yet
		t.Fatalf("exit: %v", err)
	}
	p.restart()
	events, err := p.record("organizations/acme")
	if err != nil {
		t.Fatal(err)
	}
	started := 0
	for _, e := range events {
		if e.GetType() == "sign_in.started" {
			started++
		}
	}
	if started != 50 || len(p.logged("RECOVERED")) != 0 {
		t.Errorf("%d of 50 flows are in the record; the log says %q", started, p.logged("RECOVERED"))
	}
	again, err := p.open("r49")
	if err != nil || again.GetFlow() != last.GetFlow() || !again.GetRepeatedAnswer() {
		t.Errorf("a request id of before the stop is answered %v, %v", again, err)
	}
}

func TestReadinessAndMetricsOverHTTP(t *testing.T) {
	p := embeddedProcess(t, t.TempDir())
	p.apply("organizations/acme", string(examples.Acme()))
	p.must("r1")
	var ready struct {
		Ready   bool
		Notice  string
		Archive struct{ Waiting *int64 }
	}
	code, body := p.get("/readyz")
	if err := json.Unmarshal([]byte(body), &ready); err != nil || code != http.StatusOK || !ready.Ready ||
		!strings.HasPrefix(ready.Notice, "EMBEDDED") || ready.Archive.Waiting == nil {
		t.Errorf("/readyz answers %d %s (%v)", code, body, err)
	}
	code, body = p.get("/metrics")
	for _, want := range []string{"postern_ready 1", `postern_commits_total{result="committed"} 1`,
		`postern_calls_total{code="OK",method="/postern.v1.SignInService/StartFlow"} 1`} {
		if code != http.StatusOK || !strings.Contains(body, want+"\n") {
			t.Errorf("/metrics answers %d without %s:\n%s", code, want, body)
		}
	}
	if strings.Contains(body, "acme") || strings.Contains(body, "guest") {
		t.Errorf("/metrics names a tenant or a person:\n%s", body)
	}
	if code, _ := p.get("/v1/organizations"); code != http.StatusUnauthorized {
		t.Errorf("a call without the key is answered %d", code)
	}
}

func TestRedisAwayAndBackWithoutARestart(t *testing.T) {
	r := newRig(t)
	p := r.start("one", "signin", "archiver", "api")
	p.apply("organizations/acme", string(examples.Acme()))
	flow := p.must("before")
	r.redis.Kill()
	if _, err := p.open("away"); status.Code(err) != codes.Unavailable {
		t.Errorf("without Redis StartFlow answers %v", err)
	}
	health := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if err := eventually(30*time.Second, func(ctx context.Context) error {
			a, err := healthpb.NewHealthClient(p.conn).Check(ctx, &healthpb.HealthCheckRequest{})
			if err != nil || a.GetStatus() != want {
				return fmt.Errorf("health is %s, %w", a.GetStatus(), err)
			}
			return nil
		}); err != nil {
			t.Fatalf("want %s: %v", want, err)
		}
	}
	health(healthpb.HealthCheckResponse_NOT_SERVING)
	r.redis.Restart()
	health(healthpb.HealthCheckResponse_SERVING)
	if _, err := p.signIn().FinishFlow(t.Context(), &posternv1.FinishFlowRequest{Flow: flow.GetFlow(), RequestId: "end",
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}}); err != nil {
		t.Errorf("the flow does not go on: %v", err)
	}
	p.eventsOf(flow.GetFlow(), "sign_in.cancelled")
	if err := p.terminate(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// refused runs a process that must not start, and returns its exit code and what it says.
func (p *process) refused() (int, string) {
	p.rig.t.Helper()
	path, err := binary()
	if err != nil {
		p.rig.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "serve")
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		p.rig.t.Fatalf("it ended with %v:\n%s", err, out)
	}
	return exit.ExitCode(), string(out)
}

func onRedis(s *redistest.Server) []string {
	return []string{"POSTERN_HTTP_ADDRESS=", "POSTERN_REDIS_MODE=standalone", "POSTERN_REDIS_ADDRESSES=" + s.Addr(), "POSTERN_DEADLINES_START=2s"}
}

func TestAStartIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	good := redistest.Start(t)
	away := redistest.Start(t)
	away.Kill()
	for name, tc := range map[string]struct {
		env  []string
		code int
		want string
	}{
		"without persistence": {onRedis(redistest.Start(t, redistest.NoPersistence())), 4, "redis.insecure_no_persistence"},
		"weak fsync":          {onRedis(redistest.Start(t, redistest.FsyncEverySecond())), 4, "redis.insecure_no_persistence"},
		"evicting":            {onRedis(redistest.Start(t, redistest.Set("maxmemory-policy", "allkeys-lru"))), 4, "redis.insecure_evicting"},
		"Redis is away":       {onRedis(away), 4, "Redis: not reached in time"},
		"no keysets":          {append(onRedis(good), "POSTERN_KEYS_MASTER_FILE=/none/m", "POSTERN_KEYS_HASH_FILE=/none/h"), 3, "/none/m does not exist"},
		"no archive":          {append(onRedis(good), "POSTERN_ARCHIVE_SQLITE=/none/archive.db"), 4, "archive"},
		"PostgreSQL is away":  {append(onRedis(good), "POSTERN_ARCHIVE_URL=postgres://postern@127.0.0.1:1/postern"), 4, "archive: not reached in time"},
		"weak PostgreSQL":     {append(onRedis(good), "POSTERN_ARCHIVE_URL="+pgtest.Start(t, "fsync=off", "synchronous_commit=off").Database()), 4, "archive.insecure_no_durability"},
		"wrong setting":       {append(onRedis(good), "POSTERN_LOG_LEVEL=loud"), 3, "log.level: must be"},
		"unknown setting":     {append(onRedis(good), "POSTERN_LOG_LVL=info"), 3, "POSTERN_LOG_LVL: is no setting"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := lone(t, t.TempDir(), tc.env...).refused()
			if code != tc.code || !strings.Contains(said, tc.want) {
				t.Errorf("exit code %d, want %d with %q:\n%s", code, tc.code, tc.want, said)
			}
		})
	}
}

func TestAWeakRedisIsTakenWhenASettingSaysSo(t *testing.T) {
	p := lone(t, t.TempDir(), append(onRedis(redistest.Start(t, redistest.NoPersistence())), "POSTERN_REDIS_INSECURE_NO_PERSISTENCE=true")...)
	p.run()
	p.awaitServing()
	if len(p.logged("REDIS_NO_APPENDONLY")) == 0 {
		t.Error("the log does not say what is given up")
	}
}

func TestWhatDoesNotBelongTogetherIsNotServed(t *testing.T) {
	server := redistest.Start(t)
	data := t.TempDir()
	p := lone(t, data, onRedis(server)...)
	p.run()
	p.awaitServing()
	p.apply("organizations/acme", string(examples.Acme()))
	p.eventsOf(p.must("r1").GetFlow(), "sign_in.started")
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	check := func(name, want string, env ...string) {
		t.Helper()
		dir := data
		if strings.HasPrefix(name, "other") {
			dir = t.TempDir()
		}
		if code, said := lone(t, dir, append(onRedis(server), env...)...).refused(); code != 3 || !strings.Contains(said, want) {
			t.Errorf("%s: exit code %d, want 3 with %q:\n%s", name, code, want, said)
		}
	}
	check("fewer partitions", "the setting partitions is 8", "POSTERN_PARTITIONS=8")
	check("other keys and archive", "the archive")
	check("other keys", "hash keyset", "POSTERN_ARCHIVE_SQLITE="+filepath.Join(data, "archive.db"))
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	check("an empty Redis", "Redis lost its data")
}

func TestTwoProcessesNeverShareAnEmbeddedStore(t *testing.T) {
	first := embeddedProcess(t, t.TempDir())
	if code, said := lone(t, first.rig.data).refused(); code != 3 || !strings.Contains(said, "another process runs on it") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	second := lone(t, t.TempDir(), "POSTERN_HTTP_ADDRESS=", "POSTERN_LISTEN_SOCKET="+first.socket)
	if code, said := second.refused(); code != 3 || !strings.Contains(said, "another process serves on") {
		t.Errorf("exit code %d:\n%s", code, said)
	}
	if _, err := first.open("r1"); status.Code(err) != codes.NotFound { // no organization, but an answer
		t.Errorf("the first process answers %v", err)
	}
}
