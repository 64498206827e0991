package postern_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/postern-audit/postern"

// pkg is what `go list -json` says of one package of this module.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

// rel is the path inside the module, "." for the root.
func (p pkg) rel() string { return relative(p.ImportPath) }

func relative(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// inside says whether a path is one of dirs or below one.
func inside(rel string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return rel == d || strings.HasPrefix(rel, d+"/") })
}

// standard tells the standard library by its first path element, which has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// testHelper is a package for tests only: conformance suites and helpers are named …test, the rest is in internal/testkit.
func testHelper(importPath string) bool {
	rel := relative(importPath)
	return inside(rel, "internal/testkit", "test") || strings.HasSuffix(path.Base(rel), "test")
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

var loadOnce = sync.OnceValues(func() ([]pkg, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,TestGoFiles,XTestGoFiles,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
})

// packages are all packages of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	all, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// core says what each core package may import besides the standard library. Whatever is not listed here belongs to an adapter.
var core = map[string][]string{
	"internal/errs": {},
	"audit":         {module + "/internal/errs", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix"},
	"policy":        {module + "/internal/errs", module + "/audit", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix"},
	"authflow": {
		module + "/internal/errs", module + "/audit", module + "/policy", module + "/authflow/factor",
		module + "/authflow/federation", "golang.org/x/net/idna", "golang.org/x/net/publicsuffix",
	},
	"policy/simulate":     {module + "/internal/errs", module + "/audit", module + "/policy"},
	"apikey":              {module + "/internal/errs", module + "/audit", module + "/policy"},
	"erasure":             {module + "/internal/errs", module + "/audit", module + "/policy"},
	"savedfilter":         {module + "/internal/errs", module + "/audit", module + "/policy"},
	"audit/export":        {module + "/internal/errs", module + "/audit"},
	"policy/domaincheck":  {module + "/internal/errs", module + "/audit", module + "/policy"},
	"authflow/factor":     {module + "/internal/errs", module + "/audit"},
	"authflow/federation": {module + "/internal/errs", module + "/audit", module + "/policy"},
}

func TestCorePackagesImportOnlyWhatTheCoreMay(t *testing.T) {
	found := 0
	for _, p := range packages(t) {
		allowed, isCore := core[p.rel()]
		if !isCore {
			continue
		}
		found++
		for _, imp := range p.Imports {
			if !standard(imp) && !slices.Contains(allowed, imp) {
				t.Errorf("%s imports %s\n\tthe core is audit ← policy ← authflow on the standard library and internal/errs, so that it can be "+
					"read, tested and trusted without a database, a wire format or a clock; put what needs this import into an adapter",
					p.rel(), imp)
			}
		}
	}
	if found != len(core) {
		t.Errorf("%d of %d core packages exist; the rule above is about packages that are not there", found, len(core))
	}
}

// directions are the edges that must not exist between directories. Tests may import everything; they are not looked at.
var directions = []struct {
	from, except, to []string // from these directories, except those, no import of these
	why              string
}{
	{
		from: []string{"audit"}, to: []string{"policy", "authflow"},
		why: "audit is the lowest layer: events must be writable and readable without knowing what decided them",
	},
	{
		from: []string{"policy"}, to: []string{"authflow"},
		why: "policy decides from values; what a flow is stays above it",
	},
	{
		from: []string{"audit", "policy", "authflow", "apikey", "erasure", "savedfilter"}, to: []string{"server", "cmd"},
		why: "core and adapters do not know how they are called",
	},
	{
		from: []string{"internal"}, except: []string{"internal/testkit"}, to: []string{"server", "cmd"},
		why: "helpers do not know how they are called",
	},
	{
		from: []string{"server"}, to: stores,
		why: "the server talks to the core and to what converts it to protobuf (audit/codec, policy/policypb); cmd/postern is the only place that wires stores to it",
	},
	{
		from: []string{"proto"},
		to:   []string{"audit", "policy", "authflow", "server", "internal", "cmd"},
		why:  "generated code is the wire format and nothing else, and clients import it",
	},
	{
		from: []string{"."}, to: []string{"audit", "policy", "authflow", "server", "internal", "cmd", "proto"},
		why: "the root package is documentation",
	},
	{
		from: []string{"audit", "policy", "authflow", "server", "internal", "cmd"}, to: []string{"bench"},
		why: "the benchmark program is a program",
	},
}

// stores marks what keeps or moves data below the core packages.
var stores = []string{"audit/sqlite", "audit/postgres", "audit/archiver", "policy/redisdirectory", "authflow/redisstore", "apikey/rediskeys", "audit/export/redisjobs", "internal/blob", "erasure/rediserasures", "savedfilter/redisfilters", "internal/redisx", "internal/embedded"}

func TestImportDirections(t *testing.T) {
	for _, p := range packages(t) {
		if testHelper(p.ImportPath) {
			continue // a test, whatever its directory
		}
		for _, d := range directions {
			if !inside(p.rel(), d.from...) || inside(p.rel(), d.except...) {
				continue
			}
			for _, imp := range p.Imports {
				if ours(imp) && forbidden(relative(imp), d.to) {
					t.Errorf("%s imports %s\n\t%s", p.rel(), relative(imp), d.why)
				}
			}
		}
	}
}

// forbidden reads a directory with a trailing slash as "what is below it".
func forbidden(rel string, to []string) bool {
	return slices.ContainsFunc(to, func(d string) bool {
		if strings.HasSuffix(d, "/") {
			return strings.HasPrefix(rel, d)
		}
		return inside(rel, d)
	})
}

func TestNothingButTestsImportsTestPackages(t *testing.T) {
	for _, p := range packages(t) {
		if testHelper(p.ImportPath) || inside(p.rel(), "bench") {
			continue
		}
		for _, imp := range p.Imports {
			if ours(imp) && testHelper(imp) {
				t.Errorf("%s imports %s outside its tests\n\ttest code must not be reachable from what runs", p.rel(), relative(imp))
			}
		}
	}
}

// testModules are dependencies that exist for tests. The embedded store, miniredis, is a part of the product.
var testModules = []string{
	"github.com/google/go-cmp", "github.com/rogpeppe/go-internal", "github.com/stretchr/testify", "go.uber.org/goleak",
	"pgregory.net/rapid",
}

func TestNoTestPackageReachesTheBinary(t *testing.T) {
	const why = "test code in the binary is code that nobody reviewed for production; the import is somewhere in " +
		"`go list -deps ./cmd/postern`"
	deps := strings.Fields(string(goCommand(t, "list", "-deps", "./cmd/postern")))
	if !slices.Contains(deps, module+"/cmd/postern") || !slices.Contains(deps, module+"/server") {
		t.Fatalf("go list -deps ./cmd/postern does not name the program and its server: %d packages", len(deps))
	}
	for _, dep := range deps {
		switch {
		case inside(dep, testModules...):
			t.Errorf("%s is in the binary\n\t%s", dep, why)
		case inside(dep, "testing"), ours(dep) && testHelper(dep):
			t.Errorf("%s is in the binary\n\t%s", dep, why)
		}
	}
}
