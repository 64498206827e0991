package sqlite_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/sqlite"
)

// TestAnArchiveOfSchema3AnswersAsANewOneWould holds what migration 4 made of stored events to what appending makes of the same ones.
func TestAnArchiveOfSchema3AnswersAsANewOneWould(t *testing.T) {
	now := func() time.Time { return oldLast().Add(25 * 24 * time.Hour) }
	old, fresh := openAt(t, unpacked(t, "schema3.db.gz"), now), openAt(t, filepath.Join(t.TempDir(), "postern.db"), now)
	epoch, err := fresh.Take(t.Context(), 0, "fresh")
	if err != nil {
		t.Fatal(err)
	}
	later := laterRecord(t)
	for _, entries := range [][]audit.Entry{oldRecord(t), later} {
		if _, err := fresh.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: entries}); err != nil {
			t.Fatal(err)
		}
	}
	sameAnswers(t, old, fresh)

	if epoch, err = old.Take(t.Context(), 0, "new"); err != nil {
		t.Fatal(err)
	}
	if done, err := old.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: later[:100]}); err != nil || done.Duplicates != 100 {
		t.Errorf("the same again: %+v, %v", done, err)
	}
	more := make([]audit.Entry, 900) // completes a block
	for i := range more {
		e := later[i].Event
		e.ID, e.Flow, e.Step, e.SupportCode = oldID(oldLast().Add(23*24*time.Hour+time.Duration(i)*time.Minute), 70_000+i), "", 0, ""
		more[i] = audit.Entry{OutboxID: "1-0", RecordedTime: e.Time.Add(23 * 24 * time.Hour), Event: e, Raw: encoded(t, &e)}
	}
	for _, a := range []backend{old, fresh} {
		if epoch, err = a.Take(t.Context(), 0, "both"); err != nil {
			t.Fatal(err)
		}
		if done, err := a.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: more}); err != nil || done.Inserted != 900 {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	sameAnswers(t, old, fresh)
	sameRecord(t, old, oldRecord(t))
}

// sameAnswers asks two archives the same about every organization.
func sameAnswers(t *testing.T, a, b backend) {
	t.Helper()
	fields := []audit.Field{audit.FieldType, audit.FieldOutcome, audit.FieldReason, audit.FieldMethod, audit.FieldFactor, audit.FieldConnection, audit.FieldClass,
		audit.FieldEvidence, audit.FieldRule, audit.FieldTargetType, audit.FieldTargetID, audit.FieldCaller, audit.FieldSite}
	found := map[string]int{}
	for _, uid := range append([]string{laterOrganization}, oldOrganizations...) {
		for name, q := range map[string]audit.Query{"all": {}, "site": {Match: audit.Match{Sites: []string{"site-1"}}}, "method": {Match: audit.Match{Methods: []string{"sso"}}},
			"factor": {Match: audit.Match{Factors: []string{audit.FactorTOTP}}}, "rule": {Match: audit.Match{Rules: []string{"rule-1"}}}, "target": {Match: audit.Match{TargetIDs: []string{"target-803"}}},
			"evidence": {Match: audit.Match{Evidences: []audit.Evidence{audit.EvidenceVerified}}}, "caller": {Exclude: audit.Match{Callers: []string{"unix:1"}}},
			"code": {Match: audit.Match{SupportCodes: []string{"LATER-00100", "ABCDE-00150"}}}, "word": {Text: []string{"partner"}}, "sandbox": {NoSandbox: true}} {
			q.OrganizationUID, q.Limit = uid, 5000
			x, y := answers(t, a, q, fields), answers(t, b, q, fields)
			if !reflect.DeepEqual(x, y) {
				t.Errorf("%s of %s:\n%.2000s\nwant\n%.2000s", name, uid, fmt.Sprint(x), fmt.Sprint(y))
			}
			found[name] += len(x.ids)
		}
	}
	for name, n := range found {
		if n == 0 {
			t.Errorf("nothing was found by %s", name)
		}
	}
}

type answer struct {
	ids       []string
	facets    audit.Facets
	histogram audit.Histogram
}

func answers(t *testing.T, a backend, q audit.Query, fields []audit.Field) answer {
	t.Helper()
	var out answer
	events, err := a.Events(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		out.ids = append(out.ids, events[i].ID)
	}
	if out.facets, err = a.Facets(t.Context(), q, fields, 50); err != nil {
		t.Fatal(err)
	}
	bounds := []time.Time{oldBegan}
	for day := range 46 {
		bounds = append(bounds, oldBegan.AddDate(0, 0, 5*day+1))
	}
	if out.histogram, err = a.Histogram(t.Context(), q, bounds); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnArchiveOfSchema3WhoseMigrationWasCutOffIsAsItWas(t *testing.T) {
	path := unpacked(t, "schema3.db.gz")
	change(t, path, `CREATE TRIGGER stop BEFORE UPDATE ON event_3 BEGIN SELECT RAISE(ABORT, 'cut off'); END`)
	for range 2 {
		if a, err := sqlite.Open(t.Context(), path, oldLast); err == nil {
			a.Close() //nolint:errcheck // it should not be open at all
			t.Fatal("a migration that cannot end was taken for done")
		}
	}
	change(t, path, `DROP TRIGGER stop`)
	a := openAt(t, path, oldLast)
	if got, err := a.Events(t.Context(), audit.Query{OrganizationUID: laterOrganization, Limit: 5000, Match: audit.Match{Methods: []string{"password"}}}); err != nil || len(got) == 0 {
		t.Errorf("%d events, %v", len(got), err)
	}
}
