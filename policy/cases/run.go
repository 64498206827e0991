package cases

import (
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// Difference is one expectation that does not hold.
type Difference struct {
	Field string `json:"field"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

// String is the difference for people.
func (d Difference) String() string {
	got := d.Got
	if got == "" {
		got = "nothing"
	}
	return d.Field + " is " + got + ", not " + d.Want
}

// Outcome is what came of one case.
type Outcome struct {
	Decision    audit.Decision
	Next        []policy.Next
	Differences []Difference // none: it is as expected
}

// Run decides one case and compares. now is the time of cases that say none. An error says that the case names what the document
// does not have: nothing was decided then.
func (d *Directory) Run(c *document.Case, now time.Time) (Outcome, error) {
	in, err := d.Input(c, now)
	if err != nil {
		return Outcome{}, err
	}
	r := policy.Decide(in)
	return Outcome{Decision: r.Decision, Next: r.Next, Differences: compare(&c.Expect, &r)}, nil
}

func compare(e *document.Expect, r *policy.Result) []Difference {
	var out []Difference
	differs := func(field, want, got string) { out = append(out, Difference{Field: field, Want: want, Got: got}) }
	text := func(field, want, got string) {
		if want != "" && want != got {
			differs(field, want, got)
		}
	}
	list := func(field string, want *[]string, got []string) {
		if want != nil && !sameSet(*want, got) {
			differs(field, "["+strings.Join(*want, ", ")+"]", "["+strings.Join(got, ", ")+"]")
		}
	}
	d := &r.Decision
	if e.Class != audit.ClassUnspecified {
		text("class", e.Class.String(), d.Class.String())
	}
	text("source", e.Source, d.Source)
	text("rule", e.Rule, d.Rule)
	if e.Verdict != audit.VerdictUnspecified {
		text("verdict", e.Verdict.String(), d.Verdict.String())
	}
	text("reason", e.Reason, d.Reason)
	text("message", e.Message, d.Message)
	kinds, unmet := demands(d.Demands)
	list("demands", e.Demands, kinds)
	list("unmet", e.Unmet, unmet)
	list("next", e.Next, Moves(r.Next))
	would, by := "", ""
	if d.WouldBe != nil {
		would, by = d.WouldBe.Verdict.String(), d.WouldBe.Rule
	}
	if e.WouldBe != audit.VerdictUnspecified {
		text("would_be", e.WouldBe.String(), would)
	}
	text("would_be_rule", e.WouldBeRule, by)
	return out
}

func demands(list []audit.Demand) (kinds, unmet []string) {
	for i := range list {
		kinds = append(kinds, list[i].Kind)
		if !list[i].Met {
			unmet = append(unmet, list[i].Kind)
		}
	}
	return kinds, unmet
}

// Moves writes moves as cases do: password, sso:okta, mfa:TOTP.
func Moves(list []policy.Next) []string {
	out := make([]string, 0, len(list))
	for i := range list {
		s := list[i].Method
		for _, part := range []string{list[i].Connection, list[i].Factor} {
			if part != "" {
				s += ":" + part
			}
		}
		out = append(out, s)
	}
	return out
}

// sameSet compares two lists without regard to order.
func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}
