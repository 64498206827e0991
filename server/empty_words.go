package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// behind is how far the archive may lag before it is worth a word.
const behind = 5 * time.Second

// words says in sentences what was found out. None of them names the person.
func (e *emptiness) words() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !e.start.IsZero() && !e.start.Before(e.now) {
		say("That time has not come yet.")
		return out
	}
	if e.out.GetOrganizationThen() == posternv1.Existence_EXISTENCE_ABSENT {
		say("The organization did not exist then: it was created at %s.", moment(e.present.Created))
	}
	for _, s := range e.out.GetSites() {
		siteWords(s, say)
	}
	e.retentionWords(say)
	if end := e.then; !e.until.IsZero() && end.Sub(e.until) > behind {
		say("What was recorded since %s may not be in the archive yet: ask again in a moment.", moment(e.until))
	}
	e.privacyWords(say)
	e.classWords(say)
	e.tallyWords(say)
	if len(e.unknown) > 0 {
		say("It could not be found out now: %s.", strings.Join(e.unknown, "; "))
	}
	if len(out) == 0 {
		say("Nothing on the record fits.")
	}
	return out
}

type sayer func(format string, args ...any)

func siteWords(s *posternv1.SiteThen, say sayer) {
	const absent, existed = posternv1.Existence_EXISTENCE_ABSENT, posternv1.Existence_EXISTENCE_EXISTED
	switch {
	case s.GetThen() == absent && s.GetNow() == existed:
		say("Site %s did not exist then; it does now.", s.GetSite())
	case s.GetNow() == absent && s.GetThen() == existed:
		say("Site %s existed then and is gone since.", s.GetSite())
	case s.GetNow() == absent:
		say("There is no site %s.", s.GetSite())
	}
}

// retentionWords tell of what is not shown any more, where the time asked about reaches back to it.
func (e *emptiness) retentionWords(say sayer) {
	if e.out.GetHold() {
		say("The record is under a legal hold: nothing that was archived is dropped or hidden.")
		return
	}
	if len(e.out.GetRetentionEdges()) == 0 {
		return
	}
	for _, r := range e.out.GetRetentionEdges() {
		edge, what := r.GetEdge().AsTime(), categoryWords(audit.Category(r.GetCategory()))
		switch {
		case e.then.Before(edge):
			say("All of that time lies before %s: %s are kept for %d days.", moment(edge), what, r.GetDays())
		case !e.start.IsZero() && e.start.Before(edge):
			say("What happened before %s is not shown any more: %s are kept for %d days.", moment(edge), what, r.GetDays())
		}
	}
}

func categoryWords(c audit.Category) string {
	switch c { //nolint:exhaustive // the default is sign-ins, as in retention
	case audit.CategoryAdministration:
		return "administrative events"
	case audit.CategoryActivity:
		return "uses of tokens"
	}
	return "sign-ins"
}

// privacyWords tell of addresses that nobody can be found by.
func (e *emptiness) privacyWords(say sayer) {
	if e.email == "" || e.present == nil {
		return
	}
	if e.present.Privacy.Email == audit.EmailOmitted {
		say("The organization's record keeps no e-mail addresses: nobody is found by one.")
	}
	for _, s := range e.out.GetSites() {
		if s.GetPrivacy().GetEmail() == posternv1.Privacy_EMAIL_OMITTED && e.present.Privacy.Email != audit.EmailOmitted {
			say("What happens at site %s is recorded without e-mail addresses: nobody is found by one there.", s.GetSite())
		}
	}
}

// classWords tell who the person was, and is.
func (e *emptiness) classWords(say sayer) {
	for _, c := range e.out.GetClasses() {
		if c.GetUnknown() != "" {
			continue
		}
		when, was := "now", "is"
		if c.GetTime() != nil {
			when, was = "at "+moment(c.GetTime().AsTime()), "was"
		}
		class := strings.TrimPrefix(c.GetClass().String(), "CLASS_")
		text := fmt.Sprintf("The person %s %s to the organization %s%s.", was, class, when, basisWords(c.GetBasis()))
		switch c.GetClass() { //nolint:exhaustive // the others need no more words
		case posternv1.Class_CLASS_MANAGED, posternv1.Class_CLASS_CLAIMED:
			if !e.recordsClass(c.GetClass()) {
				text += " Sign-ins of " + class + " people are counted, not recorded."
			}
		}
		say("%s", text)
	}
}

func (e *emptiness) recordsClass(c posternv1.Class) bool {
	for _, recorded := range e.present.Policy.RecordClasses {
		if posternv1.Class(recorded) == c {
			return true
		}
	}
	return false
}

func basisWords(b *posternv1.ClassBasis) string {
	switch b.GetBy() {
	case "VERIFIED_DOMAIN":
		return ", by its verified domain " + b.GetDomain()
	case "CLAIMED_ACCOUNT":
		return ", which claims the account"
	case "CLAIMED_ADDRESS":
		return ", which claims the address"
	case "NO_VERIFIED_EMAIL":
		return ", as far as the account id alone tells"
	case "NO_MATCH":
		return ": no verified domain and no claim fits"
	}
	return ""
}

// tallyWords tell how many sign-ins there were, above all those that are not on the record.
func (e *emptiness) tallyWords(say sayer) {
	t := e.out.GetTallies()
	if t == nil {
		return
	}
	hours := fmt.Sprintf("from %s to %s", moment(t.GetStartTime().AsTime()), moment(t.GetEndTime().AsTime()))
	if t.GetEndTime().AsTime().Sub(t.GetStartTime().AsTime()) == time.Hour {
		hours = "in the hour of " + moment(t.GetStartTime().AsTime())
	}
	opened := int64(0)
	for _, s := range t.GetSites() {
		opened += s.GetOpened()
		siteTallyWords(s, hours, say)
	}
	where := "at any site"
	if len(e.sites) == 1 {
		where = "at site " + e.sites[0]
	} else if len(e.sites) > 1 {
		where = "at these sites"
	}
	switch {
	case opened == 0 && t.GetIncomplete():
		say("No sign-in was begun %s %s; what was before is not counted here.", where, hours)
	case opened == 0:
		say("No sign-in was begun %s %s.", where, hours)
	case t.GetIncomplete():
		say("Counts begin at %s: what was before is not counted here.", moment(t.GetStartTime().AsTime()))
	}
}

func siteTallyWords(s *posternv1.SiteTally, hours string, say sayer) {
	hidden, order := map[string]int64{}, []string(nil)
	recorded, ended := int64(0), int64(0)
	for _, c := range s.GetEnded() {
		ended += c.GetCount()
		if c.GetRecorded() {
			recorded += c.GetCount()
			continue
		}
		class := strings.TrimPrefix(c.GetClass().String(), "CLASS_")
		if _, seen := hidden[class]; !seen {
			order = append(order, class)
		}
		hidden[class] += c.GetCount()
	}
	for _, class := range order {
		say("%s at site %s %s %s of class %s and %s not recorded.", signIns(hidden[class]), s.GetSite(), hours, wasWere(hidden[class]), class, isAre(hidden[class]))
	}
	if recorded > 0 {
		say("%s at site %s %s %s on the record; none fits what was asked.", signIns(recorded), s.GetSite(), hours, isAre(recorded))
	}
	if open := s.GetOpened() - ended; open > 0 {
		say("%s at site %s begun %s %s not counted as ended yet.", signIns(open), s.GetSite(), hours, isAre(open))
	}
}

func signIns(n int64) string {
	if n == 1 {
		return "1 sign-in"
	}
	return fmt.Sprintf("%d sign-ins", n)
}

func wasWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

func isAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04Z") }
