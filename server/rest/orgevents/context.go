package orgevents

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
)

// maxItems bounds what one row lists of what an administrative call named.
const maxItems = 100

// contextOf is everything else an event says. Whom an administrative act is about comes first: consumers look there for a user.
func contextOf(e *audit.Event) []item {
	out := []item{}
	info, known := audit.Lookup(e.Type)
	if known && info.Category == audit.CategoryAdministration {
		if p := &e.Personal; p.AccountID != "" || p.Email != "" {
			s := subjectOf(e)
			out = append(out, item{s.ID, "users", facts{"name": s.Name, "email": s.Email, "accountId": p.AccountID}.given()})
		}
		out = append(out, actItems(e)...)
	}
	if e.Flow != "" {
		out = append(out, item{e.Flow, "flows", flowFacts(e).given()})
	}
	for i := range e.Steps {
		out = append(out, stepItem(&e.Steps[i]))
	}
	if e.Connection != "" {
		out = append(out, item{e.Connection, "connections", facts{"uid": e.ConnectionUID}.given()})
	}
	if e.Session != "" {
		out = append(out, item{e.Session, "sessions", facts{
			"endCause": e.EndCause, "uses": number(e.Uses), "againstVerdict": mark(e.AgainstVerdict), "reason": e.Reason,
		}.given()})
	}
	if d := e.Decision; d != nil {
		out = append(out, policyItem(d))
	}
	if len(e.Tally) > 0 {
		out = append(out, item{stamp(e.TallyHour), "tallies", tally(e.Tally)})
	}
	if e.PersonalState != "" {
		out = append(out, item{e.PersonalState, "personal", map[string]any{"state": e.PersonalState}})
	}
	return out
}

// facts are attributes; those that are not given are left out, and long texts are cut: consumers index every one as a term.
type facts map[string]any

// maxText is how many bytes of a text a row shows.
const maxText = 4 << 10

func (f facts) given() map[string]any {
	for name, v := range f {
		switch v := v.(type) {
		case nil:
			delete(f, name)
		case string:
			if f[name] = cut(v); v == "" {
				delete(f, name)
			}
		}
	}
	return f
}

// cut shortens a text between two characters, and shows that it did.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

func mark(b bool) any {
	if !b {
		return nil
	}
	return true
}

func choice(b *bool) any {
	if b == nil {
		return nil
	}
	return *b
}

func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// named is an enum's name, nil when it is not given.
func named[T interface {
	~uint8
	String() string
}](v T) any {
	if v == 0 {
		return nil
	}
	return v.String()
}

// flowFacts are what an event says of its flow and of itself as a step of it.
func flowFacts(e *audit.Event) facts {
	p := &e.Personal
	return facts{
		"supportCode": e.SupportCode, "correlationId": e.CorrelationID, "class": named(e.Class), "provisional": mark(e.Provisional),
		"ending": named(e.Ending), "type": string(e.Type), "step": number(int64(e.Step)), "method": e.Method, "factor": e.Factor,
		"evidence": named(e.Evidence), "reason": e.Reason, "counts": choice(e.Counts), "late": mark(e.Late), "forked": mark(e.Forked),
		"client": named(e.Client), "authenticatedAt": moment(e.AuthenticatedAt), "accountId": p.AccountID, "userAgent": p.UserAgent,
		"issuer": p.Issuer, "steps": number(int64(len(e.Steps))),
	}
}

// stepItem is one line of the steps of an ending.
func stepItem(s *audit.StepSummary) item {
	id := s.Event
	if id == "" {
		id = strconv.Itoa(s.Step)
	}
	return item{id, "steps", facts{
		"step": s.Step, "type": string(s.Type), "time": moment(s.Time), "method": s.Method, "connection": s.Connection, "factor": s.Factor,
		"evidence": named(s.Evidence), "reason": s.Reason, "counts": choice(s.Counts),
	}.given()}
}

// policyItem is what the policy said.
func policyItem(d *audit.Decision) item {
	id := d.Rule
	if id == "" {
		id = d.Source
	}
	unmet := []string{}
	for i := range d.Demands {
		if !d.Demands[i].Met {
			unmet = append(unmet, d.Demands[i].Kind)
		}
	}
	f := facts{
		"name": id, "source": d.Source, "verdict": named(d.Verdict), "reason": d.Reason, "class": named(d.Class), "basis": d.Basis.By,
		"revision": number(d.PolicyRevision), "unmet": unmet,
	}
	if d.WouldBe != nil {
		f["wouldBe"] = named(d.WouldBe.Verdict)
	}
	return item{id, "auth-policy", f.given()}
}

// actItems are what an administrative event says of what was done, and to what.
func actItems(e *audit.Event) []item {
	var out []item
	if t := e.Target; t != nil {
		id := t.ID
		if id == "" {
			id = t.Type
		}
		out = append(out, item{id, t.Type, facts{"uid": t.UID, "count": number(t.Count), "revision": number(e.Revision)}.given()})
	}
	for i, s := range e.Personal.Items {
		if i == maxItems {
			out = append(out, item{"more", "items", map[string]any{"count": len(e.Personal.Items) - maxItems}})
			break
		}
		out = append(out, item{cut(s), "items", map[string]any{}})
	}
	for i := range e.Changes {
		c := &e.Changes[i]
		out = append(out, item{c.Field, "changes", facts{"before": c.Before, "after": c.After}.given()})
	}
	if d := e.Denial; d != nil {
		out = append(out, item{d.CallID, "calls", facts{"method": d.Method, "code": d.Code, "reason": d.Reason, "count": number(d.Count)}.given()})
	}
	if s := e.Personal.Detail; s != "" {
		out = append(out, item{"detail", "details", facts{"text": s}.given()})
	}
	return out
}

// tally is the counters of an hour as attributes.
func tally(counters map[string]int64) map[string]any {
	out := make(map[string]any, len(counters))
	for name, n := range counters {
		out[name] = n
	}
	return out
}
