package redisstore_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func TestManySubjectsAreReadAtOnce(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	nobody, both, someone := newKey(), newKey(), newKey()
	commit(t, r.store, subjectCommit(o, &authflow.SubjectRecords{Key: both}))
	person := subjectCommit(o, &authflow.SubjectRecords{Key: someone})
	person.Authenticator = nil
	commit(t, r.store, person)
	got, err := r.store.Subjects(t.Context(), o.UID, []policy.AccountKey{both, nobody, someone, both})
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, key := range []policy.AccountKey{both, nobody, someone, both} {
		if d := cmp.Diff(*subjectOf(t, r.store, o, key), got[i]); d != "" {
			t.Errorf("%d (-read alone +read together):\n%s", i, d)
		}
	}
	if e, proofs := got[0].Holds(); !e.Known || len(e.Factors) != 1 || len(proofs) != 1 {
		t.Errorf("%+v, %+v", e, proofs)
	}
	if e, proofs := got[1].Holds(); !e.Known || len(e.Factors) != 0 || len(proofs) != 0 {
		t.Errorf("%+v, %+v", e, proofs)
	}
	if got, err := r.store.Subjects(t.Context(), o.UID, nil); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := r.client.HSet(t.Context(), r.store.PersonKey(o.UID, someone), "s", "\x01\xff\xff").Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := r.store.Subjects(t.Context(), o.UID, []policy.AccountKey{both, someone}); !errs.Is(err, "RECORD_MALFORMED") {
		t.Errorf("a record that cannot be read is taken for none: %+v, %v", got, err)
	}
}
