package show

import (
	"fmt"
	"io"
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
	if who := Person(f.GetPersonal()); who != "" {
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

// Note says what else there is to know about an event.
func Note(e *posternv1.Event) string {
	var notes []string
	add := func(when bool, text string) {
		if when {
			notes = append(notes, text)
		}
	}
	add(e.GetReason() != "", e.GetReason())
	add(e.Counts != nil && !e.GetCounts(), "does not count")
	add(e.GetProvisional() && e.GetStep() == 1, "provisionally "+Enum("CLASS", e.GetClass()))
	add(e.GetLate(), "late")
	add(e.GetForked(), "FORKED")
	add(e.GetAgainstVerdict(), "AGAINST THE VERDICT")
	add(e.GetAuthenticatedAt() != nil, "authenticated "+Time(e.GetAuthenticatedAt()))
	add(e.GetPersonal().GetPresentedAccountId() != "", "presented account "+e.GetPersonal().GetPresentedAccountId())
	add(e.GetPersonalState() != "", "personal part "+e.GetPersonalState())
	return strings.Join(notes, ", ")
}

// Decision says in a sentence what was demanded, what met it, and what follows.
func Decision(d *posternv1.Decision) string {
	var b strings.Builder
	b.WriteString(basis(d))
	var demands []string
	for _, m := range d.GetDemands() {
		demands = append(demands, demand(m))
	}
	if len(d.GetAllowedMethods()) > 0 {
		b.WriteString(" allows " + strings.Join(d.GetAllowedMethods(), ", ") + " and")
	}
	if len(demands) == 0 {
		b.WriteString(" demands nothing")
	} else {
		b.WriteString(" demands " + strings.Join(demands, "; "))
	}
	b.WriteString(". Verdict " + Enum("VERDICT", d.GetVerdict()))
	if d.GetReason() != "" {
		b.WriteString(": " + d.GetReason())
	}
	if w := d.GetWouldBe(); w != nil {
		b.WriteString("; with report-only rules enforced " + Enum("VERDICT", w.GetVerdict()))
		if w.GetReason() != "" {
			b.WriteString(" (" + w.GetReason() + ", rule " + w.GetRule() + ")")
		}
	}
	b.WriteString(".")
	return printable.Escape(b.String())
}

// basis says what decided.
func basis(d *posternv1.Decision) string {
	switch d.GetSource() {
	case "RULE":
		return fmt.Sprintf("Rule %s (policy revision %d)", d.GetRule(), d.GetPolicyRevision())
	case "INTERNAL":
		if domain := d.GetClassBasis().GetDomain(); domain != "" {
			return fmt.Sprintf("The organization's own: %s is verified by %s. The external-user policy", domain, d.GetClassBasis().GetVerifiedBy())
		}
		return "The organization's own. The external-user policy"
	case "STOP":
		return "A stop"
	case "UNREADABLE":
		return "The policy cannot be read and"
	case "DEFAULT":
		return fmt.Sprintf("The default (policy revision %d)", d.GetPolicyRevision())
	}
	return "The policy"
}

func demand(m *posternv1.Demand) string {
	parts := []string{m.GetKind()}
	if m.GetConnection() != "" {
		parts = append(parts, "through "+m.GetConnection())
	}
	if len(m.GetFactors()) > 0 {
		parts = append(parts, "by "+strings.Join(m.GetFactors(), " or "))
	}
	if m.GetMaxAge() != nil {
		parts = append(parts, "not older than "+m.GetMaxAge().AsDuration().Round(time.Second).String())
	}
	switch {
	case m.GetMet() && m.GetMetByStep() > 0:
		parts = append(parts, fmt.Sprintf("(met by step %d)", m.GetMetByStep()))
	case m.GetMet():
		parts = append(parts, "(met)")
	case m.GetReason() != "":
		parts = append(parts, "(unmet: "+m.GetReason()+")")
	default:
		parts = append(parts, "(unmet)")
	}
	return strings.Join(parts, " ")
}
