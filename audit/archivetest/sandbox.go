package archivetest

import (
	"slices"

	"github.com/postern-audit/postern/audit"
)

// sandboxCases are about events of organizations that are for trying things out.
var sandboxCases = []testCase{
	{"they are shown unless they are left out, beside every other filter and in pages", func(w *world) {
		var all, earnest []string
		for i := range 40 {
			e := w.event(func(e *audit.Event) {
				e.Sandbox = i%3 == 0
				if i%2 == 0 {
					e.Site, e.SiteUID = "wiki", "s-1"
				}
			})
			w.add(e)
			if all = append(all, e.ID); !e.Sandbox {
				earnest = append(earnest, e.ID)
			}
		}
		for _, size := range []int{1, 7, 100} {
			if got := w.pages(audit.Query{OrganizationUID: orgA}, size); !slices.Equal(got, all) {
				w.Errorf("all of them: %v", got)
			}
			if got := w.pages(audit.Query{OrganizationUID: orgA, NoSandbox: true}, size); !slices.Equal(got, earnest) {
				w.Errorf("without: %v, want %v", got, earnest)
			}
			got := w.pages(audit.Query{OrganizationUID: orgA, NoSandbox: true, Match: audit.Match{Sites: []string{"wiki"}}}, size)
			want := slices.DeleteFunc(slices.Clone(all), func(id string) bool {
				i := slices.Index(all, id)
				return i%2 != 0 || i%3 == 0
			})
			if !slices.Equal(got, want) {
				w.Errorf("of a site: %v, want %v", got, want)
			}
		}
		for i, e := range must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 100}))(w) {
			if e.Sandbox != (i%3 == 0) {
				w.Errorf("event %d says %t", i, e.Sandbox)
			}
		}
	}},
}
