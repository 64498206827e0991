package archivetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// dice are numbers that look random and are the same in every run.
type dice uint64

// n returns a number from 0 to below.
func (d *dice) n(below int) int {
	*d += 0x9e3779b97f4a7c15
	x := uint64(*d)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) >> 1 % uint64(below))
}

// one returns one of some values; those in front come more often.
func one[T any](d *dice, values []T) T { return values[min(d.n(len(values)), d.n(len(values)))] }

// Values of fields, some of them such as nobody should write and somebody will.
var (
	longValue    = strings.Repeat("long/", 25) + "end and more" // the cut lies within the last word
	longSibling  = strings.Repeat("long/", 25) + "end of another"
	manySites    = []string{"portal", "", "Portal", "shop_1", "shop%1", "shopx1", "münchen", "a/b:c@d-e f"}
	manyReasons  = []string{"", "BAD_CREDENTIALS", "WRONG_CODE", "bad_credentials", "RÄTSEL", "%", "_", "'; DROP TABLE event; --"}
	manyMethods  = []string{"", "password", "sso", "passkey"}
	manyFactors  = []string{"", audit.FactorTOTP, audit.FactorSMS}
	manyPartners = []string{"", "partner", "partner-2", "PARTNER"}
	manyRules    = []string{"", "guests", "guests.eu", "Gäste"}
	manyCallers  = []string{"unix:1000", "", "spiffe://example.org/login", "unix:100"}
	manyTargets  = []string{"policy", "domain", ""}
	manyIDs      = []string{"p-1", "example.com", longValue, longSibling, longValue[:128], longValue[:127], longValue[:127] + "é", longValue[:126] + "日", longValue[:126] + "é", "", "x y"}
	manyTypes    = []audit.Type{audit.TypePasswordRejected, audit.TypeSignInStarted, audit.TypeMFAVerified, audit.TypeSessionEnded, audit.TypePasswordVerified,
		audit.TypePolicyUpdated, audit.TypeTokenUsed, audit.TypeSignInDenied, audit.TypePasswordlessVerified}
	manyPurposes = []audit.Purpose{audit.IndexAccount, audit.IndexEmail, audit.IndexEmailDomain, audit.IndexName, audit.IndexNetwork32, audit.IndexNetwork24, audit.IndexIdentifier}
)

// scripted is a record that was made by dice, with everything queries and counts must get right: late events, ids that tell no moment,
// several events at one time, sandboxes, several shelves, values of every kind. What archives say of it is held against audit.Query.Fits.
type scripted struct {
	*world
	dice    dice
	written []audit.Event // of organization A, in sequence order
	keeps   audit.Retention
}

// script writes a record of n events of A, with some of B in between. It ends in the hour before began.
func (w *world) script(seed, n int) *scripted {
	w.Helper()
	s := &scripted{world: w, dice: dice(seed)}
	for _, keep := range []int{180, 30, 500} {
		s.retain(days(keep))
		for to := len(s.written) + n/3; len(s.written) < to; {
			s.batch(min(to-len(s.written), 1+s.dice.n(300)), n)
		}
	}
	s.retain(audit.Retention{SignIn: 120, Administration: 160, Activity: 200})
	w.set(began)
	return s
}

func (s *scripted) retain(r audit.Retention) {
	s.Helper()
	s.keeps = r
	s.world.retain(orgA, r)
}

// batch appends events that follow on those written, of n in all.
func (s *scripted) batch(size, n int) {
	s.Helper()
	b := s.world.batch(0)
	for range size {
		moment := began.Add(-time.Duration(n-len(s.written)) * (170 * day / time.Duration(n))).Truncate(time.Millisecond)
		e := s.event(moment, len(s.written))
		mine := s.world.entry(e)
		mine.RecordedTime = moment.Add(time.Second)
		e.RecordedTime, e.Sequence = mine.RecordedTime, int64(len(s.written)+1)
		s.written = append(s.written, e)
		b.Entries = append(b.Entries, mine)
		if s.dice.n(10) == 0 {
			other := e
			ofB(&other)
			other.ID, other.Flow = idAt(moment, fmt.Sprint("of B ", len(s.written))), ""
			theirs := s.world.entry(other)
			theirs.RecordedTime = mine.RecordedTime
			b.Entries = append(b.Entries, theirs)
		}
	}
	done := must(s.Append(s.Context(), b))(s.world)
	if done.Inserted != len(b.Entries) {
		s.Fatalf("appended %+v, want %d", done, len(b.Entries))
	}
}

func (s *scripted) event(moment time.Time, n int) audit.Event {
	d := &s.dice
	e := audit.Event{ID: idAt(moment, fmt.Sprint("scripted ", n)), Type: one(d, manyTypes), Time: moment.Add(time.Duration(d.n(3)) * 333), Organization: "acme", OrganizationUID: orgA,
		Site: one(d, manySites), Class: audit.Class(d.n(5)), Evidence: audit.Evidence(d.n(3)), Method: one(d, manyMethods),
		Factor: one(d, manyFactors), Connection: one(d, manyPartners), Caller: one(d, manyCallers), Sandbox: d.n(12) == 0, Sealed: sealed(fmt.Sprint("scripted ", n))}
	e.Outcome = audit.OutcomeOf(e.Type)
	e.Reason = one(d, manyReasons)
	if d.n(2) == 0 {
		e.Decision = &audit.Decision{Rule: one(d, manyRules)}
	}
	if d.n(3) == 0 {
		e.Target = &audit.Target{Type: one(d, manyTargets), ID: one(d, manyIDs)}
	}
	switch d.n(15) {
	case 0: // late
		e.Time, e.Late = e.Time.Add(-time.Duration(d.n(40*24*60))*time.Minute), true
	case 1: // another clock
		e.Time = e.Time.Add(time.Duration(d.n(90)) * time.Minute)
	case 2:
		e.ID = fmt.Sprint("no uuid ", n)
	case 3: // the same time as others
		e.Time = e.Time.Truncate(time.Hour)
	case 4:
		e.Reason = fmt.Sprint("RARE_", d.n(8))
	}
	if d.n(3) > 0 {
		flow := n / 6
		e.Flow, e.SupportCode = id("scripted flow", flow), fmt.Sprintf("CODE0-%05d", flow)
		if e.Type != audit.TypeSessionEnded && e.Type != audit.TypePolicyUpdated && e.Type != audit.TypeTokenUsed {
			e.Step = n%6 + 1
		} else if n%6 == 0 || s.written[n-1].Flow != e.Flow {
			e.Flow, e.SupportCode = "", "" // nothing but a step begins a flow
		}
	}
	for _, p := range manyPurposes {
		if d.n(4) > 0 {
			e.Indexes = append(e.Indexes, index(p, fmt.Sprint(min(d.n(30), d.n(30)))))
		}
	}
	return e
}

// chosen returns what q chooses of the record and the present retention shows, in sequence order, After and Limit aside.
func (s *scripted) chosen(q audit.Query) []audit.Event {
	q.OrganizationUID = orgA
	var out []audit.Event
	for i := range s.written {
		e := &s.written[i]
		moment, _ := audit.Moment(e.ID, e.RecordedTime)
		if (q.UpTo <= 0 || e.Sequence <= q.UpTo) && q.Fits(e) && !moment.Before(s.keeps.Edge(audit.CategoryOf(e.Type), s.now())) {
			out = append(out, *e)
		}
	}
	return out
}

// match draws a filter of few lists; excluded ones are drawn the same way.
func (s *scripted) match(lists int) (m audit.Match) {
	d := &s.dice
	some := func(values []string, absent string) []string {
		out := []string{one(d, values)}
		for d.n(3) == 0 {
			out = append(out, one(d, append(slices.Clone(values), absent)))
		}
		return out
	}
	indexes := func(purposes ...audit.Purpose) (out []audit.Index) {
		for range 1 + d.n(3) {
			out = append(out, index(one(d, purposes), fmt.Sprint(d.n(32))))
		}
		return out
	}
	near := s.written[d.n(len(s.written))]
	draws := []func(){
		func() { m.Sites = some(manySites, "nowhere") }, func() { m.Types = some([]string{"password.*", "sign_in.denied", "mfa.*", "token.used"}, "policy.*") },
		func() { m.Reasons = some(manyReasons, "RARE_3") }, func() { m.Methods = some(manyMethods, "none") }, func() { m.Factors = some(manyFactors, "none") },
		func() { m.Connections = some(manyPartners, "none") }, func() { m.Rules = some(manyRules, "none") }, func() { m.TargetTypes = some(manyTargets, "none") },
		func() { m.TargetIDs = some(manyIDs, "none") }, func() { m.Callers = some(manyCallers, "none") },
		func() { m.Outcomes = []audit.Outcome{audit.Outcome(d.n(4))} }, func() { m.Classes = []audit.Class{audit.Class(d.n(5)), audit.ClassManaged} },
		func() { m.Evidences = []audit.Evidence{audit.Evidence(d.n(3))} },
		func() { m.Flows = []string{near.Flow, id("scripted flow", d.n(200))} }, func() { m.SupportCodes = []string{near.SupportCode, "CODE0-00003", "none"} },
		func() { m.Subjects = indexes(audit.IndexAccount, audit.IndexEmail, audit.IndexIdentifier) }, func() { m.Domains = indexes(audit.IndexEmailDomain) },
		func() { m.Names = indexes(audit.IndexName) }, func() { m.Networks = indexes(audit.IndexNetwork32, audit.IndexNetwork24) },
	}
	for range lists {
		draws[d.n(len(draws))]()
	}
	return m
}

// query draws a filter.
func (s *scripted) query() audit.Query {
	d := &s.dice
	q := audit.Query{OrganizationUID: orgA, Match: s.match(d.n(3)), NoSandbox: d.n(4) == 0}
	if d.n(3) == 0 {
		q.Exclude = s.match(1 + d.n(2))
	}
	if d.n(3) == 0 {
		q.Text = []string{one(d, manyWords)}
		if d.n(3) == 0 {
			q.Text = append(q.Text, one(d, manyWords))
		}
	}
	if d.n(3) == 0 {
		q.Start = began.Add(-time.Duration(d.n(170*24*60)) * time.Minute)
	}
	if d.n(3) == 0 {
		q.End = began.Add(-time.Duration(d.n(170*24*60*60)) * time.Second)
	}
	if d.n(4) == 0 {
		q.UpTo = int64(1 + d.n(len(s.written)+50))
	}
	return q
}

var manyWords = []string{"portal", "PASS", "bad", "BAD_CRED", "code", "1", "%", "_", "shop_1", "münchen", "eu", "example", "long", "end", "end and", "é", "unix", "100", "1000", "y", "org/login", "rare", "SSO", "nothing like this", "RÄ", "rä", "'"}

// tries is how often something is tried with dice.
func tries(n int) int { return max(n/fewer, 3) }
