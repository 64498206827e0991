package docgen

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

const eventsIntro = `# Events

Every event has one of the types below; the list is closed. ` + "`postern event types`" + ` and ` + "`EventService.ListEventTypes`" + `
give the same catalogue to programs. The fields of an event are described in
[event.proto](../../proto/postern/v1/event.proto).

- **Outcome** is what filters sort by: SUCCESS, FAILURE, or INFO for what is neither.
- **Reported** types are what a login service may name in ` + "`ReportStep` and `StartFlow.steps[]`" + `; all others are written by Postern.
- **Binds**: the first such step of a flow whose subject is proven decides who the flow is about.
- Steps of a flow are numbered from 1 without gaps. Sessions, tokens and administration have step 0.
- A reason is unique together with its type and method: ` + "`MALFORMED`" + ` of a TOTP code is not ` + "`MALFORMED`" + ` of a SAML assertion.

`

// events writes the catalogue of types and reasons.
func events(out *bytes.Buffer) {
	out.WriteString(eventsIntro)
	types := audit.Types()
	for _, c := range []struct {
		category audit.Category
		title    string
	}{
		{audit.CategorySignIn, "Sign-in"},
		{audit.CategoryActivity, "Activity"},
		{audit.CategoryAdministration, "Administration"},
	} {
		fmt.Fprintf(out, "## %s\n\nCategory %s: what retention goes by.\n\n", c.title, code(string(c.category)))
		var rows [][]string
		for _, t := range types {
			if t.Category == c.category {
				rows = append(rows, []string{code(string(t.Type)), t.Outcome.String(), marks(t), t.Description})
			}
		}
		table(out, []string{"Type", "Outcome", "Notes", "Meaning"}, rows)
	}
	methods(out)
	reasons(out, types)
}

// marks says in a word or two what is special about a type.
func marks(t audit.TypeInfo) string {
	var words []string
	if t.Reportable {
		words = append(words, "reported")
	}
	if t.Binds {
		words = append(words, "binds")
	}
	if t.Ending != audit.EndingNone {
		words = append(words, "ends the flow")
	}
	return strings.Join(words, ", ")
}

func methods(out *bytes.Buffer) {
	out.WriteString("## Methods and factors\n\n")
	fmt.Fprintf(out, "Method tokens, in events, policies and `next[]`: %s. A policy may name a connection, as in %s, and write %s for %s.\n\n",
		code(audit.Methods()...), code("sso:partner"), code(audit.MethodPasswordless), code(audit.PasswordlessMethods()...))
	fmt.Fprintf(out, "Factors of `mfa.*` events: %s.\n\n", code(audit.Factors()...))
}

// reasons writes one table for each list of reasons, under all types that have it.
func reasons(out *bytes.Buffer, types []audit.TypeInfo) {
	out.WriteString("## Reasons\n\nA type that is not listed here never carries a reason. `access.denied` names the reason of the refused " +
		"call in its denial: see [errors](errors.md).\n\n")
	done := map[audit.Type]bool{}
	for i, t := range types {
		if len(t.Reasons) == 0 || done[t.Type] {
			continue
		}
		rows := reasonRows(t)
		names := []string{code(string(t.Type))}
		for _, other := range types[i+1:] {
			if slices.EqualFunc(rows, reasonRows(other), slices.Equal) {
				names = append(names, code(string(other.Type)))
				done[other.Type] = true
			}
		}
		fmt.Fprintf(out, "### %s\n\n", strings.Join(names, ", "))
		switch {
		case t.NeedsReason:
			out.WriteString("Always carries one.\n\n")
		case t.Ending == audit.EndingNone:
			out.WriteString("Carries one only when the step happened and does not count towards the demands (`counts` is false).\n\n")
		default:
			out.WriteString("Carries one only where it applies.\n\n")
		}
		table(out, []string{"Reason", "With", "Meaning"}, rows)
	}
}

func reasonRows(t audit.TypeInfo) [][]string {
	var rows [][]string
	for _, r := range t.Reasons {
		meaning := r.Description
		if r.AssertedOnly {
			meaning += " Only on the login service's word."
		}
		rows = append(rows, []string{code(r.Reason), code(r.For...), meaning})
	}
	return rows
}
