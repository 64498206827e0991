package examples_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-audit/postern/policy/cases"
	"github.com/postern-audit/postern/policy/document"
)

var newYear = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func directoryOf(t *testing.T, path string) (*cases.Directory, *document.Document) {
	t.Helper()
	doc, problems := document.Parse(read(t, path))
	if doc == nil {
		t.Fatal(problems)
	}
	d, problems := cases.New(doc)
	if d == nil {
		t.Fatal(problems)
	}
	return d, doc
}

func TestNothingIsToBeSaidOfTheExamples(t *testing.T) {
	for _, path := range []string{"acme.yaml", "connections.yaml", "policies/observe.yaml", "policies/mfa.yaml", "policies/partner-sso.yaml"} {
		d, doc := directoryOf(t, path)
		for _, p := range doc.Lint(d.Organization(), newYear) {
			t.Errorf("%s: %s", path, p)
		}
	}
}

func TestEachPresetDecidesAsItsCasesSay(t *testing.T) {
	paths, err := filepath.Glob("policies/*.test.yaml")
	if err != nil || len(paths) != 3 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		file, problems := document.ParseCases(read(t, path))
		if file == nil {
			t.Fatal(path, problems)
		}
		d, _ := directoryOf(t, filepath.Join("policies", file.Document))
		ruled := map[string]bool{}
		for i := range file.List {
			c := &file.List[i]
			o, err := d.Run(c, file.Time)
			if err != nil || len(o.Differences) > 0 {
				t.Errorf("%s, line %d: %v %v", path, c.Line, o.Differences, err)
			}
			ruled[o.Decision.Rule] = true
			if w := o.Decision.WouldBe; w != nil {
				ruled[w.Rule] = true
			}
		}
		for _, r := range d.Organization().Policy.Rules {
			if !ruled[r.ID] {
				t.Errorf("%s: no case is about rule %s", path, r.ID)
			}
		}
	}
}
