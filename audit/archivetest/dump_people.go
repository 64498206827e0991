package archivetest

import (
	"reflect"

	"github.com/postern-audit/postern/audit"
)

// dumpPeopleCases hold what copies read of people.
var dumpPeopleCases = []testCase{
	{"rows of people are dumped as they are stored, page by page", func(w *world) {
		d, ok := w.Backend.(audit.SubjectDumper)
		if !ok {
			w.Fatal("the archive does not dump people")
		}
		w.retain(orgA, audit.Retention{SignIn: 1, Administration: 1, Activity: 1})
		var want int
		for _, name := range []string{"ann", "bob", "cyd"} {
			for _, site := range []string{"wiki", "shop", ""} {
				w.add(w.did(name, site, audit.TypeSignInSucceeded), w.did(name, site, audit.TypeMFAVerified, ofB))
				want++
			}
		}
		w.set(began.AddDate(1, 0, 0)) // retention shows nobody any more
		var all []audit.SubjectRow
		for _, size := range []int{1, 2, 100} {
			var behind *audit.SubjectRow
			var got []audit.SubjectRow
			for {
				page := must(d.DumpSubjects(w.Context(), orgA, behind, size))(w)
				if len(page) > size {
					w.Fatalf("%d rows on a page of %d", len(page), size)
				}
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				behind = &page[len(page)-1]
			}
			if len(got) != want || all != nil && !reflect.DeepEqual(got, all) {
				w.Errorf("by %d: %d rows, want %d", size, len(got), want)
			}
			all = got
		}
		if got := must(d.DumpSubjects(w.Context(), "nobody", nil, 10))(w); len(got) != 0 {
			w.Errorf("of nobody: %v", got)
		}
	}},
}
