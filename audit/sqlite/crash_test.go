//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
)

const (
	crashFile = "POSTERN_CRASH_FILE" // set in the child: the archive to write to until it is killed
	adoptFile = "POSTERN_ADOPT_FILE" // set in the child: the archive of schema 1 to open
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(crashFile) != "":
		err := writeUntilKilled(os.Getenv(crashFile), os.Getenv("POSTERN_CRASH_FROM"))
		fmt.Fprintln(os.Stderr, "the child ended by itself:", err)
	case os.Getenv(adoptFile) != "":
		fmt.Fprintln(os.Stdout, "child: opening")
		_, err := sqlite.Open(context.Background(), os.Getenv(adoptFile), someday)
		fmt.Fprintln(os.Stdout, "child:", err)
	case os.Getenv(eraseFile) != "":
		err := eraseUntilKilled(os.Getenv(eraseFile), os.Getenv("POSTERN_CRASH_FROM"))
		fmt.Fprintln(os.Stderr, "the child ended by itself:", err)
	case os.Getenv(limitedFile) != "":
		fmt.Fprintln(os.Stdout, "child:", fillAndRecover(context.Background(), os.Getenv(limitedFile)))
	default:
		m.Run()
	}
}

const crashBatch = 20

// crashEvents is batch n: half of each organization.
func crashEvents(n int) ([]audit.Entry, error) {
	var out []audit.Entry
	for i := range crashBatch {
		org := []string{"org-even", "org-odd"}[i%2]
		e := audit.Event{ID: fmt.Sprintf("event-%06d-%02d", n, i), Time: someday(), Type: audit.TypeSignInStarted, Organization: org, OrganizationUID: org,
			Flow: fmt.Sprintf("flow-%d-%d", n, i), Step: 1, Site: "portal", Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte{byte(i)}}},
			Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 200), Digest: make([]byte, 32)}, Directory: crashWrite(n, i)}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			return nil, err
		}
		out = append(out, audit.Entry{OutboxID: "1-0", RecordedTime: someday(), Event: e, Raw: raw})
	}
	return out, nil
}

// crashWrite is what event i of batch n brings for the history.
func crashWrite(n, i int) *audit.DirectoryWrite {
	v := fmt.Appendf(nil, "%d-%d", n, i)
	return &audit.DirectoryWrite{Organization: v, Items: []audit.DirectoryItem{{Key: audit.DomainKey("a.example"), Record: v}, {Key: audit.ClaimKey(v), Record: v}}}
}

// writeUntilKilled appends batches from the given one on and says on stdout which ones are durable.
func writeUntilKilled(path, from string) error {
	first, err := strconv.Atoi(from)
	if err != nil {
		return err
	}
	ctx := context.Background()
	a, err := sqlite.Open(ctx, path, someday)
	if err != nil {
		return err
	}
	epoch, err := a.Take(ctx, 0, "child")
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		entries, err := crashEvents(n)
		if err != nil {
			return err
		}
		if _, err := a.Append(ctx, audit.Batch{Epoch: epoch, Entries: entries}); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(strconv.Itoa(n) + "\n"); err != nil {
			return err
		}
	}
}

// TestKilledInTheMiddleNothingAcknowledgedIsMissing kills a writing process again and again. The next one starts two batches
// before the last acknowledged one, as an archiver whose entries were not trimmed yet does.
func TestKilledInTheMiddleNothingAcknowledgedIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	acknowledged := -1
	for round := range 12 {
		last := killAfter(t, path, max(0, acknowledged-1), 5+round*3)
		if last <= acknowledged {
			t.Fatalf("round %d acknowledged up to %d, after %d", round, last, acknowledged)
		}
		acknowledged = last
		checkCrashed(t, path, acknowledged)
	}
}

// killAfter runs a child until it has acknowledged this many batches, kills it while it goes on, and returns the last batch
// it acknowledged.
func killAfter(t *testing.T, path string, from, batches int) (last int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashFile+"="+path, "POSTERN_CRASH_FROM="+strconv.Itoa(from))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last = -1
	lines := bufio.NewScanner(out)
	for seen := 1; lines.Scan(); seen++ {
		if last, err = strconv.Atoi(strings.TrimSpace(lines.Text())); err != nil {
			t.Fatal(err)
		}
		if seen == batches {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
	return last
}

// checkCrashed fails unless every event up to the last acknowledged batch is there once, and what follows is whole batches.
func checkCrashed(t *testing.T, path string, acknowledged int) {
	t.Helper()
	a := open(t, path)
	defer a.Close()
	for half, org := range []string{"org-even", "org-odd"} {
		events, err := a.Events(t.Context(), audit.Query{OrganizationUID: org, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) < (acknowledged+1)*crashBatch/2 || len(events)%(crashBatch/2) != 0 {
			t.Errorf("%s has %d events, %d batches were acknowledged", org, len(events), acknowledged+1)
		}
		for i := range events {
			n, k := i/(crashBatch/2), i%(crashBatch/2)*2+half
			if want := fmt.Sprintf("event-%06d-%02d", n, k); events[i].ID != want || events[i].Sequence != int64(i+1) || events[i].Forked {
				t.Fatalf("%s: event %d is %s with sequence %d, want %s", org, i+1, events[i].ID, events[i].Sequence, want)
			}
		}
		found, err := a.Events(t.Context(), audit.Query{OrganizationUID: org, Limit: 1 << 20, Match: audit.Match{Subjects: []audit.Index{{Purpose: audit.IndexAccount, Value: []byte{byte(half)}}}}})
		if err != nil || len(found) != len(events)/(crashBatch/2) {
			t.Errorf("%s: the index finds %d events, %v", org, len(found), err)
		}
		flows, err := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: org, Limit: 1 << 20})
		if err != nil || len(flows) != len(events) {
			t.Errorf("%s: %d flows for %d events, %v", org, len(flows), len(events), err)
		}
		checkHistory(t, a, org, half, len(events))
	}
}

// checkHistory fails unless each event's commit is there once, with what it wrote.
func checkHistory(t *testing.T, a backend, org string, half, events int) {
	t.Helper()
	versions, err := a.Versions(t.Context(), audit.VersionQuery{OrganizationUID: org, WithRecords: true, Limit: 1 << 20})
	if err != nil || len(versions) != events {
		t.Fatalf("%s: %d versions for %d events, %v", org, len(versions), events, err)
	}
	for i := range versions {
		k := events - 1 - i
		w := crashWrite(k/(crashBatch/2), k%(crashBatch/2)*2+half)
		items, err := a.ItemsAt(t.Context(), org, versions[i].DirectoryCommit, []audit.DirectoryKey{w.Items[0].Key, w.Items[1].Key})
		if err != nil || len(items) != 2 || string(items[w.Items[0].Key]) != string(w.Organization) || string(versions[i].Record) != string(w.Organization) {
			t.Fatalf("%s: version %d is %q with %q, want %q; %v", org, versions[i].Sequence, versions[i].Record, items, w.Organization, err)
		}
	}
}

// TestKilledWhileTakingOverAnOldArchive kills a process that migrates, as soon as its write-ahead log has grown to some length,
// until one is through before.
func TestKilledWhileTakingOverAnOldArchive(t *testing.T) {
	for length, ended := int64(0), false; !ended; length += 60_000 {
		path := oldArchive(t)
		ended = adoptUntil(t, path, length)
		a := openAt(t, path, oldLast)
		sameRecord(t, a, oldRecord(t))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// adoptUntil runs a child that opens an archive of schema 1, and kills it when its log has the given length; true when it had
// ended by itself.
func adoptUntil(t *testing.T, path string, length int64) (ended bool) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), adoptFile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	over := make(chan string, 1)
	go func() {
		lines.Scan() // its end, one way or another
		over <- lines.Text()
	}()
	for {
		select {
		case last := <-over:
			if err := child.Wait(); err != nil || last != "child: <nil>" {
				t.Fatalf("the child failed: %s, %v", last, err)
			}
			return true
		default:
		}
		if info, err := os.Stat(path + "-wal"); err == nil && info.Size() >= length {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-over
			_ = child.Wait() // it was killed
			return false
		}
	}
}
