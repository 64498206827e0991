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

// eraseFile is set in the child: the archive to erase people from until it is killed.
const eraseFile = "POSTERN_ERASE_FILE"

const erasedPeople, erasedEvents = 300, 3 // people, and the events of each

func erasedIndex(person int) []audit.Index {
	return []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Appendf(nil, "person-%04d", person)}}
}

// eraseUntilKilled erases one person after the other and says on stdout whom it has erased.
func eraseUntilKilled(path, from string) error {
	first, err := strconv.Atoi(from)
	if err != nil {
		return err
	}
	a, err := sqlite.Open(context.Background(), path, someday)
	if err != nil {
		return err
	}
	for n := first; n < erasedPeople; n++ {
		if _, _, err := a.Erase(context.Background(), audit.Erasure{OrganizationUID: "org", Subjects: erasedIndex(n), UpTo: 1 << 30, Limit: 100}); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(strconv.Itoa(n) + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// TestKilledWhileItErasesNobodyIsHalfForgotten kills an erasing process again and again.
func TestKilledWhileItErasesNobodyIsHalfForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	for n := range erasedPeople {
		if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: erasable(t, n)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	done := -1
	for round := range 6 {
		done = eraseAndKill(t, path, done+1, 4+7*round)
		wantForgotten(t, path, done)
	}
}

// erasable is the sign-in of one person, with an event that does not name anybody, and a commit of a directory.
func erasable(t *testing.T, person int) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	for i, kind := range []audit.Type{audit.TypeSignInStarted, audit.TypePasswordVerified, audit.TypeSignInSucceeded} {
		e := audit.Event{ID: fmt.Sprintf("event-%04d-%d", person, i), Time: someday(), Type: kind, Organization: "org", OrganizationUID: "org",
			Flow: fmt.Sprintf("flow-%04d", person), Step: i + 1, Site: "portal", Directory: crashWrite(person, i),
			Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 200), Digest: make([]byte, 32)}}
		if i > 0 {
			e.Indexes = erasedIndex(person)
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, audit.Entry{OutboxID: "1-0", RecordedTime: someday(), Event: e, Raw: raw})
	}
	return out
}

// eraseAndKill runs a child until it has erased this many people, and returns the last one it said.
func eraseAndKill(t *testing.T, path string, from, people int) (last int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), eraseFile+"="+path, "POSTERN_CRASH_FROM="+strconv.Itoa(from))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last = from - 1
	lines := bufio.NewScanner(out)
	for seen := 1; lines.Scan(); seen++ {
		if last, err = strconv.Atoi(strings.TrimSpace(lines.Text())); err != nil {
			t.Fatal(err)
		}
		if seen == people {
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

// wantForgotten fails unless everybody up to done is forgotten, and of each other person everything or nothing.
func wantForgotten(t *testing.T, path string, done int) {
	t.Helper()
	a := open(t, path)
	defer a.Close()
	events, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 1 << 20})
	if err != nil || len(events) != erasedPeople*erasedEvents {
		t.Fatalf("%d events, %v", len(events), err)
	}
	versions, err := a.Versions(t.Context(), audit.VersionQuery{OrganizationUID: "org", Limit: 1 << 20})
	if err != nil || len(versions) != len(events) {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	kept := map[int64]bool{}
	for i := range versions {
		kept[versions[i].Sequence] = len(versions[i].Event.Sealed.Data) > 0
	}
	for n := range erasedPeople {
		left := 0
		for _, e := range events[n*erasedEvents : (n+1)*erasedEvents] {
			if len(e.Sealed.Data) > 0 {
				left++
			}
			if kept[e.Sequence] != (len(e.Sealed.Data) > 0) {
				t.Errorf("person %d: the history and event %d differ", n, e.Sequence)
			}
		}
		found, err := a.Events(t.Context(), audit.Query{OrganizationUID: "org", Limit: 10, Match: audit.Match{Subjects: erasedIndex(n)}})
		flows, errFlows := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: "org", Limit: 10, FlowMatch: audit.FlowMatch{Subjects: erasedIndex(n)}})
		if err != nil || errFlows != nil {
			t.Fatal(err, errFlows)
		}
		whole := left == erasedEvents && len(found) == erasedEvents-1 && len(flows) == 1
		gone := left == 0 && len(found) == 0 && len(flows) == 0
		if !gone && (!whole || n <= done) {
			t.Errorf("person %d of %d erased: %d parts, %d events and %d flows are found", n, done+1, left, len(found), len(flows))
		}
	}
}
