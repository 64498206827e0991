//go:build unix

package pruner_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/pruner"
	"github.com/postern-audit/postern/audit/sqlite"
)

const crashDir = "POSTERN_PRUNE_DIR" // set in the child: where archive and outbox are

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := pruneUntilKilled(context.Background(), dir); err != nil {
			told("failed: " + err.Error())
		}
		return
	}
	m.Run()
}

// crashNow is when everything of the crash tests but its last days is past its retention.
func crashNow() time.Time { return began.AddDate(0, 0, 30) }

// told says on stdout where the child is; the parent kills it there.
func told(where string) { os.Stdout.WriteString(where + "\n") } //nolint:errcheck // whoever does not hear it does not kill

// files is an outbox of one file for each event appended.
type files struct{ dir string }

func (f files) Append(_ context.Context, uid string, events ...audit.Event) error {
	told("append " + uid)
	for i := range events {
		raw, err := codec.New(nil).Encode(&events[i])
		if err != nil {
			return err
		}
		name := filepath.Join(f.dir, fmt.Sprintf("%s-%d", events[i].ID, os.Getpid()))
		if err := os.WriteFile(name+".part", raw, 0o600); err != nil {
			return err
		}
		if err := os.Rename(name+".part", name+".event"); err != nil {
			return err
		}
	}
	told("appended")
	return nil
}

// stations is an archive that says where it is, before and after each call that writes.
type stations struct{ *sqlite.Archive }

func (s stations) Ahead(ctx context.Context, now time.Time) error {
	defer told("ahead")
	return s.Archive.Ahead(ctx, now)
}

func (s stations) Drop(ctx context.Context, shelf audit.Shelf, now time.Time) ([]audit.Pruned, bool, error) {
	told("drop")
	defer told("dropped")
	return s.Archive.Drop(ctx, shelf, now)
}

func (s stations) Told(ctx context.Context, ids ...string) error {
	told("tell")
	defer told("told")
	return s.Archive.Told(ctx, ids...)
}

func (s stations) Reclaim(ctx context.Context) (bool, error) {
	told("reclaim")
	return s.Archive.Reclaim(ctx)
}

// pruneUntilKilled makes rounds until nothing is left to do.
func pruneUntilKilled(ctx context.Context, dir string) error {
	a, err := sqlite.Open(ctx, filepath.Join(dir, "postern.db"), crashNow)
	if err != nil {
		return err
	}
	defer a.Close()
	p, err := pruner.New(pruner.Config{Archive: stations{a}, Outbox: files{dir}, Log: slog.New(slog.DiscardHandler), Now: crashNow, Rest: 1})
	if err != nil {
		return err
	}
	for range 2 {
		if err := p.Round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// TestKilledAnywhereNothingGoesUntoldAndNothingIsToldTwice kills pruning processes later and later, until one gets to its end.
func TestKilledAnywhereNothingGoesUntoldAndNothingIsToldTwice(t *testing.T) {
	const days = 25
	dir := t.TempDir()
	w := newWorldAt(t, filepath.Join(dir, "postern.db"))
	for _, uid := range []string{orgA, orgB} {
		if err := w.SetRetention(t.Context(), uid, audit.Retention{SignIn: 10, Administration: 10, Activity: 10}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range days {
		w.add(began.AddDate(0, 0, n), orgA, orgB, orgA)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for after := 1; !prunedUntil(t, dir, after); after++ {
		kills++
	}
	if kills < 20 {
		t.Errorf("only %d processes were killed", kills)
	}
	w = newWorldAt(t, filepath.Join(dir, "postern.db"))
	w.now = crashNow()
	const gone = 20 // days whose end lies more than ten days back
	if n := w.untold(); n != 0 {
		t.Errorf("%d untold", n)
	}
	w.archiveOutbox(dir)
	for uid, each := range map[string]int{orgA: 2, orgB: 1} {
		pruned, err := w.Pruned(t.Context(), uid)
		if err != nil || len(pruned) != gone {
			t.Fatalf("%d pruned, want %d, %v", len(pruned), gone, err)
		}
		events, err := w.Events(t.Context(), audit.Query{OrganizationUID: uid, Limit: 1000, Match: audit.Match{Types: []string{string(audit.TypeArchivePruned)}}})
		if err != nil || len(events) != gone {
			t.Fatalf("%d events tell it, want %d, %v", len(events), gone, err)
		}
		tells := map[string]int64{}
		for i := range events {
			tells[events[i].ID] += events[i].Target.Count
		}
		for i := range pruned {
			if p := pruned[i].Parts[0]; p.Events != int64(each) || tells[pruned[i].EventID] != p.Events {
				t.Errorf("%+v is told as %d events", pruned[i], tells[pruned[i].EventID])
			}
		}
		left, err := w.Events(t.Context(), audit.Query{OrganizationUID: uid, Limit: 1000, Match: audit.Match{Types: []string{string(audit.TypePolicyUpdated)}}})
		if err != nil || len(left) != (days-gone)*each {
			t.Errorf("%d left, want %d, %v", len(left), (days-gone)*each, err)
		}
	}
}

// prunedUntil runs a child and kills it at the given station; true when it came to its end before.
func prunedUntil(t *testing.T, dir string, station int) bool {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 1; lines.Scan(); seen++ {
		if strings.HasPrefix(lines.Text(), "failed") {
			t.Fatal(lines.Text())
		}
		if seen == station {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = child.Wait()
	if err == nil {
		return true
	}
	if child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child failed: %v", err)
	}
	return false
}

// archiveOutbox stores what the children appended, as the archiver would.
func (w *world) archiveOutbox(dir string) {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.event"))
	if err != nil {
		w.t.Fatal(err)
	}
	epoch, err := w.Take(w.t.Context(), 0, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	b := audit.Batch{Epoch: epoch}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := codec.New(nil).Decode(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		if !strings.HasPrefix(filepath.Base(name), e.ID) {
			w.t.Errorf("%s holds %s", name, e.ID)
		}
		b.Entries = append(b.Entries, audit.Entry{OutboxID: "1-0", RecordedTime: e.Time, Event: e, Raw: raw})
	}
	if _, err := w.Append(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}
