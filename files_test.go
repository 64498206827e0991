package postern_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines        = 400
	maxInterfaceMethods = 7
)

// notSources are directories that hold no source of the project.
var notSources = []string{".git", "bin", "dist", "data", "node_modules"}

// sources calls visit for every file of the project, with its path from the root.
func sources(t *testing.T, visit func(name string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(notSources, d.Name()) {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(name), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goFiles calls visit for every Go file that people write.
func goFiles(t *testing.T, visit func(name string, content []byte, file *ast.File)) {
	t.Helper()
	count := 0
	fset := token.NewFileSet()
	sources(t, func(name string, content []byte) {
		if !strings.HasSuffix(name, ".go") {
			return
		}
		file, err := parser.ParseFile(fset, name, content, parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if ast.IsGenerated(file) {
			return
		}
		count++
		visit(name, content, file)
	})
	if count == 0 {
		t.Fatal("no Go file found: this test looked in the wrong place")
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	goFiles(t, func(name string, _ []byte, file *ast.File) {
		dir := filepath.ToSlash(filepath.Dir(name))
		// A package of tests only is described in one of them; else the comment must stand where go doc finds it.
		comment := file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != ""
		said[dir] = said[dir] || comment && (!strings.HasSuffix(name, "_test.go") || onlyTests(t, dir))
	})
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment\n\tsay its purpose, its invariant, what it must never do, and which file to read first", dir)
		}
	}
}

func onlyTests(t *testing.T, dir string) bool {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(names, func(n string) bool { return !strings.HasSuffix(n, "_test.go") })
}

func TestNoFileIsTooLongToReadAtOnce(t *testing.T) {
	goFiles(t, func(name string, content []byte, _ *ast.File) {
		if n := bytes.Count(content, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, the limit is %d\n\tsplit it by what its parts are about", name, n, maxFileLines)
		}
	})
}

func TestNoInterfaceAsksTooMuch(t *testing.T) {
	type decl struct {
		name string
		typ  *ast.InterfaceType
	}
	found := map[string]map[string]decl{} // directory, type name
	goFiles(t, func(name string, _ []byte, file *ast.File) {
		dir := filepath.Dir(name)
		if found[dir] == nil {
			found[dir] = map[string]decl{}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok {
				if it, ok := ts.Type.(*ast.InterfaceType); ok {
					found[dir][ts.Name.Name] = decl{name, it}
				}
			}
			return true
		})
	})
	for dir, decls := range found {
		// An embedded interface of the same package counts with its methods, one from elsewhere as one.
		var methods func(*ast.InterfaceType) int
		methods = func(it *ast.InterfaceType) int {
			sum := 0
			for _, f := range it.Methods.List {
				id, _ := f.Type.(*ast.Ident)
				switch {
				case len(f.Names) > 0:
					sum += len(f.Names)
				case id != nil && decls[id.Name].typ != nil:
					sum += methods(decls[id.Name].typ)
				default:
					sum++
				}
			}
			return sum
		}
		for name, d := range decls {
			if n := methods(d.typ); n > maxInterfaceMethods {
				t.Errorf("%s: %s.%s has %d methods, the limit is %d\n\tdeclare what each user needs where it is used",
					d.name, filepath.Base(dir), name, n, maxInterfaceMethods)
			}
		}
	}
}

func TestNothingPointsOutOfTheRepository(t *testing.T) {
	// Spelled in two parts so that this file does not find itself.
	outside := []string{"../" + "shared", "/work/" + "shared", "/work/" + "main"}
	sources(t, func(name string, content []byte) {
		for _, s := range outside {
			if bytes.Contains(content, []byte(s)) {
				t.Errorf("%s mentions %s\n\ta clone of this repository has nothing there", name, s)
			}
		}
	})
}
