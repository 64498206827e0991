package domaincheck

import (
	"time"

	"github.com/postern-audit/postern/policy"
)

// Kind says what one resolver answered.
type Kind uint8

// The kinds of answer. The zero Kind is no answer at all.
const (
	// Failed is anything but an answer of the zone: no reply in time, SERVFAIL, REFUSED, a reply that cannot be read or that
	// answers something else, a server that does not know the zone.
	Failed Kind = 0
	// Records are the TXT records of the name, at least one.
	Records Kind = 1
	// Negative is the zone's own word that there is no such name or no TXT record at it.
	Negative Kind = 2
)

// Answer is what one resolver said about a challenge name.
type Answer struct {
	Kind   Kind
	TXT    [][]string // character-strings by record
	Reason string     // why it failed or is negative
	DNSSEC bool       // the resolver says that it checked the signatures (AD)
}

// Reasons of findings and answers. They are shown to admins and counted, and never grow with what servers say.
const (
	ReasonShown       = "SHOWN"           // the record is there
	ReasonNoName      = "NXDOMAIN"        // there is no such name
	ReasonNoTXT       = "NODATA"          // there is such a name and no TXT record at it
	ReasonOther       = "OTHER_RECORDS"   // there are TXT records and none is the one asked for
	ReasonAlias       = "ALIAS_ELSEWHERE" // the name is an alias of a name that is not for challenges
	ReasonExpired     = "EXPIRED"         // the record's own date has passed
	ReasonServfail    = "SERVFAIL"
	ReasonTimeout     = "TIMEOUT"
	ReasonUnreachable = "UNREACHABLE"
	ReasonRefused     = "REFUSED" // or another error code
	ReasonLame        = "LAME"    // no error, no answer, and not the zone's word that there is none
	ReasonMalformed   = "MALFORMED"
	ReasonTooLarge    = "TOO_LARGE"
	ReasonDisagree    = "DISAGREE"    // resolvers say different things
	ReasonTooFew      = "TOO_FEW"     // fewer resolvers answered than have to agree
	ReasonNoResolver  = "NO_RESOLVER" // none is configured
)

// Outcome is what a look at the zone came to.
type Outcome uint8

// The outcomes.
const (
	Unknown Outcome = 0 // nothing follows
	Found   Outcome = 1
	Absent  Outcome = 2 // the zone itself says that the record is not there
)

// String is the outcome as events, metrics and people read it.
func (o Outcome) String() string {
	switch o {
	case Found:
		return "FOUND"
	case Absent:
		return "ABSENT"
	case Unknown:
	}
	return "UNKNOWN"
}

// Finding is what a look at the zone came to.
type Finding struct {
	Outcome Outcome
	Reason  string // one of the reasons above
	DNSSEC  bool   // it rests on authenticated answers
	Asked   int    // how many resolvers were asked
	Agreed  int    // how many answers it rests on
}

// agreement is how many resolvers must say the same when signatures vouch for none of them, where there are as many.
const agreement = 2

// Judge says what the answers of all resolvers that were asked come to. Authenticated answers decide alone, if they agree. Without
// one, nobody may contradict and at least two resolvers must agree, or the one there is.
func Judge(answers []Answer, token policy.ChallengeToken, expires, now time.Time) Finding {
	if len(answers) == 0 {
		return Finding{Reason: ReasonNoResolver}
	}
	all, authenticated := tally{}, tally{}
	for i := range answers {
		o, reason := judge(&answers[i], token, expires, now)
		all.add(o, reason)
		if answers[i].DNSSEC {
			authenticated.add(o, reason)
		}
	}
	f, needed := all.finding(), min(agreement, len(answers))
	if authenticated.found+authenticated.absent > 0 {
		f, needed = authenticated.finding(), 1
		f.DNSSEC = f.Outcome != Unknown
	}
	f.Asked = len(answers)
	if f.Outcome != Unknown && f.Agreed < needed {
		return Finding{Reason: ReasonTooFew, Asked: f.Asked, Agreed: f.Agreed}
	}
	return f
}

// judge is what one answer says.
func judge(a *Answer, token policy.ChallengeToken, expires, now time.Time) (Outcome, string) {
	switch a.Kind {
	case Records:
		switch shown := Shown(a.TXT, token, expires); {
		case shown && !expires.IsZero() && !now.Before(expires.AddDate(0, 0, 1)): // its day counts whole
			return Absent, ReasonExpired
		case shown:
			return Found, ReasonShown
		}
		return Absent, ReasonOther
	case Negative:
		return Absent, a.Reason
	case Failed:
	}
	return Unknown, a.Reason
}

// tally counts what answers said, and keeps the first reason of each outcome.
type tally struct {
	found, absent, unknown    int
	whyFound, whyNot, whyNone string
}

func (t *tally) add(o Outcome, reason string) {
	first := func(why *string) {
		if *why == "" {
			*why = reason
		}
	}
	switch o {
	case Found:
		t.found++
		first(&t.whyFound)
	case Absent:
		t.absent++
		first(&t.whyNot)
	case Unknown:
		t.unknown++
		first(&t.whyNone)
	}
}

func (t *tally) finding() Finding {
	switch {
	case t.found > 0 && t.absent > 0:
		return Finding{Reason: ReasonDisagree}
	case t.found > 0:
		return Finding{Outcome: Found, Reason: t.whyFound, Agreed: t.found}
	case t.absent > 0:
		return Finding{Outcome: Absent, Reason: t.whyNot, Agreed: t.absent}
	}
	return Finding{Reason: t.whyNone}
}
