package document

import (
	"fmt"
	"sort"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Limits of a document.
const (
	MaxBytes    = 1 << 20
	MaxProblems = 20 // reported at once; the rest is counted
	maxDepth    = 16
	maxTokens   = 400_000
	maxBrackets = 100_000
	maxColumn   = 200 // where a line may begin
)

// Document is an organization document, parsed. A nil section was absent: applying the document leaves it alone.
type Document struct {
	ID          string
	DisplayName *string
	Disabled    *bool
	Sandbox     *bool
	Retention   *policy.Retention
	Privacy     *audit.Privacy
	Sites       *[]policy.Site         // without uid
	Connections *[]policy.Connection   // without uid
	Domains     *[]policy.DomainRecord // without revision
	Claims      *Accounts              // to be added to what is claimed
	Policy      *Policy

	places map[string]place
}

// Policy is the policy section. Each of its own sections may be absent too.
type Policy struct {
	Rules           *[]Rule
	Default         *policy.Demands
	Stops           *policy.Stops
	AccountLists    *[]AccountList
	Record          *[]audit.Class
	AllowUnreadable *bool
}

// Rule is a rule whose accounts are not hashed yet: Match.Accounts is empty.
type Rule struct {
	policy.Rule
	Accounts Accounts
}

// AccountList is a named list of accounts that are not hashed yet.
type AccountList struct {
	Name     string
	Accounts Accounts
	// Expiries are about those of Accounts that are on the list only for a time.
	Expiries []AccountExpiry
}

// AccountExpiry says when one account leaves a list.
type AccountExpiry struct {
	Account Accounts // one
	At      time.Time
}

// Accounts names accounts by id and by address, and those that an export could only name by their keyed hash.
type Accounts struct {
	IDs       []string
	Addresses []policy.Address
	Keys      []policy.AccountKey
}

// Problem is one thing that is wrong with a document, or only worth a warning.
type Problem struct {
	Line    int // 1 is the first; 0 when the problem has no place
	Column  int
	Path    string // such as policy.rules[guests].mode
	Text    string
	Fix     string
	Warning bool
	Code    string // of a warning: one of policy.Codes
	Rule    string // id of the rule a warning is about; "" when it is about something else
}

// String is one line for people.
func (p Problem) String() string {
	s := p.Path + ": " + p.Text
	if p.Path == "" {
		s = p.Text
	}
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	if p.Line > 0 {
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	}
	return s
}

// Problems is everything found, in the order of the document.
type Problems []Problem

// ReasonInvalid is the reason of the error that Problems make.
const ReasonInvalid = "DOCUMENT_INVALID"

// Err returns nil when there are only warnings, else an Invalid error with one violation per problem, at most MaxProblems.
func (ps Problems) Err() error {
	var violations []errs.Violation
	count := 0
	for _, p := range ps {
		if p.Warning {
			continue
		}
		if count++; count <= MaxProblems {
			place := "document"
			if p.Path != "" {
				place = p.Path
			}
			violations = append(violations, errs.Violation{Field: place, Description: p.String()})
		}
	}
	if count == 0 {
		return nil
	}
	text := fmt.Sprintf("the document has %d problems: %s", count, violations[0].Description)
	if count == 1 {
		text = "the document has a problem: " + violations[0].Description
	}
	if count > MaxProblems {
		violations = append(violations, errs.Violation{Field: "document", Description: fmt.Sprintf("and %d more problems", count-MaxProblems)})
	}
	return &errs.Error{Kind: errs.Invalid, Reason: ReasonInvalid, Public: text, Violations: violations}
}

// Warnings returns the warnings among the problems.
func (ps Problems) Warnings() Problems {
	var out Problems
	for _, p := range ps {
		if p.Warning {
			out = append(out, p)
		}
	}
	return out
}

// place is where a value stands.
type place struct{ line, column int }

// locate finds the place of a path, or of the nearest thing around it.
func (d *Document) locate(path string) place {
	for {
		if p, ok := d.places[path]; ok {
			return p
		}
		cut := lastSegment(path)
		if cut <= 0 {
			return place{}
		}
		path = path[:cut]
	}
}

// Problem is something that is wrong with a document beside what parsing finds, with its place.
func (d *Document) Problem(path, text, fix string) Problem {
	at := d.locate(path)
	return Problem{Line: at.line, Column: at.column, Path: path, Text: text, Fix: fix}
}

// lastSegment returns where the last ".name" or "[index]" of a path begins.
func lastSegment(path string) int {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return i
		}
	}
	return -1
}

// at gives problems of package policy their places.
func (d *Document) at(list []policy.Problem) Problems {
	out := make(Problems, 0, len(list))
	for _, p := range list {
		where := d.locate(p.Path)
		out = append(out, Problem{Line: where.line, Column: where.column, Path: p.Path, Text: p.Text, Fix: p.Fix, Warning: p.Warning,
			Code: p.Code, Rule: p.Rule})
	}
	return out.sorted()
}

// Lint is Organization.Lint of what applying d makes of an organization, with the places of the document. What the document does
// not hold has no place.
func (d *Document) Lint(o *policy.Organization, now time.Time) Problems { return d.at(o.Lint(now)) }

func (ps Problems) sorted() Problems {
	sort.SliceStable(ps, func(i, j int) bool {
		if ps[i].Line != ps[j].Line {
			return ps[i].Line < ps[j].Line
		}
		return ps[i].Column < ps[j].Column
	})
	return ps
}
