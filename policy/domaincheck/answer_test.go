package domaincheck_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/policy/domaincheck"
)

func TestWhatAnswersComeTo(t *testing.T) {
	shown := domaincheck.Answer{Kind: domaincheck.Records, TXT: [][]string{{"v=spf1 -all"}, {domaincheck.Text(token(1), time.Time{})}}}
	other := domaincheck.Answer{Kind: domaincheck.Records, TXT: [][]string{{domaincheck.Text(token(2), time.Time{})}}}
	none := domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonNoName}
	nodata := domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonNoTXT}
	broken := domaincheck.Answer{Reason: domaincheck.ReasonServfail}
	late := domaincheck.Answer{Reason: domaincheck.ReasonTimeout}
	signed := func(a domaincheck.Answer) domaincheck.Answer { a.DNSSEC = true; return a }
	type list = []domaincheck.Answer
	for name, c := range map[string]struct {
		answers list
		want    domaincheck.Finding
	}{
		"no resolver":                            {nil, domaincheck.Finding{Reason: "NO_RESOLVER"}},
		"the one there is":                       {list{shown}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", Asked: 1, Agreed: 1}},
		"the one there is says no":               {list{none}, domaincheck.Finding{Outcome: domaincheck.Absent, Reason: "NXDOMAIN", Asked: 1, Agreed: 1}},
		"the one there is is broken":             {list{broken}, domaincheck.Finding{Reason: "SERVFAIL", Asked: 1}},
		"two agree":                              {list{shown, shown}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", Asked: 2, Agreed: 2}},
		"two agree that it is not there":         {list{nodata, other}, domaincheck.Finding{Outcome: domaincheck.Absent, Reason: "NODATA", Asked: 2, Agreed: 2}},
		"one of two is silent":                   {list{shown, late}, domaincheck.Finding{Reason: "TOO_FEW", Asked: 2, Agreed: 1}},
		"one of two denies and one is silent":    {list{none, late}, domaincheck.Finding{Reason: "TOO_FEW", Asked: 2, Agreed: 1}},
		"two of three agree, one is silent":      {list{shown, late, shown}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", Asked: 3, Agreed: 2}},
		"one lies":                               {list{shown, shown, none}, domaincheck.Finding{Reason: "DISAGREE", Asked: 3}},
		"one lies the other way":                 {list{none, other, shown}, domaincheck.Finding{Reason: "DISAGREE", Asked: 3}},
		"all are in trouble":                     {list{late, broken}, domaincheck.Finding{Reason: "TIMEOUT", Asked: 2}},
		"one signed answer is enough":            {list{signed(shown), late}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", DNSSEC: true, Asked: 2, Agreed: 1}},
		"a signed answer outweighs others":       {list{signed(shown), none, none}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", DNSSEC: true, Asked: 3, Agreed: 1}},
		"a signed denial outweighs others":       {list{signed(none), shown, shown}, domaincheck.Finding{Outcome: domaincheck.Absent, Reason: "NXDOMAIN", DNSSEC: true, Asked: 3, Agreed: 1}},
		"signed answers that disagree":           {list{signed(none), signed(shown)}, domaincheck.Finding{Reason: "DISAGREE", Asked: 2}},
		"signed trouble is trouble":              {list{signed(broken), shown, shown}, domaincheck.Finding{Outcome: domaincheck.Found, Reason: "SHOWN", Asked: 3, Agreed: 2}},
		"an answer without records is no answer": {list{{}}, domaincheck.Finding{Asked: 1}},
	} {
		if got := domaincheck.Judge(c.answers, token(1), time.Time{}, moment); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestADatedRecordCountsUntilItsDayIsOver(t *testing.T) {
	expires := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	answers := []domaincheck.Answer{{Kind: domaincheck.Records, TXT: [][]string{{domaincheck.Text(token(1), expires)}}}}
	for at, want := range map[time.Time]domaincheck.Outcome{
		expires.Add(-day): domaincheck.Found, expires.Add(day - time.Nanosecond): domaincheck.Found, expires.Add(day): domaincheck.Absent,
	} {
		if got := domaincheck.Judge(answers, token(1), expires, at); got.Outcome != want {
			t.Errorf("%v: %+v", at, got)
		}
	}
}

func TestNoAnswerIsOnlyEverMadeUpFromTrouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var answers []domaincheck.Answer
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			answers = append(answers, domaincheck.Answer{Reason: "SERVFAIL", DNSSEC: rapid.Bool().Draw(t, "ad")})
		}
		if f := domaincheck.Judge(answers, token(1), time.Time{}, moment); f.Outcome != domaincheck.Unknown {
			t.Fatalf("%+v of trouble alone", f)
		}
		// More resolvers in trouble never turn a finding round.
		answers = append(answers, domaincheck.Answer{Kind: domaincheck.Negative, Reason: "NXDOMAIN"}, domaincheck.Answer{Kind: domaincheck.Negative, Reason: "NXDOMAIN"})
		if f := domaincheck.Judge(answers, token(1), time.Time{}, moment); f.Outcome != domaincheck.Absent || f.Agreed != 2 {
			t.Fatalf("%+v", f)
		}
	})
}
