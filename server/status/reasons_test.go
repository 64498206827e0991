package status_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/status"
)

// source is one package of this repository, parsed.
type source struct {
	dir    string
	files  []*ast.File
	consts map[string]string         // name → value of string constants
	sinks  map[string]int            // function → index of the argument that is a reason, for callers to read
	found  map[string]token.Position // reason → where
}

const errsPackage = "github.com/postern-audit/postern/internal/errs"

// makers are the functions of errs that take a reason, with its place.
var makers = map[string]int{"New": 1, "Newf": 1, "Wrap": 2, "Field": 1}

// program is code that talks to people, not to callers of the API.
var program = []string{"cmd", "bench", "test", "tools", "internal/client", "internal/config", "internal/demo", "internal/show", "internal/testkit"}

func TestEveryReasonInTheCodeIsInTheTableAndTheOtherWayRound(t *testing.T) {
	used := reasonsInCode(t)
	known := map[string]bool{}
	for _, r := range status.Reasons() {
		if known[r.Reason] {
			t.Errorf("%s is in the table twice", r.Reason)
		}
		known[r.Reason] = true
		if _, ok := used[r.Reason]; !ok && r.Reason != status.ReasonInternal { // what every Internal error is to callers
			t.Errorf("%s is in the table, but no code answers it", r.Reason)
		}
	}
	for reason, at := range used {
		if !known[reason] {
			t.Errorf("%s: %s is not in the table of server/status: callers would not know what it means", at, reason)
		}
	}
	if len(used) < 20 {
		t.Fatalf("found only %d reasons: this test looked in the wrong place", len(used))
	}
}

func TestTheTableSaysWhatAReasonMeansAndWhatToDo(t *testing.T) {
	for _, r := range status.Reasons() {
		if r.Meaning == "" || r.Do == "" {
			t.Errorf("%s says too little", r.Reason)
		}
		if len(r.Reason) > 63 || strings.Trim(r.Reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			t.Errorf("%s is no UPPER_SNAKE name of at most 63 bytes", r.Reason)
		}
		if r.Retry && r.Kind != errs.Unavailable && r.Kind != errs.ResourceExhausted && r.Kind != errs.Conflict {
			t.Errorf("%s: waiting does not help against %v", r.Reason, r.Kind)
		}
	}
}

// reasonsInCode collects the reasons of all errors this repository makes, following functions that pass one on.
func reasonsInCode(t *testing.T) map[string]token.Position {
	t.Helper()
	fset := token.NewFileSet()
	packages := map[string]*source{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test") || rel == "proto/gen" || slices.Contains(program, rel) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if packages[dir] == nil {
			packages[dir] = &source{dir: dir, consts: map[string]string{}, sinks: map[string]int{}, found: map[string]token.Position{}}
		}
		packages[dir].add(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]token.Position{}
	for _, p := range packages {
		p.scan(t, fset, packages)
		for reason, at := range p.found {
			out[reason] = at
		}
	}
	return out
}

func (p *source) add(file *ast.File) {
	p.files = append(p.files, file)
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			for i := range min(len(v.Names), len(v.Values)) {
				if text, ok := literal(v.Values[i]); ok {
					p.consts[v.Names[i].Name] = text
				}
			}
		}
	}
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// scan goes over the package until no more functions turn out to pass a reason on.
func (p *source) scan(t *testing.T, fset *token.FileSet, packages map[string]*source) {
	t.Helper()
	for before := -1; before != len(p.sinks); {
		before = len(p.sinks)
		for _, file := range p.files {
			names := imports(file)
			for _, d := range file.Decls {
				ast.Inspect(d, func(n ast.Node) bool {
					f, _ := d.(*ast.FuncDecl)
					if e := p.reasonOf(n, names); e != nil {
						p.take(t, fset, packages, names, f, e)
					}
					return true
				})
			}
		}
	}
}

// reasonOf returns the expression that is a reason in n, if n makes an error.
func (p *source) reasonOf(n ast.Node, names map[string]string) ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		i, ok := -1, false
		switch f := n.Fun.(type) {
		case *ast.SelectorExpr:
			if x, isName := f.X.(*ast.Ident); isName && names[x.Name] == errsPackage {
				if i, ok = pick(makers, f.Sel.Name); ok && f.Sel.Name != "Field" && isInternal(n.Args[i-1]) && !isVariable(n.Args[i], p) {
					return nil // callers read INTERNAL, whatever the log says
				}
			} else if !isName || names[x.Name] == "" {
				i, ok = pick(p.sinks, f.Sel.Name) // a method
			}
		case *ast.Ident:
			i, ok = pick(p.sinks, f.Name)
		}
		if ok && i < len(n.Args) {
			return n.Args[i]
		}
	case *ast.CompositeLit:
		s, ok := n.Type.(*ast.SelectorExpr)
		if !ok || s.Sel.Name != "Error" {
			return nil
		}
		if x, isName := s.X.(*ast.Ident); !isName || names[x.Name] != errsPackage {
			return nil
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				if k, ok := kv.Key.(*ast.Ident); ok && k.Name == "Reason" {
					return kv.Value
				}
			}
		}
	}
	return nil
}

// isInternal reports whether a kind is errs.Internal.
func isInternal(kind ast.Expr) bool {
	s, ok := kind.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Internal"
}

// isVariable reports whether a reason is neither literal nor constant: it may go with other kinds elsewhere.
func isVariable(reason ast.Expr, p *source) bool {
	x, ok := reason.(*ast.Ident)
	return ok && p.consts[x.Name] == ""
}

func pick(m map[string]int, name string) (int, bool) { i, ok := m[name]; return i, ok }

// take notes a reason, or that the function around it passes one on.
func (p *source) take(t *testing.T, fset *token.FileSet, packages map[string]*source, names map[string]string, f *ast.FuncDecl, e ast.Expr) {
	t.Helper()
	if s, ok := literal(e); ok {
		p.found[s] = fset.Position(e.Pos())
		return
	}
	switch e := e.(type) {
	case *ast.Ident:
		if s, ok := p.consts[e.Name]; ok {
			p.found[s] = fset.Position(e.Pos())
			return
		}
		if i := parameter(f, e.Name); i >= 0 {
			p.sinks[f.Name.Name] = i
			return
		}
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			other := packages[strings.TrimPrefix(names[x.Name], "github.com/postern-audit/postern/")]
			if other != nil {
				if s, ok := other.consts[e.Sel.Name]; ok {
					p.found[s] = fset.Position(e.Pos())
					return
				}
			}
		}
		if e.Sel.Name == "Reason" { // an error or table entry whose own reason was found where it is made
			return
		}
	}
	t.Errorf("%s: this reason cannot be followed; use a constant or a parameter", fset.Position(e.Pos()))
}

// parameter returns the place of a parameter, -1 when f has none of this name.
func parameter(f *ast.FuncDecl, name string) int {
	if f == nil {
		return -1
	}
	i := 0
	for _, field := range f.Type.Params.List {
		for _, n := range field.Names {
			if n.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}

// imports returns the names a file uses for packages.
func imports(file *ast.File) map[string]string {
	out := map[string]string{}
	for _, im := range file.Imports {
		path, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if im.Name != nil {
			name = im.Name.Name
		}
		out[name] = path
	}
	return out
}
