// Command gen writes docs/reference/config.md and examples/postern.yaml from the comments and defaults of internal/config.
//
// Invariant: what it writes holds every setting with its default, and a test fails when the files are stale. It must never be
// part of the binary. First file to read: this one. Run it with go generate in internal/config.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/postern-audit/postern/internal/config"
)

func main() {
	if err := write(".", "../.."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// write reads the package in dir and writes the files below root.
func write(dir, root string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // directories of the repository, for everybody
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // documentation, for everybody
			return err
		}
	}
	return nil
}

// generate returns the files by their path from the root of the repository.
func generate(dir string) (map[string]string, error) {
	docs, err := comments(filepath.Join(dir, "config.go"))
	if err != nil {
		return nil, err
	}
	ref, err := reference(docs)
	if err != nil {
		return nil, err
	}
	return map[string]string{"docs/reference/config.md": ref, "examples/postern.yaml": sample(docs)}, nil
}

// comments returns the comment of every struct type and, as Type.Field, of every field. Sections' fields take their type's.
func comments(path string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			ts, isType := spec.(*ast.TypeSpec)
			if !isType {
				continue
			}
			st, isStruct := ts.Type.(*ast.StructType)
			if !isStruct {
				continue
			}
			docs[ts.Name.Name] = oneLine(g.Doc)
			for _, f := range st.Fields.List {
				for _, n := range f.Names {
					docs[ts.Name.Name+"."+n.Name] = oneLine(f.Doc)
				}
			}
		}
	}
	return docs, nil
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// sectionText is a section's comment as a sentence about the section instead of the Go type.
func sectionText(docs map[string]string, typeName string) string {
	text := docs[typeName]
	for _, verb := range []string{" is ", " are ", " bound ", " bounds ", " holds "} {
		if rest, ok := strings.CutPrefix(text, typeName+verb); ok {
			if verb == " bound " || verb == " bounds " || verb == " holds " {
				rest = strings.TrimPrefix(verb, " ") + rest
			}
			return strings.ToUpper(rest[:1]) + rest[1:]
		}
	}
	return text
}

// sectionTypes maps "redis.tls." to RedisTLS.
func sectionTypes() map[string]string {
	c := config.Default()
	types := map[string]string{}
	for _, f := range config.Fields(&c) {
		if i := strings.LastIndexByte(f.Path, '.'); i >= 0 {
			name, _, _ := strings.Cut(f.Go, ".")
			types[f.Path[:i+1]] = name
		}
	}
	return types
}

func sample(docs map[string]string) string {
	c := config.Default()
	types := sectionTypes()
	byPath := map[string]string{}
	for _, f := range config.Fields(&c) {
		byPath[f.Path] = docs[f.Go]
	}
	body := config.YAML(c, func(path string) []string {
		if t, isSection := types[path]; isSection {
			return append([]string{""}, wrap(sectionText(docs, t), 100)...)
		}
		return wrap(byPath[path], 100)
	})
	head := "# Every setting of `postern serve` with its default. Generated from internal/config by `make docs`: do not edit.\n" +
		"# Start with `postern serve --config FILE`; `postern config check --config FILE` says what is wrong with it.\n\n"
	return head + body
}

func reference(docs map[string]string) (string, error) {
	var b strings.Builder
	b.WriteString(intro)
	c := config.Default()
	types := sectionTypes()
	section := "-"
	for _, f := range config.Fields(&c) {
		at := f.Path[:strings.LastIndexByte(f.Path, '.')+1]
		if at != section {
			section = at
			if at == "" {
				b.WriteString("\n## Top level\n\n")
			} else {
				fmt.Fprintf(&b, "\n## `%s`\n\n%s\n\n", strings.TrimSuffix(at, "."), sectionText(docs, types[at]))
			}
			b.WriteString("| setting | environment | type | default | meaning |\n|---|---|---|---|---|\n")
		}
		if docs[f.Go] == "" {
			return "", fmt.Errorf("%s has no comment", f.Go)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | `%s` | %s |\n", f.Path, f.Env, f.Type(), f.YAML(), strings.ReplaceAll(docs[f.Go], "|", "\\|"))
	}
	return b.String(), nil
}

const intro = `# Settings

Generated from internal/config by ` + "`make docs`" + `: do not edit.

` + "`postern serve`" + ` starts without any setting: an embedded store and SQLite in ` + "`./data`" + `, for trying out. A setting is taken from
its default, then the YAML file (` + "`--config FILE`" + ` or ` + "`POSTERN_CONFIG`" + `), then the environment, then the command line
(` + "`--set redis.mode=standalone`" + `); the later one wins. A key that is no setting is an error, in the file and among the
variables that begin with ` + "`POSTERN_`" + ` (` + "`POSTERN_CONFIG`, `POSTERN_ADDRESS`, `POSTERN_OUTPUT`, `POSTERN_TIMEOUT` and `POSTERN_ADMIN_EMAIL`" + ` are read by the
program itself). Lists in the environment and in flags are written with commas: ` + "`signin,api`" + `. An empty text is a value, not a
request for the default.

` + "`postern config check`" + ` names every problem at once with what to do; ` + "`postern config print`" + ` shows what holds, secrets redacted.
[examples/postern.yaml](../../examples/postern.yaml) is a file with every default.

A setting whose name begins with ` + "`insecure_`" + ` gives up a promise; without it the process refuses to start in such a set-up.
`

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
