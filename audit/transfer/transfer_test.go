package transfer_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/audit/transfer"
	"github.com/postern-audit/postern/audit/verify"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

const (
	copyFrom = "POSTERN_COPY_FROM" // set in the child: the file to copy
	copyTo   = "POSTERN_COPY_TO"   // and the database
)

func TestMain(m *testing.M) {
	if os.Getenv(copyFrom) == "" {
		m.Run()
		return
	}
	if err := copyInChild(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1) //nolint:forbidigo // the child's answer
	}
}

// copyInChild copies, and says on stdout how far it is.
func copyInChild(ctx context.Context) error {
	from, err := sqlite.Open(ctx, os.Getenv(copyFrom), now)
	if err != nil {
		return err
	}
	to, err := postgres.Open(ctx, postgres.Options{URL: os.Getenv(copyTo), Now: now})
	if err != nil {
		return err
	}
	report, err := transfer.Copy(ctx, from, to, true, func(phase, _ string, _, _ int64) { fmt.Fprintln(os.Stdout, phase) })
	if err == nil && len(report.Differences) > 0 {
		err = fmt.Errorf("%v", report.Differences)
	}
	return err
}

func target(t *testing.T, url string) *postgres.Archive {
	t.Helper()
	a, err := postgres.Open(t.Context(), postgres.Options{URL: url, Now: now})
	must(t, err)
	t.Cleanup(func() { a.Close() }) //nolint:errcheck // it answers nil
	return a
}

func quiet(string, string, int64, int64) {}

// inOrder fails unless both archives verify.
func inOrder(t *testing.T, archives ...verify.Archive) {
	t.Helper()
	var reports []verify.Report
	for _, a := range archives {
		r, err := verify.Run(t.Context(), a, "", func(string, int64, int64) {})
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("%T: %v, findings %q", a, err, r.Findings)
		}
		reports = append(reports, r)
	}
	if len(reports) == 2 && fmt.Sprint(reports[0]) != fmt.Sprint(reports[1]) {
		t.Errorf("%+v\n%+v", reports[0], reports[1])
	}
}

// TestACopyIsTheSameRecord copies in two goes, with more events, flows that go on and a dropped shelf in between.
func TestACopyIsTheSameRecord(t *testing.T) {
	from, to := source(t, filepath.Join(t.TempDir(), "a.db"), 120), target(t, pgtest.Start(t, "fsync=off").Schema())
	prune := func() int {
		expired, err := from.Expired(t.Context(), now())
		must(t, err)
		for _, s := range expired {
			if _, _, err := from.Drop(t.Context(), s, now()); err != nil {
				t.Fatal(err)
			}
		}
		return len(expired)
	}
	if prune() == 0 {
		t.Fatal("nothing to prune: the test proves less than it says")
	}
	inOrder(t, from)
	if r, err := transfer.Copy(t.Context(), from, to, false, quiet); err != nil || r.Events == 0 || r.Compared != 0 || r.Commits != 61 {
		t.Fatalf("%+v, %v", r, err)
	}
	if i, err := to.Installation(t.Context()); err != nil || i != nil {
		t.Errorf("half a copy says it belongs to %+v, %v", i, err)
	}
	w := writer{T: t, a: from}
	w.flow("acme", 7000, now().Add(-time.Hour))
	w.directory("acme", 61)
	w.directory("late", 1)
	w.event(audit.Event{ID: id(now(), 99), Type: audit.TypeSignInSucceeded, Time: now(), Organization: "acme", OrganizationUID: "acme", Flow: id(now().Add(-19*day), 0), Step: 5, Ending: audit.EndingSucceeded}, now())
	r, err := transfer.Copy(t.Context(), from, to, true, quiet)
	if err != nil || len(r.Differences) > 0 || r.Events == 0 || r.Compared != r.Events+r.Present-prunedOf(t, from) || r.Commits != 120 {
		t.Fatalf("%+v, %v", r, err)
	}
	inOrder(t, from, to)
	if i, err := to.Installation(t.Context()); err != nil || i == nil || i.ID != "i" {
		t.Errorf("installation %+v, %v", i, err)
	}
	goesOn(t, from, to)
}

// prunedOf counts the sequence numbers that are gone.
func prunedOf(t *testing.T, a verify.Archive) int64 {
	t.Helper()
	r, err := verify.Run(t.Context(), a, "", func(string, int64, int64) {})
	must(t, err)
	return r.Pruned
}

// goesOn appends to the copy as an archiver would: the next sequence number, known ids, known steps, known flows.
func goesOn(t *testing.T, from *sqlite.Archive, to *postgres.Archive) {
	t.Helper()
	last, _, err := from.Position(t.Context(), "acme")
	must(t, err)
	events, err := from.Dump(t.Context(), "acme", 0, 4)
	must(t, err)
	epoch, err := to.Take(t.Context(), 3, "test")
	must(t, err)
	w := writer{T: t, a: from}
	old := events[2].Event
	again := w.entry(audit.Event{ID: old.ID, Type: old.Type, OrganizationUID: "acme", Organization: "acme"}, old.RecordedTime)
	fork := w.entry(audit.Event{ID: id(now(), 12345), Type: old.Type, OrganizationUID: "acme", Organization: "acme", Flow: old.Flow, Step: old.Step}, now())
	done, err := to.Append(t.Context(), audit.Batch{Partition: 3, Epoch: epoch, Entries: []audit.Entry{again, fork}})
	if err != nil || done != (audit.Appended{Inserted: 1, Duplicates: 1, Forked: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	if at, _, err := to.Position(t.Context(), "acme"); err != nil || at != last+1 {
		t.Errorf("position %d after %d, %v", at, last, err)
	}
	if gone, _, err := to.Position(t.Context(), "gone"); err != nil || gone != 1 {
		t.Errorf("an organization of which everything was pruned stands at %d, %v", gone, err)
	}
	if _, err := transfer.Copy(t.Context(), from, to, true, quiet); !errs.Is(err, "ARCHIVE_IN_USE") && !errs.Is(err, "ARCHIVE_CONFLICT") {
		t.Errorf("a copy to an archive at work: %v", err)
	}
}

// TestAHistoryThatCameInPartIsMadeWhole leaves out of a copy what one that was killed may not have brought: the last commits, with
// some of what they wrote.
func TestAHistoryThatCameInPartIsMadeWhole(t *testing.T) {
	from := source(t, filepath.Join(t.TempDir(), "a.db"), 3)
	server := pgtest.Start(t, "fsync=off")
	for name, cut := range map[string][]string{
		"no commit":            {`DELETE FROM history_commit`},
		"the last commits":     {`DELETE FROM history_commit WHERE revision > 20`, `DELETE FROM history_organization WHERE revision > 30`},
		"no version":           {`DELETE FROM history_commit`, `DELETE FROM history_organization`, `DELETE FROM history_item WHERE key > 'c5'`},
		"nothing":              {`DELETE FROM history_commit`, `DELETE FROM history_organization`, `DELETE FROM history_item`},
		"one organization has": {`DELETE FROM history_commit WHERE organization = (SELECT max(organization) FROM history_commit)`},
	} {
		t.Run(name, func(t *testing.T) {
			url := server.Schema()
			to := target(t, url)
			for _, statements := range [][]string{nil, cut} {
				server.Exec(url, statements...)
				if r, err := transfer.Copy(t.Context(), from, to, true, quiet); err != nil || len(r.Differences) > 0 || r.Commits == 0 {
					t.Errorf("%+v, %v", r, err)
				}
			}
			inOrder(t, from, to)
			if _, err := to.Take(t.Context(), 1, "test"); err != nil {
				t.Fatal(err)
			}
			if err := to.ImportHistory(t.Context(), "acme", audit.StoredHistory{}); !errs.Is(err, "ARCHIVE_IN_USE") {
				t.Errorf("an import into an archive at work: %v", err)
			}
		})
	}
}

// TestACopyThatIsKilledGoesOn kills the copying process at one page after the other.
func TestACopyThatIsKilledGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	from := source(t, path, 700)
	server := pgtest.Start(t)
	url := server.Database()
	to := target(t, url)
	kills := 0
	for lines := 1; ; lines++ {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), copyFrom+"="+path, copyTo+"="+url)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		seen := 0
		for buf := make([]byte, 1); ; {
			if _, err := out.Read(buf); err != nil {
				break
			}
			if buf[0] == '\n' {
				if seen++; seen == lines {
					_ = child.Process.Kill()
					kills++
				}
			}
		}
		if err := child.Wait(); err == nil {
			break
		}
		if i, err := to.Installation(t.Context()); err != nil || i != nil {
			t.Errorf("half a copy says it belongs to %+v, %v", i, err)
		}
	}
	if kills < 3 {
		t.Errorf("killed %d times only", kills)
	}
	r, err := transfer.Copy(t.Context(), from, to, true, quiet)
	if err != nil || len(r.Differences) > 0 || r.Events != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	inOrder(t, from, to)
}

// TestAnArchiveOfAnEarlierVersionIsCopied: what such an archive is taken over as lies on one shelf of a window of its own.
func TestAnArchiveOfAnEarlierVersionIsCopied(t *testing.T) {
	packed, err := os.Open("../sqlite/testdata/schema1.db.gz")
	must(t, err)
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	must(t, err)
	path := filepath.Join(t.TempDir(), "a.db")
	b, err := io.ReadAll(r)
	must(t, err)
	must(t, os.WriteFile(path, b, 0o600))
	from, err := sqlite.Open(t.Context(), path, now)
	must(t, err)
	defer from.Close()
	to := target(t, pgtest.Start(t, "fsync=off").Schema())
	if r, err := transfer.Copy(t.Context(), from, to, true, quiet); err != nil || len(r.Differences) > 0 || r.Events == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, a := range []verify.Archive{from, to} {
		r, err := verify.Run(t.Context(), a, "", func(string, int64, int64) {})
		for _, f := range r.Findings {
			if !strings.Contains(f, "the sealed part") { // that record was written with digests of nothing
				t.Errorf("%T: %s", a, f)
			}
		}
		if err != nil || len(r.Findings) == 0 {
			t.Errorf("%T: %+v, %v", a, r, err)
		}
	}
}

// TestVerifyFindsWhatIsNotRight breaks a copy behind its back in one way after the other.
func TestVerifyFindsWhatIsNotRight(t *testing.T) {
	server := pgtest.Start(t, "fsync=off")
	from := source(t, filepath.Join(t.TempDir(), "a.db"), 20)
	for name, c := range map[string]struct{ statement, want string }{ // "" is what only a comparison can find
		"a row is gone":        {`DELETE FROM event_N WHERE position IN (SELECT position FROM event_N ORDER BY position OFFSET 3 LIMIT 1)`, "are missing"},
		"ciphertext changed":   {`UPDATE event_N SET personal_sealed = 'x'`, "the sealed part is not the one"},
		"a body changed":       {`UPDATE event_N SET body = '\x0100'`, "its body cannot be read"},
		"a flow's row changed": {`UPDATE flow_N SET site = 'elsewhere'`, "does not say what its events say"},
		"a flow's row is gone": {`DELETE FROM flow_N`, "does not say what its events say"},
		"a commit is gone":     {`DELETE FROM history_commit WHERE revision = 7`, "the version with sequence"},
		"one of claims is":     {`DELETE FROM history_commit WHERE revision = 8`, "a domain or claim with sequence"},
		"a commit is another":  {`UPDATE history_commit SET revision = revision + 1 WHERE revision = 7`, "is not the one of its event"},
		"a commit is too much": {`INSERT INTO history_commit SELECT organization, 0, 0, 0 FROM organization LIMIT 1`, "is that of no event"},
		"a commit goes back":   {`UPDATE history_commit SET back_to = 1 WHERE revision = 3`, ""},
		"a version is gone":    {`DELETE FROM history_organization WHERE revision = 7`, ""},
		"a version changed":    {`UPDATE history_organization SET record = 'x' WHERE revision = 7`, ""},
		"a version is another": {`UPDATE history_organization SET policy = policy IS FALSE WHERE revision = 7`, "does not say what its event says"},
		"its ciphertext":       {`UPDATE history_organization SET personal_sealed = 'x' WHERE revision = 7`, "the sealed part of the version"},
		"its body":             {`UPDATE history_organization SET body = '\x0100' WHERE revision = 7`, "the body of the version"},
		"an item is gone":      {`DELETE FROM history_item WHERE key = 'da.example' AND sequence = (SELECT max(sequence) FROM history_item WHERE key = 'da.example')`, ""},
		"an item is too much":  {`INSERT INTO history_item SELECT organization, 'x', 1, NULL FROM organization`, "is that of no commit"},
		"an item is back":      {`UPDATE history_item SET record = '' WHERE key = 'da.example'`, ""},
		"a count changed":      {`UPDATE shelf_content SET events = events + 1 WHERE shelf = N AND events > 0`, "counts"},
	} {
		t.Run(name, func(t *testing.T) {
			url := server.Schema()
			to := target(t, url)
			if r, err := transfer.Copy(t.Context(), from, to, true, quiet); err != nil || len(r.Differences) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			n := fullest(t, url)
			server.Exec(url, strings.NewReplacer("_N", "_"+n, "= N", "= "+n).Replace(c.statement))
			found, err := verify.Run(t.Context(), to, "", func(string, int64, int64) {})
			if err != nil || !strings.Contains(strings.Join(found.Findings, "\n"), c.want) || c.want == "" && len(found.Findings) > 0 {
				t.Errorf("found %q, %v", found.Findings, err)
			}
			r, err := transfer.Copy(t.Context(), from, to, true, quiet)
			if err != nil || len(r.Differences) == 0 {
				t.Errorf("a comparison finds %+v, %v", r, err)
			}
		})
	}
}

// fullest is the number of the shelf with the most flows.
func fullest(t *testing.T, url string) (number string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	must(t, conn.QueryRow(t.Context(), "SELECT shelf::text FROM shelf_content ORDER BY flows DESC, events DESC LIMIT 1").Scan(&number))
	return number
}
