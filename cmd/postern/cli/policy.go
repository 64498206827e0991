package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/policy/cases"
	"github.com/postern-audit/postern/policy/document"
)

func (a *app) policy() *cobra.Command {
	return group(&cobra.Command{Use: "policy", Short: "External-user policies: kept, tried, suspended; files of them linted and tested"},
		a.policyGet(), a.policyAt(), a.policyUpdate(), a.policyRevisions(), a.policyRollback(), a.policySuspend(), a.policyResume(), a.policySimulate(), a.policyImpact(), a.policyLint(), a.policyTest())
}

// finding is a line of `policy lint`.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"` // ERROR or WARNING
	Rule     string `json:"rule"`
	Code     string `json:"code"`
	Path     string `json:"path"`
	Text     string `json:"text"`
	Fix      string `json:"fix"`
}

func (a *app) policyLint() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "What is wrong with organization documents, and what is probably not meant",
		Long: `What is wrong with organization documents, and what is probably not meant: rules that never decide, demands nobody can meet,
trials that show nothing, rules that are over, sites nobody may enter. Each document ("-" reads standard input) is judged by
itself, as apply to an organization that does not exist yet would take it, by the code that apply uses; no sidecar is needed.
docs/policy-admin.md lists the codes.

Exit code 0 when there is nothing to say, 1 when there is, 2 for wrong usage, which includes a file that cannot be read.`,
		Example: `  postern policy lint acme.yaml
  postern policy lint --time 2027-01-01T00:00:00Z organizations/*.yaml
  postern policy lint acme.yaml --output json | jq -r 'select(.severity == "ERROR") | .text'`,
		Args: atLeastOne("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			now, err := a.moment("time", at)
			if err != nil {
				return err
			}
			var all []finding
			for _, file := range args {
				found, err := a.lint(file, now)
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			return a.findingsOf(all)
		},
	}
	cmd.Flags().StringVar(&at, "time", "", "the moment to judge at, such as 2027-01-01T00:00:00Z (default: now)")
	return cmd
}

// moment reads a flag that holds a time; without one it is now.
func (a *app) moment(flag, text string) (time.Time, error) {
	if text == "" {
		return a.now(), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, usagef("--%s must be a moment such as 2026-11-20T08:00:00Z", flag)
	}
	return t, nil
}

func (a *app) lint(file string, now time.Time) ([]finding, error) {
	text, err := a.read(file, maxDocument)
	if err != nil {
		return nil, inputError{err}
	}
	doc, problems := a.parse(text)
	if doc == nil {
		return findingsIn(file, problems), nil
	}
	d, problems := cases.New(doc)
	if d == nil {
		return findingsIn(file, problems), nil
	}
	return findingsIn(file, doc.Lint(d.Organization(), now)), nil
}

// parse reads a document as apply does.
func (a *app) parse(text []byte) (*document.Document, document.Problems) {
	return document.ParseWith(text, serve.ReadMetadata(a.now))
}

func findingsIn(file string, problems document.Problems) (out []finding) {
	for _, p := range problems {
		f := finding{File: file, Line: p.Line, Column: p.Column, Severity: "ERROR", Rule: p.Rule, Code: p.Code, Path: p.Path, Text: p.Text, Fix: p.Fix}
		if p.Warning {
			f.Severity = "WARNING"
		} else {
			f.Code = document.ReasonInvalid
		}
		out = append(out, f)
	}
	return out
}

func (a *app) findingsOf(all []finding) error {
	if len(all) == 0 {
		return nil
	}
	rows := make([][]string, len(all))
	for i, f := range all {
		if a.json() {
			if err := a.line(f); err != nil {
				return err
			}
		}
		rows[i] = []string{f.File + ":" + strconv.Itoa(f.Line), f.Severity, f.Code, f.Path, f.Text + "; " + f.Fix}
	}
	if !a.json() {
		if err := show.Table(a.stdout, []string{"PLACE", "SEVERITY", "CODE", "WHERE", "WHAT"}, rows); err != nil {
			return err
		}
	}
	return errNo
}

// line prints v as a JSON line.
func (a *app) line(v any) error {
	b, err := show.Line(v)
	if err != nil {
		return err
	}
	return a.write(b)
}

// cannot says what is wrong with a file that nothing can be done with.
func cannot(file string, problems document.Problems) error {
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		if !p.Warning {
			lines = append(lines, file+": "+p.String())
		}
	}
	if n := len(lines) - document.MaxProblems; n > 0 {
		lines = append(lines[:document.MaxProblems], fmt.Sprintf("%s: and %d more problems", file, n))
	}
	return inputError{fmt.Errorf("%s", strings.Join(lines, "\n"))}
}
