package sqlite_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// TestAnArchiveOfSchema3KnowsItsPeople holds what migration 5 made of stored events to what appending makes of the same ones.
func TestAnArchiveOfSchema3KnowsItsPeople(t *testing.T) {
	now := func() time.Time { return oldLast().Add(25 * 24 * time.Hour) }
	old, fresh := openAt(t, unpacked(t, "schema3.db.gz"), now), openAt(t, filepath.Join(t.TempDir(), "postern.db"), now)
	epoch, err := fresh.Take(t.Context(), 0, "fresh")
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range [][]audit.Entry{oldRecord(t), laterRecord(t)} {
		for i := range entries {
			e := &entries[i].Event
			audit.NameOld(e)
			entries[i].Raw = encoded(t, e)
		}
		for some := range slices.Chunk(entries, 500) {
			if _, err := fresh.Append(t.Context(), audit.Batch{Epoch: epoch, Entries: some}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, terms := 0, 0
	for _, uid := range append([]string{laterOrganization}, oldOrganizations...) {
		for _, site := range []string{"", "site-0", "site-1", "site-2", "portal"} {
			q := audit.SubjectQuery{OrganizationUID: uid, Site: site, Limit: 10_000}
			got, err := old.Subjects(t.Context(), q)
			want, err2 := fresh.Subjects(t.Context(), q)
			if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s at %q: %d rows, want %d: %v, %v", uid, site, len(got), len(want), err, err2)
			}
			rows += len(got)
		}
		q := audit.FlowQuery{OrganizationUID: uid, Limit: 100_000}
		got, err := old.Flows(t.Context(), q)
		want, err2 := fresh.Flows(t.Context(), q)
		if err != nil || err2 != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d flows, want %d: %v, %v", uid, len(got), len(want), err, err2)
		}
		for i := range got {
			terms += len(got[i].Terms)
		}
		q.Methods, q.Exclude.Connections = []string{"sso"}, []string{"partner"}
		if got, err = old.Flows(t.Context(), q); err != nil || uid == laterOrganization && len(got) != 0 {
			t.Errorf("%s: sso without the partner: %d flows, %v", uid, len(got), err)
		}
	}
	if rows < 40 || terms == 0 {
		t.Errorf("%d rows and %d bytes of terms were compared", rows, terms)
	}
}
