//go:build unix

package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// TestReadsOfTheHistoryAreSeeks holds every read of the history to its index: no scan, no sort, whatever else there is.
func TestReadsOfTheHistoryAreSeeks(t *testing.T) {
	a := open(t, filepath.Join(t.TempDir(), "postern.db"))
	plans, err := a.HistoryPlans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"commit":           "history_moment (organization=? AND recorded<?)",
		"organization":     "history_organization_sequence (organization=? AND sequence>? AND sequence<?)",
		"item":             "PRIMARY KEY (organization=? AND key=? AND sequence>? AND sequence<?)",
		"set back":         "history_set_back (organization=? AND sequence<?)",
		"before":           "history_revision (organization=? AND revision<?)",
		"versions":         "history_organization_revision (organization=? AND revision<?)",
		"policies":         "history_organization_policy (organization=? AND revision<?)",
		"dump of commits":  "PRIMARY KEY (organization=? AND sequence>? AND sequence<?)",
		"dump of versions": "history_organization_sequence (organization=? AND sequence>? AND sequence<?)",
		"dump of items":    "PRIMARY KEY (organization=? AND (key,sequence)>(?,?))",
	} {
		if plan := plans[what]; !strings.Contains(plan, want) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s:\n%s\nwant %s", what, plan, want)
		}
	}
}

// imported is one commit of an import: 500 claims.
func imported(t testing.TB, n int) audit.Entry {
	t.Helper()
	e := audit.Event{ID: fmt.Sprintf("01930000-0000-7000-8000-%012d", n), Type: audit.TypeAccountClaimed, OrganizationUID: "org", Revision: int64(n + 1), Directory: &audit.DirectoryWrite{}}
	for i := range 500 {
		hash := fmt.Sprintf("%016d", (n*500+i)*7919%1_000_003) // in no order, as keyed hashes are
		e.Directory.Items = append(e.Directory.Items, audit.DirectoryItem{Key: audit.ClaimKey([]byte(hash)), Record: []byte(hash + "revision, origin, kind, time")})
	}
	raw, err := codec.New(nil).Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Entry{OutboxID: "1-0", Event: e, Raw: raw}
}

// TestClaimsTakeLittleRoom stores 50,000 claims and looks at the file: a claim of the history takes no more than 200 bytes.
func TestClaimsTakeLittleRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.db")
	a := open(t, path)
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	const commits = 100
	for n := range commits {
		if _, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: []audit.Entry{imported(t, n)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil { // everything is in the one file then
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > commits*500*200 {
		t.Errorf("%d bytes a claim, %v", info.Size()/(commits*500), err)
	}
	again := open(t, path)
	keys := []audit.DirectoryKey{imported(t, 3).Event.Directory.Items[7].Key, imported(t, 99).Event.Directory.Items[0].Key}
	for sequence, want := range map[int64]int{3: 0, 4: 1, 99: 1, 100: 2} {
		items, err := again.ItemsAt(t.Context(), "org", audit.DirectoryCommit{Sequence: sequence}, keys)
		if err != nil || len(items) != want {
			t.Errorf("after commit %d: %d items, %v", sequence, len(items), err)
		}
	}
}

// BenchmarkAppendClaims stores commits of 500 claims.
func BenchmarkAppendClaims(b *testing.B) {
	a := open(b, filepath.Join(b.TempDir(), "postern.db"))
	epoch, err := a.Take(b.Context(), 0, "bench")
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		entry := imported(b, n)
		b.StartTimer()
		if _, err := a.Append(b.Context(), audit.Batch{Epoch: epoch, Entries: []audit.Entry{entry}}); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n*500)/b.Elapsed().Seconds(), "claims/s")
}
