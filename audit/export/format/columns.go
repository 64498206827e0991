package format

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// column is one column: exactly one of its functions is set.
type column struct {
	name, means string
	text        func(e *audit.Event) string
	number      func(e *audit.Event) (int64, bool)
	flag        func(e *audit.Event) (value, known bool)
	moment      func(e *audit.Event) time.Time // zero: none
}

// Column describes one column.
type Column struct{ Name, Type, Means string }

// Columns are the columns of CSV and Parquet, in order.
func Columns() []Column {
	all := columns()
	out := make([]Column, len(all))
	for i, c := range all {
		out[i] = Column{c.name, c.kind(), c.means}
	}
	return out
}

func (c *column) kind() string {
	switch {
	case c.text != nil:
		return "text"
	case c.number != nil:
		return "number"
	case c.flag != nil:
		return "true or false"
	}
	return "time"
}

func text(name, means string, f func(e *audit.Event) string) column {
	return column{name: name, means: means, text: f}
}

func number(name, means string, f func(e *audit.Event) (int64, bool)) column {
	return column{name: name, means: means, number: f}
}

// counted is a number that means nothing when it is 0.
func counted(name, means string, f func(e *audit.Event) int64) column {
	return number(name, means, func(e *audit.Event) (int64, bool) {
		n := f(e)
		return n, n != 0
	})
}

func flag(name, means string, f func(e *audit.Event) bool) column {
	return column{name: name, means: means, flag: func(e *audit.Event) (bool, bool) { return f(e), true }}
}

// maybe is a flag that may be unknown.
func maybe(name, means string, f func(e *audit.Event) *bool) column {
	return column{name: name, means: means, flag: func(e *audit.Event) (bool, bool) {
		b := f(e)
		return b != nil && *b, b != nil
	}}
}

func moment(name, means string, f func(e *audit.Event) time.Time) column {
	return column{name: name, means: means, moment: f}
}

// columns is the table. Stored in files of others: only ever add at the end, and raise Schema.
func columns() []column {
	return slices.Concat(whatHappened(), howItHappened(), whoItWas(), whatWasDecided(), whatWasDone())
}

func whatHappened() []column {
	return []column{
		number("sequence", "number in the organization's record, without gaps", func(e *audit.Event) (int64, bool) { return e.Sequence, true }),
		text("id", "id of the event", func(e *audit.Event) string { return e.ID }),
		moment("time", "when it happened", func(e *audit.Event) time.Time { return e.Time }),
		moment("recorded_time", "when it was recorded", func(e *audit.Event) time.Time { return e.RecordedTime }),
		text("type", "type, see reference/events.md", func(e *audit.Event) string { return string(e.Type) }),
		text("category", "SIGN_IN, ADMINISTRATION or ACTIVITY: what retention goes by", func(e *audit.Event) string { return string(audit.CategoryOf(e.Type)) }),
		text("outcome", "INFO, SUCCESS or FAILURE", func(e *audit.Event) string { return known(e.Outcome) }),
		text("reason", "why something was refused, see reference/events.md", func(e *audit.Event) string { return e.Reason }),
		text("organization", "id of the organization", func(e *audit.Event) string { return e.Organization }),
		text("organization_uid", "its uid", func(e *audit.Event) string { return e.OrganizationUID }),
		text("site", "id of the site", func(e *audit.Event) string { return e.Site }),
		text("site_uid", "its uid", func(e *audit.Event) string { return e.SiteUID }),
		text("flow", "id of the sign-in", func(e *audit.Event) string { return e.Flow }),
		counted("step", "step of the sign-in, from 1", func(e *audit.Event) int64 { return int64(e.Step) }),
		text("support_code", "code a person quotes", func(e *audit.Event) string { return e.SupportCode }),
		text("correlation_id", "the login service's own id; not verified", func(e *audit.Event) string { return e.CorrelationID }),
		flag("sandbox", "made while the organization was for trying things out", func(e *audit.Event) bool { return e.Sandbox }),
	}
}

func howItHappened() []column {
	return []column{
		text("class", "CLAIMED, MANAGED, EXTERNAL or UNDETERMINED", func(e *audit.Event) string { return known(e.Class) }),
		flag("provisional", "the class may still change", func(e *audit.Event) bool { return e.Provisional }),
		text("ending", "how the sign-in ended", func(e *audit.Event) string { return known(e.Ending) }),
		text("method", "method of the step", func(e *audit.Event) string { return e.Method }),
		text("connection", "id of the connection", func(e *audit.Event) string { return e.Connection }),
		text("connection_uid", "its uid", func(e *audit.Event) string { return e.ConnectionUID }),
		text("factor", "second factor", func(e *audit.Event) string { return e.Factor }),
		text("evidence", "VERIFIED here, or ASSERTED by the login service", func(e *audit.Event) string { return known(e.Evidence) }),
		text("checks", "what was checked", func(e *audit.Event) string { return strings.Join(e.Checks, " ") }),
		maybe("counts", "whether the step counts towards the verdict", func(e *audit.Event) *bool { return e.Counts }),
		flag("late", "reported after the fact", func(e *audit.Event) bool { return e.Late }),
		flag("forked", "a second event for the same step", func(e *audit.Event) bool { return e.Forked }),
		text("client", "WEB, MOBILE, CLI or API", func(e *audit.Event) string { return known(e.Client) }),
		moment("authenticated_at", "when the identity provider authenticated the person", func(e *audit.Event) time.Time { return e.AuthenticatedAt }),
		maybe("user_verified", "whether a passkey verified its user", func(e *audit.Event) *bool { return e.UserVerified }),
		text("session", "keyed hash of a session's handle", func(e *audit.Event) string { return e.Session }),
		flag("against_verdict", "a session was opened although the sign-in was not allowed", func(e *audit.Event) bool { return e.AgainstVerdict }),
		text("end_cause", "why a session or token ended", func(e *audit.Event) string { return e.EndCause }),
		counted("uses", "how many alike uses the event stands for, when more than one", func(e *audit.Event) int64 { return e.Uses }),
	}
}

func whoItWas() []column {
	return []column{
		text("subject_kind", "PERSON, SERVICE or APP", func(e *audit.Event) string { return known(e.SubjectKind) }),
		text("email", "address", func(e *audit.Event) string { return e.Personal.Email }),
		maybe("email_verified", "whether the address is verified", func(e *audit.Event) *bool { return e.Personal.EmailVerified }),
		text("account_id", "account id", func(e *audit.Event) string { return e.Personal.AccountID }),
		text("typed_address", "address that was typed", func(e *audit.Event) string { return e.Personal.TypedAddress }),
		text("claimed_account_id", "account id that was claimed", func(e *audit.Event) string { return e.Personal.ClaimedAccountID }),
		text("presented_account_id", "account id of somebody else than the sign-in is bound to", func(e *audit.Event) string { return e.Personal.PresentedAccountID }),
		text("display_name", "name", func(e *audit.Event) string { return e.Personal.DisplayName }),
		text("ip", "IP address", func(e *audit.Event) string { return e.Personal.IP }),
		text("user_agent", "browser or program", func(e *audit.Event) string { return e.Personal.UserAgent }),
		text("device_id", "device", func(e *audit.Event) string { return e.Personal.DeviceID }),
		text("issuer", "who vouches for a federated identity", func(e *audit.Event) string { return e.Personal.Issuer }),
		text("subject_id", "its id there", func(e *audit.Event) string { return e.Personal.SubjectID }),
		text("previous_email", "address before a change", func(e *audit.Event) string { return e.Personal.PreviousEmail }),
		text("amr", "methods an identity provider names", func(e *audit.Event) string { return strings.Join(e.Personal.AMR, " ") }),
		text("acr", "assurance an identity provider names", func(e *audit.Event) string { return e.Personal.ACR }),
		text("detail", "what somebody gave as reason, or an identity provider as error", func(e *audit.Event) string { return e.Personal.Detail }),
		text("items", "what an administrative act was about, one a line", func(e *audit.Event) string { return strings.Join(e.Personal.Items, "\n") }),
		text("personal_state", "ERASED or UNREADABLE when the personal columns are empty for that reason", func(e *audit.Event) string { return e.PersonalState }),
		text("identifier_hash", "keyed hash of something typed that is no address", func(e *audit.Event) string { return e.IdentifierHash }),
	}
}

func whatWasDecided() []column {
	decided := func(f func(d *audit.Decision) string) func(e *audit.Event) string {
		return func(e *audit.Event) string {
			if e.Decision == nil {
				return ""
			}
			return f(e.Decision)
		}
	}
	return []column{
		text("verdict", "CONTINUE, ALLOW or DENY", decided(func(d *audit.Decision) string { return known(d.Verdict) })),
		text("rule", "rule that decided", decided(func(d *audit.Decision) string { return d.Rule })),
		text("decided_by", "RULE, DEFAULT, INTERNAL, STOP or UNREADABLE", decided(func(d *audit.Decision) string { return d.Source })),
		text("decision_reason", "why the verdict is what it is", decided(func(d *audit.Decision) string { return d.Reason })),
		text("unmet_demands", "demands nothing met", decided(unmet)),
		text("would_be_verdict", "verdict if report-only rules were enforced", decided(func(d *audit.Decision) string {
			if d.WouldBe == nil {
				return ""
			}
			return known(d.WouldBe.Verdict)
		})),
		number("policy_revision", "revision of the policy", func(e *audit.Event) (int64, bool) {
			if e.Decision == nil {
				return 0, false
			}
			return e.Decision.PolicyRevision, true
		}),
		text("steps", "of an ending: the steps of the sign-in, one a line", func(e *audit.Event) string { return steps(e.Steps) }),
	}
}

func whatWasDone() []column {
	target := func(f func(t *audit.Target) string) func(e *audit.Event) string {
		return func(e *audit.Event) string {
			if e.Target == nil {
				return ""
			}
			return f(e.Target)
		}
	}
	denial := func(f func(d *audit.Denial) string) func(e *audit.Event) string {
		return func(e *audit.Event) string {
			if e.Denial == nil {
				return ""
			}
			return f(e.Denial)
		}
	}
	return []column{
		text("caller", "who called", func(e *audit.Event) string { return e.Caller }),
		text("target_type", "what an administrative act was done to", target(func(t *audit.Target) string { return t.Type })),
		text("target_id", "its id", target(func(t *audit.Target) string { return t.ID })),
		counted("target_count", "how many", func(e *audit.Event) int64 {
			if e.Target == nil {
				return 0
			}
			return e.Target.Count
		}),
		text("changes", "fields that changed, one a line: field: before -> after", func(e *audit.Event) string { return changes(e.Changes) }),
		counted("revision", "revision of the directory after it", func(e *audit.Event) int64 { return e.Revision }),
		moment("tally_hour", "hour of a tally", func(e *audit.Event) time.Time { return e.TallyHour }),
		text("tally", "its counters, name=number", func(e *audit.Event) string { return tally(e.Tally) }),
		text("denied_method", "call that was refused", denial(func(d *audit.Denial) string { return d.Method })),
		text("denied_code", "its status", denial(func(d *audit.Denial) string { return d.Code })),
		text("denied_reason", "its reason", denial(func(d *audit.Denial) string { return d.Reason })),
		counted("denied_count", "how many alike calls", func(e *audit.Event) int64 {
			if e.Denial == nil {
				return 0
			}
			return e.Denial.Count
		}),
	}
}

// known is the name of a value of an enum, nothing when it is not given.
func known[T interface {
	~uint8
	String() string
}](v T) string {
	if v == 0 {
		return ""
	}
	return v.String()
}

func unmet(d *audit.Decision) string {
	var out []string
	for i := range d.Demands {
		if !d.Demands[i].Met {
			out = append(out, d.Demands[i].Kind)
		}
	}
	return strings.Join(out, " ")
}

func steps(list []audit.StepSummary) string {
	var b []byte
	for i := range list {
		s := &list[i]
		if i > 0 {
			b = append(b, '\n')
		}
		b = strconv.AppendInt(b, int64(s.Step), 10)
		for _, word := range [...]string{string(s.Type), s.Method, s.Connection, s.Factor, s.Reason} {
			if word != "" {
				b = append(append(b, ' '), word...)
			}
		}
	}
	return string(b)
}

func changes(list []audit.Change) string {
	var b []byte
	for i, c := range list {
		if i > 0 {
			b = append(b, '\n')
		}
		b = append(append(append(append(append(b, c.Field...), ": "...), c.Before...), " -> "...), c.After...)
	}
	return string(b)
}

func tally(counters map[string]int64) string {
	names := make([]string, 0, len(counters))
	for name := range counters {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for i, name := range names {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(append(append(b, name...), '='), counters[name], 10)
	}
	return string(b)
}
