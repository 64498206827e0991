package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// limitFiles bounds how large the process may make any file, which is what a full disk does to SQLite and nothing else here:
// Redis is another process.
func (p *process) limitFiles(size uint64) {
	p.rig.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var before unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &before); err != nil {
		p.rig.t.Fatal(err)
	}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max}, nil); err != nil {
		p.rig.t.Fatal(err)
	}
}

func TestSignInsGoOnWhileTheDiskOfTheArchiveIsFull(t *testing.T) {
	t.Parallel()
	p := lone(t, t.TempDir(), append(onRedis(redistest.Start(t)), "POSTERN_HTTP_ADDRESS=127.0.0.1:0")...)
	p.run()
	p.awaitServing()
	p.apply("organizations/acme", string(examples.Acme()))
	p.eventsOf(p.must("before").GetFlow(), "sign_in.started")

	info, err := os.Stat(filepath.Join(p.rig.data, "archive.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	p.limitFiles(uint64(max(info.Size(), 1)))
	var flows []*posternv1.FlowAnswer
	type state struct {
		Ready   bool
		Archive struct {
			Waiting int64
			Trouble string `json:"held_up_at"`
		}
	}
	read := func() state {
		var s state
		code, body := p.get("/readyz")
		if err := json.Unmarshal([]byte(body), &s); err != nil || s.Ready != (code == http.StatusOK) {
			t.Fatalf("/readyz answers %d %s", code, body)
		}
		return s
	}
	if err := eventually(60*time.Second, func(context.Context) error {
		if len(flows) < 10 {
			flows = append(flows, p.must(fmt.Sprintf("full-%d", len(flows))))
		}
		if s := read(); s.Archive.Trouble != "archive" || s.Archive.Waiting == 0 {
			return fmt.Errorf("/readyz says %+v", s)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s := read(); !s.Ready {
		t.Errorf("a full disk of the archive makes the process not ready: %+v", s)
	}
	p.limitFiles(unix.RLIM_INFINITY)
	for _, f := range flows {
		p.eventsOf(f.GetFlow(), "sign_in.started") // and no gap, no repetition
	}
	if err := eventually(30*time.Second, func(context.Context) error {
		if s := read(); s.Archive.Trouble != "" || s.Archive.Waiting != 0 {
			return errors.New("the archive is still behind")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
