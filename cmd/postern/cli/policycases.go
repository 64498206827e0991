package cli

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/policy/cases"
	"github.com/postern-audit/postern/policy/document"
)

func (a *app) policyTest() *cobra.Command {
	var t policyTests
	var at string
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Try an organization's own cases on its document",
		Long: `Try an organization's own cases on its document: each names somebody at a site with what they have shown, and what is expected of
the decision. What decides is the code that decides sign-ins and explains them; no sidecar is needed. The document is the one a file names,
as a path from where the file is, or the one given. docs/policy-admin.md shows every key of a case.

Give cases a time, or the command --time, so that rules with enforce_from and expires_at decide alike on every day.

Exit code 0 when every case is as expected, 1 when one is not, 2 for wrong usage, which includes a file or document that cannot be
used: then no case was tried.`,
		Example: `  postern policy test examples/policies/mfa.test.yaml
  postern policy test --document acme.yaml --time 2027-01-01T00:00:00Z tests/*.yaml
  postern policy test acme.test.yaml --output json | jq -r 'select(.result == "FAIL") | .name'`,
		Args: atLeastOne("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			var err error
			if t.now, err = a.moment("time", at); err != nil {
				return err
			}
			for _, file := range args {
				if err := t.load(a, file); err != nil {
					return err
				}
			}
			return t.tell(a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.document, "document", "", "the organization document (default: the one each file names)")
	f.StringVar(&at, "time", "", "time of cases in files that say none, such as 2027-01-01T00:00:00Z (default: now)")
	return cmd
}

// policyTests are the cases that were tried. Nothing is told before all could be.
type policyTests struct {
	document string
	now      time.Time
	results  []caseResult
	failed   int
}

// caseResult is a line of `policy test`.
type caseResult struct {
	File        string             `json:"file"`
	Line        int                `json:"line"`
	Name        string             `json:"name"`
	Result      string             `json:"result"` // PASS or FAIL
	Differences []cases.Difference `json:"differences"`
	Decision    decided            `json:"decision"`
}

// decided is the decision of a case, in the words of `expect`.
type decided struct {
	Class       string   `json:"class"`
	Source      string   `json:"source"`
	Rule        string   `json:"rule"`
	Verdict     string   `json:"verdict"`
	Reason      string   `json:"reason"`
	Next        []string `json:"next"`
	WouldBe     string   `json:"would_be"`
	WouldBeRule string   `json:"would_be_rule"`
}

// load reads a file with its document and tries its cases.
func (t *policyTests) load(a *app, file string) error {
	text, err := a.read(file, maxDocument)
	if err != nil {
		return inputError{err}
	}
	list, problems := document.ParseCases(text)
	if list == nil {
		return cannot(file, problems)
	}
	d, err := t.directory(a, file, list.Document)
	if err != nil {
		return err
	}
	now := t.now
	if !list.Time.IsZero() {
		now = list.Time
	}
	for i := range list.List {
		c := &list.List[i]
		o, err := d.Run(c, now)
		if err != nil {
			return inputError{fmt.Errorf("%s: line %d: case %q: %w", file, c.Line, c.Name, err)}
		}
		t.add(file, c, &o)
	}
	return nil
}

func (t *policyTests) directory(a *app, file, named string) (*cases.Directory, error) {
	path := t.document
	switch {
	case path != "":
	case named == "":
		return nil, usagef("%s names no document: add document: PATH to it, or give --document", file)
	case file == "-" || filepath.IsAbs(named):
		path = named
	default:
		path = filepath.Join(filepath.Dir(file), named)
	}
	text, err := a.read(path, maxDocument)
	if err != nil {
		return nil, inputError{err}
	}
	doc, problems := a.parse(text)
	if doc == nil {
		return nil, cannot(path, problems)
	}
	d, problems := cases.New(doc)
	if d == nil {
		return nil, cannot(path, problems)
	}
	if len(d.Organization().Sites) == 0 {
		return nil, inputError{fmt.Errorf("%s: nobody can sign in where there is no site: add sites to the document", path)}
	}
	return d, nil
}

func (t *policyTests) add(file string, c *document.Case, o *cases.Outcome) {
	d := &o.Decision
	r := caseResult{File: file, Line: c.Line, Name: c.Name, Result: "PASS", Differences: o.Differences, Decision: decided{
		Class: d.Class.String(), Source: d.Source, Rule: d.Rule, Verdict: d.Verdict.String(), Reason: d.Reason, Next: cases.Moves(o.Next)}}
	if w := d.WouldBe; w != nil {
		r.Decision.WouldBe, r.Decision.WouldBeRule = w.Verdict.String(), w.Rule
	}
	if len(o.Differences) > 0 {
		r.Result = "FAIL"
		t.failed++
	} else {
		r.Differences = []cases.Difference{}
	}
	t.results = append(t.results, r)
}

func (t *policyTests) tell(a *app) error {
	rows := make([][]string, len(t.results))
	for i := range t.results {
		r := &t.results[i]
		if a.json() {
			if err := a.line(r); err != nil {
				return err
			}
		}
		why := make([]string, len(r.Differences))
		for j, d := range r.Differences {
			why[j] = d.String()
		}
		rows[i] = []string{r.Result, r.File + ":" + strconv.Itoa(r.Line), r.Name, strings.Join(why, "; ")}
	}
	if !a.json() {
		if err := show.Table(a.stdout, []string{"RESULT", "PLACE", "CASE", "WHY"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, printable.Escape(fmt.Sprintf("%d cases, %d not as expected", len(t.results), t.failed)))
	}
	if t.failed > 0 {
		return errNo
	}
	return nil
}
