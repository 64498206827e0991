package domaincheck_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// look is one look at a zone, some time after the one before.
type look struct {
	after time.Duration
	what  domaincheck.Outcome
}

const (
	yes   = domaincheck.Found
	no    = domaincheck.Absent
	dunno = domaincheck.Unknown
)

func TestHowAVerificationMovesOn(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		lapse   time.Duration
		looks   []look
		changes []domaincheck.Change // those that are any
		state   policy.DomainState
	}{
		"waiting lasts":       {0, []look{{0, no}, {day, dunno}, {300 * day, no}}, nil, policy.DomainPending},
		"found":               {0, []look{{0, no}, {day, yes}, {day, yes}}, []domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"two negatives":       {0, []look{{0, yes}, {day, no}, {100 * day, no}}, []domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"three within 71 h":   {0, []look{{0, yes}, {day, no}, {35 * time.Hour, no}, {36 * time.Hour, no}}, []domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"three over 72 h":     {0, []look{{0, yes}, {day, no}, {36 * time.Hour, no}, {36 * time.Hour, no}}, []domaincheck.Change{domaincheck.Verified, domaincheck.Failing}, policy.DomainFailing},
		"in a row":            {0, []look{{0, yes}, {day, no}, {2 * day, no}, {day, yes}, {day, no}, {day, no}}, []domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"trouble is no break": {0, []look{{0, yes}, {day, no}, {day, dunno}, {day, no}, {day, dunno}, {day, no}}, []domaincheck.Change{domaincheck.Verified, domaincheck.Failing}, policy.DomainFailing},
		"trouble fails nothing": {week, []look{{0, yes}, {day, dunno}, {10 * day, dunno}, {10 * day, dunno}, {300 * day, dunno}},
			[]domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"looking often does not hurry": {0, []look{{0, yes}, {day, no}, {time.Minute, no}, {time.Minute, no}, {80 * time.Hour, no}},
			[]domaincheck.Change{domaincheck.Verified}, policy.DomainVerified},
		"it recovers": {0, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {day, yes}, {day, no}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing, domaincheck.Recovered}, policy.DomainVerified},
		"it fails for good": {0, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {300 * day, no}, {300 * day, no}, {300 * day, no}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing}, policy.DomainFailing},
		"it lapses as chosen, warned": {week, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {2 * day, no}, {day, no}, {2 * day, no}, {day, no}, {day, no}, {day, no}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing, domaincheck.Warned, domaincheck.Warned, domaincheck.Lapsed}, policy.DomainLapsed},
		"late looks warn all the same": {week, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {100 * day, no}, {time.Hour, no}, {day, no}, {day, no}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing, domaincheck.Warned, domaincheck.Warned, domaincheck.Lapsed}, policy.DomainLapsed},
		"trouble lapses nothing": {week, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {3 * day, no}, {2 * day, no}, {300 * day, dunno}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing, domaincheck.Warned, domaincheck.Warned}, policy.DomainFailing},
		"a lapsed one comes back by being found": {week, []look{{0, yes}, {day, no}, {2 * day, no}, {2 * day, no}, {100 * day, no}, {day, no}, {day, no}, {day, no}, {day, yes}},
			[]domaincheck.Change{domaincheck.Verified, domaincheck.Failing, domaincheck.Warned, domaincheck.Warned, domaincheck.Lapsed, domaincheck.Verified}, policy.DomainVerified},
	} {
		now := moment
		challenge, err := domaincheck.New(domain(t, "example.org"), true, token(1), c.lapse, now)
		if err != nil {
			t.Fatal(err)
		}
		var changes []domaincheck.Change
		for _, l := range c.looks {
			now = now.Add(l.after)
			var change domaincheck.Change
			challenge, change = domaincheck.Advance(challenge, domaincheck.Finding{Outcome: l.what}, now, 0.5)
			if change != domaincheck.None {
				changes = append(changes, change)
			}
		}
		same := len(changes) == len(c.changes)
		for i := 0; same && i < len(changes); i++ {
			same = changes[i] == c.changes[i]
		}
		if !same || challenge.State != c.state {
			t.Errorf("%s: %v, %v; want %v, %v", name, changes, challenge.State, c.changes, c.state)
		}
	}
}

func TestAdvanceHoldsTogether(t *testing.T) {
	d := domain(t, "example.org")
	rapid.Check(t, func(t *rapid.T) {
		lapse := time.Duration(0)
		if rapid.Bool().Draw(t, "opted in") {
			lapse = domaincheck.MinLapse
		}
		now := moment
		c, err := domaincheck.New(d, false, token(1), lapse, now)
		if err != nil {
			t.Fatal(err)
		}
		var denied []time.Time // authoritative negatives since it was found last
		warned, failed := 0, false
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*day)).Draw(t, "after")))
			f := domaincheck.Finding{Outcome: rapid.SampledFrom([]domaincheck.Outcome{yes, no, no, no, dunno}).Draw(t, "outcome")}
			before := c
			var change domaincheck.Change
			c, change = domaincheck.Advance(c, f, now, rapid.Float64Range(0, 1).Draw(t, "jitter"))
			switch f.Outcome {
			case yes:
				denied, warned, failed = nil, 0, false
			case no:
				if before.State.Counts() {
					denied = append(denied, now)
				}
			case dunno:
				if c.State != before.State || change != domaincheck.None {
					t.Fatalf("trouble moved %v to %v", before.State, c.State)
				}
			}
			if change == domaincheck.Failing {
				if len(denied) < 3 || now.Sub(denied[0]) < 72*time.Hour {
					t.Fatalf("fails after %v", denied)
				}
				failed = true
			}
			if change == domaincheck.Failing || change == domaincheck.Warned {
				warned++
			}
			if change == domaincheck.Lapsed && (lapse == 0 || warned < domaincheck.LapseWarnings || !failed) {
				t.Fatalf("lapsed after %d warnings, opted in %v", warned, lapse)
			}
			if before.State.Counts() && !c.State.Counts() && change != domaincheck.Lapsed {
				t.Fatalf("%v became %v without saying so", before.State, c.State)
			}
			if (change == domaincheck.None) != (before.State == c.State) && change != domaincheck.Warned {
				t.Fatalf("%v to %v is change %d", before.State, c.State, change)
			}
			if c.State.Counts() != !c.Due.IsZero() && c.State != policy.DomainPending {
				t.Fatalf("%v, due %v", c.State, c.Due)
			}
			if c.State.Counts() && (c.Due.Before(now.Add(domaincheck.Every-domaincheck.Jitter)) || c.Due.After(now.Add(domaincheck.Every+domaincheck.Jitter))) {
				t.Fatalf("due %v after", c.Due.Sub(now))
			}
		}
	})
}

func TestOnlyAFailingDomainIsConfirmedAway(t *testing.T) {
	for _, s := range []policy.DomainState{policy.DomainPending, policy.DomainVerified, policy.DomainFailing, policy.DomainLapsed} {
		c, err := domaincheck.Confirm(policy.DomainChallenge{State: s, Due: moment})
		switch {
		case s == policy.DomainFailing:
			if err != nil || c.State != policy.DomainLapsed || !c.Due.IsZero() {
				t.Errorf("%v: %+v, %v", s, c, err)
			}
		case !errs.Is(err, "DOMAIN_NOT_FAILING") || c.State != s:
			t.Errorf("%v: %+v, %v", s, c, err)
		}
	}
}

func TestAChallengeIsNotMadeOfHalf(t *testing.T) {
	d := domain(t, "example.org")
	if _, err := domaincheck.New(d, false, policy.ChallengeToken{}, 0, moment); err == nil {
		t.Error("without a token")
	}
	for _, lapse := range []time.Duration{1, domaincheck.MinLapse - 1, domaincheck.MaxLapse + 1, -1} {
		if _, err := domaincheck.New(d, false, token(1), lapse, moment); !errs.Is(err, "FIELD_INVALID") {
			t.Errorf("%v: %v", lapse, err)
		}
	}
}
