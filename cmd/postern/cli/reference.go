package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

//go:generate go run ./gen

// Reference returns the page docs/reference/cli.md: every command with its flags and examples, as --help has them.
func Reference() string {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	root := a.root()
	var b strings.Builder
	b.WriteString(`# Command line

Generated from cmd/postern/cli by ` + "`make docs`" + `: do not edit. ` + "`postern COMMAND --help`" + ` says the same.

` + root.Long + `

With ` + "`--output json`" + ` answers are JSON lines in the form proto JSON has, one message each; ` + "`sign-in`" + ` wraps each in an object that says
what it is (` + "`answer`, `session` or `flow`" + `). Tables are for people and may change. Text that came from elsewhere is shown with control,
bidirectional and invisible characters written out. Names are given as full resource names or short, ` + "`acme/wiki`" + ` for
` + "`organizations/acme/sites/wiki`" + `. ` + "`postern completion SHELL`" + ` prints shell completion.

## Flags of every command

`)
	flags(&b, root.PersistentFlags())
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.HasSubCommands() {
			for _, sub := range c.Commands() {
				walk(sub)
			}
			return
		}
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```sh\n%s\n```\n", strings.TrimSuffix(c.UseLine(), " [flags]"), text, unindent(c.Example))
		if c.LocalNonPersistentFlags().HasFlags() {
			b.WriteString("\n")
			flags(&b, c.LocalNonPersistentFlags())
		}
	}
	walk(root)
	return b.String()
}

func flags(b *strings.Builder, set *pflag.FlagSet) {
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	set.VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value := f.DefValue
		if value == "[]" {
			value = ""
		}
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, value, strings.ReplaceAll(f.Usage, "|", "\\|"))
	})
}

func unindent(example string) string {
	lines := strings.Split(example, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, "  ")
	}
	return strings.Join(lines, "\n")
}
