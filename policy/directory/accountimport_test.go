package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/directory"
)

func begin(id string) directory.ImportBegin {
	return directory.ImportBegin{Organization: "acme", RequestID: id, Reason: "the list of May", Digest: []byte("0123456789abcdef")}
}

func (w *accountWorld) importing(a *directory.Accounts, in directory.ImportBegin) (*directory.Import, directory.ImportAnswer) {
	w.t.Helper()
	run, at, err := a.Import(w.t.Context(), "unix:7", in)
	if err != nil {
		w.t.Fatal(err)
	}
	return run, at
}

// rows reads accounts as account does; what cannot be read is refused.
func rows(t *testing.T, all ...string) []directory.ImportRow {
	t.Helper()
	out := make([]directory.ImportRow, len(all))
	for i, s := range all {
		if s == "" {
			_, out[i].Refused = directory.ParseAccount("", "", "")
			continue
		}
		out[i].Account = account(t, s)
	}
	return out
}

func counts(a directory.ImportAnswer) string {
	s := fmt.Sprintf("next %d created %d unchanged %d refused %d", a.NextRow, a.Created, a.Unchanged, a.Refused)
	for _, r := range a.Refusals {
		s += fmt.Sprintf(" %d:%s", r.Row, r.Reason)
	}
	return s
}

func TestAnImportCountsEachRowOnceAndGoesOnWhereItWas(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("globex", "taken")
	w.claim("acme", "old")
	run, at := w.importing(w.first, begin("may"))
	if counts(at) != "next 0 created 0 unchanged 0 refused 0" {
		t.Fatal(counts(at))
	}
	steps := []struct {
		rows []string
		want string
	}{
		{[]string{"a", "taken", "", "old", "a", "b@example.com"}, "next 6 created 2 unchanged 2 refused 2 1:ACCOUNT_TAKEN 2:ACCOUNT_INVALID"},
		{[]string{"old", "B@example.com"}, "next 8 created 2 unchanged 4 refused 2"},
		{[]string{"taken"}, "next 9 created 2 unchanged 4 refused 3 8:ACCOUNT_TAKEN"},
		{[]string{"c=first"}, "next 10 created 3 unchanged 4 refused 3"},
	}
	done := int64(0)
	for i, s := range steps {
		if i > 0 { // another process, another call
			run, at = w.importing([]*directory.Accounts{w.first, w.second}[i%2], begin("may"))
			if at.NextRow != done || len(at.Refusals) != 0 {
				t.Fatalf("begun again: %s", counts(at))
			}
		}
		for _, wrong := range []int64{done + 1, done - 1, 0} {
			if wrong == done {
				continue
			}
			if _, err := run.Batch(t.Context(), wrong, rows(t, "z")); !errs.Is(err, "IMPORT_OUT_OF_STEP") || errs.KindOf(err) != errs.FailedPrecondition {
				t.Errorf("from row %d: %v", wrong, err)
			}
		}
		got, err := run.Batch(t.Context(), done, rows(t, s.rows...))
		if err != nil || counts(got) != s.want {
			t.Fatalf("%v: %s, %v", s.rows, counts(got), err)
		}
		done = got.NextRow
	}
	if got := w.listed("acme"); !slices.Equal(got, []string{"a", "b@example.com", "c", "old"}) {
		t.Errorf("%v", got)
	}
	want := []string{"account.claimed old", "account.claimed a b@example.com", "account.claimed c"}
	if got := w.told("acme"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c, err := w.first.Get(t.Context(), "acme", named(t, "c")); err != nil || c.Note != "first" {
		t.Errorf("%+v, %v", c, err)
	}
	for name, change := range map[string]func(*directory.ImportBegin){
		"another list":   func(in *directory.ImportBegin) { in.Digest = []byte("fedcba9876543210") },
		"another reason": func(in *directory.ImportBegin) { in.Reason = "" },
	} {
		in := begin("may")
		change(&in)
		if _, _, err := w.first.Import(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("%s: %v", name, err)
		}
	}
	unsaid := begin("may")
	unsaid.Digest = nil
	if _, at := w.importing(w.first, unsaid); at.NextRow != 10 || at.Created != 3 || at.Revision == 0 {
		t.Errorf("without a digest: %s", counts(at))
	}
	if _, err := run.Batch(t.Context(), 10, nil); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no rows: %v", err)
	}
}

func TestAnImportThatOnlyChecksWritesNothing(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("globex", "taken")
	in := begin("may")
	in.ValidateOnly = true
	run, _ := w.importing(w.first, in)
	for i, want := range []string{"next 3 created 1 unchanged 0 refused 2 1:ACCOUNT_TAKEN 2:ACCOUNT_INVALID", "next 6 created 2 unchanged 0 refused 4 4:ACCOUNT_TAKEN 5:ACCOUNT_INVALID"} {
		if got, err := run.Batch(t.Context(), int64(3*i), rows(t, fmt.Sprint("a", i), "taken", "")); err != nil || counts(got) != want {
			t.Errorf("%s, %v", counts(got), err)
		}
	}
	if len(w.listed("acme")) != 0 || len(w.told("acme")) != 0 {
		t.Error("something was written")
	}
	if _, at := w.importing(w.first, begin("may")); at.NextRow != 0 {
		t.Errorf("and then for real: %s", counts(at))
	}
}

func TestTwoCallsOfOneImportDoEachRowOnce(t *testing.T) {
	w := newAccountWorld(t)
	all := make([]string, 200)
	for i := range all {
		all[i] = fmt.Sprintf("n%03d", i/2) // each twice: some batches change nothing
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		a := []*directory.Accounts{w.first, w.second}[worker%2]
		wait.Go(func() {
			for {
				run, at, err := a.Import(t.Context(), "unix:7", begin("may"))
				if err != nil {
					t.Error(err)
					return
				}
				next := at.NextRow
				for next < int64(len(all)) {
					got, err := run.Batch(t.Context(), next, rows(t, all[next:next+1]...))
					if errs.Is(err, "IMPORT_OUT_OF_STEP") {
						break
					}
					if err != nil {
						t.Error(err)
						return
					}
					next = got.NextRow
				}
				if next == int64(len(all)) {
					return
				}
			}
		})
	}
	wait.Wait()
	_, at := w.importing(w.first, begin("may"))
	if counts(at) != "next 200 created 100 unchanged 100 refused 0" || len(w.listed("acme")) != 100 || len(w.told("acme")) != 100 {
		t.Errorf("%s; %d claims, %d events", counts(at), len(w.listed("acme")), len(w.told("acme")))
	}
}

func TestSeveralImportsIntoOneOrganizationAllGetThrough(t *testing.T) {
	w := newAccountWorld(t)
	var wait sync.WaitGroup
	for n := range 4 {
		a := []*directory.Accounts{w.first, w.second}[n%2]
		wait.Go(func() {
			run, at, err := a.Import(t.Context(), "unix:7", begin(fmt.Sprint("list-", n)))
			for i := 0; err == nil && i < 25; i++ {
				at, err = run.Batch(t.Context(), at.NextRow, rows(t, fmt.Sprintf("own-%d-%d", n, i), fmt.Sprintf("all-%d", i)))
			}
			if err != nil || at.NextRow != 50 || at.Created+at.Unchanged != 50 {
				t.Errorf("%s, %v", counts(at), err)
			}
		})
	}
	wait.Wait()
	if got := w.listed("acme"); len(got) != 125 {
		t.Errorf("%d claims", len(got))
	}
	if got := w.replayed("acme"); !slices.Equal(got, w.listed("acme")) {
		t.Errorf("events say %d", len(got))
	}
}

func TestAnImportThatLostItsAnswersDoublesNothing(t *testing.T) {
	w := newAccountWorld(t)
	for n, at := range []string{"take", "commit", "answer", ""} {
		a, m := w.dying(at)
		in := begin("x" + at)
		run, _ := w.importing(a, in)
		name := fmt.Sprint("x", n)
		got, err := run.Batch(t.Context(), 0, rows(t, name, "shared"))
		_, after := w.importing(w.second, in)
		if committed := !m.dead.Load() || at == "answer"; committed != (after.NextRow == 2) || m.dead.Load() == (err == nil) || err == nil && got.NextRow != 2 {
			t.Errorf("dead at %s: %s, %v", at, counts(after), err)
		}
		run, _ = w.importing(w.second, in)
		if after.NextRow == 0 {
			if after, err = run.Batch(t.Context(), 0, rows(t, name, "shared")); err != nil {
				t.Errorf("dead at %s, again: %v", at, err)
			}
		}
		if after.Created+after.Unchanged != 2 || after.Created == 0 {
			t.Errorf("dead at %s: %s", at, counts(after))
		}
	}
	if got := w.listed("acme"); !slices.Equal(got, []string{"shared", "x0", "x1", "x2", "x3"}) || len(w.told("acme")) != 4 {
		t.Errorf("%v, %q", got, w.told("acme"))
	}
}

func TestADocumentThatClaimsWhatAnotherOrganizationHasIsRefusedBeforeItsFirstCommit(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("globex", "g1", "g2@example.com")
	const text = "organization: acme\ndisplay_name: Acme\ndomains: [acme-x.com]\nclaims:\n  accounts:\n    - a1\n    - g1\n  addresses: [a@example.com, G2@example.com]\n"
	etag := w.etag()
	for _, validate := range []bool{true, false} {
		_, err := w.apply(directory.ApplyInput{Document: []byte(text), Etag: etag, ValidateOnly: validate})
		e := errs.As(err)
		if e == nil || e.Reason != "ACCOUNT_TAKEN" || len(e.Violations) != 2 || !strings.HasPrefix(e.Violations[0].Description, "line 7, ") ||
			e.Violations[0].Field != "claims.accounts[1]" || !strings.HasPrefix(e.Violations[1].Description, "line 8, ") || strings.Contains(e.Public, "globex") {
			t.Fatalf("validate only %t: %v", validate, err)
		}
	}
	if w.etag() != etag {
		t.Error("something was written")
	}
	if err := w.second.Delete(t.Context(), "unix:7", w.naming("globex", "g1")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.second.DeleteMany(t.Context(), "unix:7", w.naming("globex", "g2@example.com")); err != nil {
		t.Fatal(err)
	}
	w.must(directory.ApplyInput{Document: []byte(text), Etag: etag})
	if got := w.listed("acme"); !slices.Equal(got, []string{"G2@example.com", "a1", "a@example.com", "g1"}) {
		t.Errorf("%v", got)
	}
	if _, err := w.second.CreateMany(t.Context(), "unix:7", w.input("globex", "g1")); !errs.Is(err, "ACCOUNT_TAKEN") {
		t.Errorf("what a document claims: %v", err)
	}
	// What a document claims is read and released like any other.
	a, err := w.second.Get(t.Context(), "acme", named(t, "g1"))
	if err != nil || a.ID != "g1" || a.Claim.Created.IsZero() {
		t.Errorf("%+v, %v", a, err)
	}
}
