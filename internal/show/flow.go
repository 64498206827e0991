package show

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Time is a moment in UTC to the millisecond; empty when absent.
func Time(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format("2006-01-02 15:04:05.000Z")
}

// Clock is a moment's time of day in UTC to the millisecond.
func Clock(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format("15:04:05.000")
}

// Enum is the last part of an enum value's name: DENIED for ENDING_DENIED; empty when unspecified.
func Enum(prefix string, v fmt.Stringer) string {
	name := strings.TrimPrefix(v.String(), prefix+"_")
	if name == "UNSPECIFIED" {
		return ""
	}
	return name
}

// Flow prints a sign-in: who, where and how it ended, its steps in order, and the decision as a sentence.
func Flow(w io.Writer, f *posternv1.Flow) error {
	ending := Enum("ENDING", f.GetEnding())
	if ending == "" {
		ending = "live, " + Enum("PHASE", f.GetPhase())
	}
	if f.GetReason() != "" {
		ending += " (" + f.GetReason() + ")"
	}
	class := Enum("CLASS", f.GetClass())
	if f.GetProvisional() {
		class += " (provisional)"
	}
	say(w, "%s  %s at %s/%s  %s\n", f.GetSupportCode(), class, f.GetOrganization(), f.GetSite(), ending)
	say(w, "  flow %s, started %s", f.GetId(), Time(f.GetStartTime()))
	if f.GetEndTime() != nil {
		say(w, ", ended %s", Time(f.GetEndTime()))
	}
	if !f.GetRecorded() {
		say(w, ", not on the site's record")
	}
	say(w, "\n")
	who := Person(f.GetPersonal())
	for _, e := range f.GetSteps() {
		if who == "" { // nobody was proven: then whom the sign-in was said to be about
			who = Person(e.GetPersonal())
		}
	}
	if who != "" {
		say(w, "  %s\n", who)
	}
	if err := Steps(w, f.GetSteps()); err != nil {
		return err
	}
	if d := f.GetDecision(); d != nil {
		say(w, "  %s\n", Decision(d))
	}
	return nil
}

// say prints with every argument escaped.
func say(w io.Writer, format string, args ...string) {
	escaped := make([]any, len(args))
	for i, a := range args {
		escaped[i] = printable.Escape(a)
	}
	fmt.Fprintf(w, format, escaped...)
}

// Person names whom a record is about: proven, else typed or claimed.
func Person(p *posternv1.Personal) string {
	email, account := p.GetEmail(), p.GetAccountId()
	if email == "" {
		email = p.GetTypedAddress()
	}
	if account == "" {
		account = p.GetClaimedAccountId()
	}
	switch {
	case email != "" && account != "" && account != email:
		return email + ", account " + account
	case email != "":
		return email
	case account != "":
		return "account " + account
	}
	return ""
}

// Steps prints the events of one flow in order, one line each.
func Steps(w io.Writer, events []*posternv1.Event) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range events {
		step := "–"
		if e.GetStep() > 0 {
			step = fmt.Sprintf("%2d", e.GetStep())
		}
		say(tw, "  %s\t%s\t%s\t%s\t%s\n", step, Clock(e.GetTime()), e.GetType(), How(e), Note(e))
	}
	return tw.Flush()
}

// How says by which method, connection or factor, and on whose word.
func How(e *posternv1.Event) string {
	var parts []string
	if e.GetMethod() != "" && !strings.HasPrefix(e.GetType(), e.GetMethod()+".") {
		parts = append(parts, e.GetMethod())
	}
	if e.GetConnection() != "" {
		parts = append(parts, "through "+e.GetConnection())
	}
	if e.GetFactor() != "" {
		parts = append(parts, e.GetFactor())
	}
	if ev := Enum("EVIDENCE", e.GetEvidence()); ev != "" {
		parts = append(parts, strings.ToLower(ev))
	}
	return strings.Join(parts, " ")
}

// fewItems is how many domains or accounts of one event are shown by name.
const fewItems = 5

// Note says what else there is to know about an event.
func Note(e *posternv1.Event) string {
	var notes []string
	add := func(when bool, text string) {
		if when {
			notes = append(notes, text)
		}
	}
	if t := e.GetTarget(); t != nil {
		add(true, strings.TrimSpace(t.GetType()+" "+t.GetId()))
		items := e.GetPersonal().GetItems()
		add(len(items) > 0 && len(items) <= fewItems, strings.Join(items, " "))
		add(len(items) > fewItems || len(items) == 0 && t.GetCount() > 1, fmt.Sprintf("%d of them", t.GetCount()))
	}
	if d := e.GetDenial(); d != nil {
		add(true, d.GetMethod()+" "+d.GetCode())
		add(d.GetCount() > 1, fmt.Sprintf("%d times", d.GetCount()))
	}
	add(len(e.GetChanges()) > 0, "fields changed: "+strconv.Itoa(len(e.GetChanges())))
	add(e.GetReason() != "", e.GetReason())
	add(e.GetEndCause() != "", e.GetEndCause())
	add(e.GetUses() > 1, fmt.Sprintf("%d uses", e.GetUses()))
	add(e.GetEnrolment() != nil && strings.HasPrefix(e.GetType(), "mfa."), "enrolled "+Time(e.GetEnrolment().GetTime())+" by "+e.GetEnrolment().GetCaller())
	add(e.Counts != nil && !e.GetCounts(), "does not count")
	add(e.GetProvisional() && e.GetStep() == 1, "provisionally "+Enum("CLASS", e.GetClass()))
	add(e.GetLate(), "late")
	add(e.GetInitiatedBy() == "IDP", "begun by the identity provider")
	add(e.GetExpectations() == "CALLER", "held against what the login service expected")
	add(e.GetForked(), "FORKED")
	add(e.GetAgainstVerdict(), "AGAINST THE VERDICT")
	add(e.GetSandbox(), "SANDBOX")
	add(e.GetAuthenticatedAt() != nil, "authenticated "+Time(e.GetAuthenticatedAt()))
	add(e.GetPersonal().GetPresentedAccountId() != "", "presented account "+e.GetPersonal().GetPresentedAccountId())
	add(e.GetPersonalState() != "", "personal part "+e.GetPersonalState())
	return strings.Join(notes, ", ")
}

// Decision says in a sentence what was demanded, what met it, and what follows.
func Decision(d *posternv1.Decision) string {
	var b strings.Builder
	b.WriteString(basis(d))
	var clauses []string
	var demands []string
	for _, m := range d.GetDemands() {
		if m.GetKind() == "METHOD" && len(d.GetAllowedMethods()) > 0 {
			clauses = append(clauses, "allows "+strings.Join(d.GetAllowedMethods(), ", ")+met(m))
			continue
		}
		demands = append(demands, demand(m)+met(m))
	}
	if len(clauses) == 0 && len(d.GetAllowedMethods()) > 0 {
		clauses = append(clauses, "allows "+strings.Join(d.GetAllowedMethods(), ", "))
	}
	switch {
	case len(demands) > 0:
		clauses = append(clauses, "demands "+strings.Join(demands, ", "))
	case d.GetSource() != "INTERNAL" && d.GetSource() != "STOP":
		clauses = append(clauses, "demands nothing")
	}
	b.WriteString(" " + strings.Join(clauses, " and "))
	text := strings.TrimSpace(b.String()) + ". Verdict " + Enum("VERDICT", d.GetVerdict())
	if d.GetReason() != "" {
		text += ": " + d.GetReason()
	}
	if w := d.GetWouldBe(); w != nil && (w.GetVerdict() != d.GetVerdict() || w.GetRule() != d.GetRule() || w.GetReason() != d.GetReason()) {
		text += ". " + otherwise(d) + " would decide: " + Enum("VERDICT", w.GetVerdict())
		if w.GetReason() != "" {
			text += ", " + w.GetReason()
		}
	}
	return printable.Escape(text + ".")
}

// otherwise says what would decide were it not for what keeps it from deciding.
func otherwise(d *posternv1.Decision) string {
	who := "rule " + d.GetWouldBe().GetRule()
	if d.GetWouldBe().GetRule() == "" {
		who = "the default"
	}
	if d.GetSource() == "SUSPENDED" {
		return "Were it not suspended, " + who
	}
	return "If report-only rules were enforced, " + who
}

// basis says what decided.
func basis(d *posternv1.Decision) string {
	switch d.GetSource() {
	case "RULE":
		return fmt.Sprintf("Rule %s (policy revision %d)", d.GetRule(), d.GetPolicyRevision())
	case "INTERNAL":
		why := "the account is claimed"
		if domain := d.GetClassBasis().GetDomain(); domain != "" {
			why = domain + " is verified by " + strings.ToLower(d.GetClassBasis().GetVerifiedBy())
		}
		return "One of the organization's own, as " + why + ": its policy for external users does not apply"
	case "STOP":
		return "A stop bites"
	case "SUSPENDED":
		return fmt.Sprintf("The policy is suspended (policy revision %d); it", d.GetPolicyRevision())
	case "UNREADABLE":
		return "The policy cannot be read, and what it demands is not known; it"
	case "DEFAULT":
		return fmt.Sprintf("The default (policy revision %d)", d.GetPolicyRevision())
	}
	return "The policy"
}

func demand(m *posternv1.Demand) string {
	text := demandNames(m.GetKind())
	switch m.GetKind() {
	case "EVIDENCE":
		text += " " + strings.ToLower(Enum("EVIDENCE", m.GetEvidence()))
	case "SSO":
		text += " through " + m.GetConnection()
	}
	if len(m.GetFactors()) > 0 {
		text += " by " + strings.Join(m.GetFactors(), " or ")
	}
	if m.GetMaxAge() != nil {
		text += " of at most " + Duration(m.GetMaxAge().AsDuration())
	}
	return text
}

func met(m *posternv1.Demand) string {
	switch {
	case m.GetMet() && m.GetMetByStep() > 0:
		return fmt.Sprintf(" (met by step %d)", m.GetMetByStep())
	case m.GetMet() && m.GetMetByProof() != nil:
		p := m.GetMetByProof()
		return fmt.Sprintf(" (met by %s of %s, step %d of flow %s)", p.GetProven(), Time(p.GetTime()), p.GetStep(), p.GetFlow())
	case m.GetMet():
		return " (met)"
	case m.GetReason() != "":
		return " (unmet: " + m.GetReason() + ")"
	}
	return " (unmet)"
}

// demandNames says a kind of demand in words; a kind this program does not know stays as it is.
func demandNames(kind string) string {
	switch kind {
	case "METHOD":
		return "one of these methods"
	case "SSO":
		return "single sign-on"
	case "EVIDENCE":
		return "evidence"
	case "MFA":
		return "a second factor"
	case "REVERIFICATION":
		return "a credential"
	case "SESSION_LENGTH":
		return "a session"
	case "BLOCK":
		return "that nobody comes in"
	}
	return kind
}

// Duration writes 24h and 90m instead of 24h0m0s and 1h30m0s.
func Duration(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
