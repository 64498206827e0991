package domaincheck

import (
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// When a domain fails, and when one that fails ends.
const (
	// FailAfter is how many authoritative negatives in a row make a domain fail, FailWithin how long they must span at least.
	FailAfter  = 3
	FailWithin = 72 * time.Hour
	// Apart is how far apart negatives lie that both count: looking often makes nothing fail sooner.
	Apart = 6 * time.Hour
	// MinLapse and MaxLapse bound LapseAfter.
	MinLapse = 7 * 24 * time.Hour
	MaxLapse = 365 * 24 * time.Hour
	// LapseWarnings is how many warnings come before a domain lapses by itself, a day or more apart.
	LapseWarnings = 3
	warningsApart = 24 * time.Hour
)

// Every is how often a domain that counts is looked at, give or take Jitter; one that waits is looked at by itself hourly during
// its first WaitFor.
const (
	Every        = 24 * time.Hour
	Jitter       = 2 * time.Hour
	pendingEvery = time.Hour
	WaitFor      = 7 * 24 * time.Hour
)

// Change says what a look at the zone, or an admin, changed.
type Change uint8

// The changes. Each but None is an event; what is none is bookkeeping alone.
const (
	None      Change = 0
	Verified  Change = 1 // it counts from now on
	Recovered Change = 2 // it failed, and its zone shows the record again
	Failing   Change = 3 // its zone says the record is gone; it goes on counting
	Warned    Change = 4 // it still fails, and will end by itself as the organization chose
	Lapsed    Change = 5 // it does not count any more
)

// New is the challenge of a domain nobody has looked at. The token is random and given in; lapse is zero for never.
func New(d policy.Domain, subdomains bool, token policy.ChallengeToken, lapse time.Duration, now time.Time) (policy.DomainChallenge, error) {
	if d.IsZero() || token == (policy.ChallengeToken{}) {
		return policy.DomainChallenge{}, errs.New(errs.Internal, "CHALLENGE_INCOMPLETE", "a challenge needs a domain and a token")
	}
	if lapse != 0 && (lapse < MinLapse || lapse > MaxLapse) {
		return policy.DomainChallenge{}, errs.Field("lapse_after", "FIELD_INVALID", "must be 7 to 365 days, or absent for never")
	}
	return policy.DomainChallenge{Domain: d, Subdomains: subdomains, Token: token, LapseAfter: lapse, State: policy.DomainPending,
		Created: now, Due: now.Add(pendingEvery)}, nil
}

// Advance moves a challenge on by what a look at its zone found. jitter, 0 to 1, spreads the next look. A challenge that lapsed
// comes back only by being found again.
func Advance(c policy.DomainChallenge, f Finding, now time.Time, jitter float64) (policy.DomainChallenge, Change) {
	c.Checked, c.Outcome, c.Detail = now, f.Outcome.String(), f.Reason
	change := None
	switch f.Outcome {
	case Found:
		change = found(&c, f, now)
	case Absent:
		change = absent(&c, now)
	case Unknown: // says nothing about the zone
	}
	c.Due = due(&c, now, jitter)
	return c, change
}

func found(c *policy.DomainChallenge, f Finding, now time.Time) Change {
	before := c.State
	c.State, c.DNSSEC, c.Failing = policy.DomainVerified, f.DNSSEC, time.Time{}
	c.Negatives, c.FirstNegative, c.LastNegative = 0, time.Time{}, time.Time{}
	c.Warnings, c.LastWarning = 0, time.Time{}
	switch before {
	case policy.DomainVerified:
		return None
	case policy.DomainFailing:
		return Recovered
	case policy.DomainPending, policy.DomainLapsed:
	}
	c.Verified = now
	return Verified
}

func absent(c *policy.DomainChallenge, now time.Time) Change {
	if !c.State.Counts() {
		return None
	}
	if c.Negatives == 0 || now.Sub(c.LastNegative) >= Apart {
		if c.Negatives == 0 {
			c.FirstNegative = now
		}
		c.Negatives, c.LastNegative = c.Negatives+1, now
	}
	if c.State == policy.DomainVerified {
		if c.Negatives < FailAfter || now.Sub(c.FirstNegative) < FailWithin {
			return None
		}
		c.State, c.Failing, c.Warnings, c.LastWarning = policy.DomainFailing, now, 1, now
		return Failing
	}
	return stillAbsent(c, now)
}

// stillAbsent is one more negative of a domain that fails.
func stillAbsent(c *policy.DomainChallenge, now time.Time) Change {
	if c.LapseAfter == 0 || now.Sub(c.LastWarning) < warningsApart {
		return None
	}
	failed := now.Sub(c.Failing)
	switch {
	case c.Warnings < LapseWarnings && failed >= c.LapseAfter*time.Duration(c.Warnings)/LapseWarnings:
		c.Warnings, c.LastWarning = c.Warnings+1, now
		return Warned
	case c.Warnings >= LapseWarnings && failed >= c.LapseAfter:
		lapse(c)
		return Lapsed
	}
	return None
}

// Update changes what the organization chose about a domain: whether its subdomains count, and after how long of failing it lapses,
// zero for never. Nil leaves it as it is. It changes no state.
func Update(c policy.DomainChallenge, subdomains *bool, lapse *time.Duration) (policy.DomainChallenge, error) {
	if subdomains != nil {
		c.Subdomains = *subdomains
	}
	if lapse != nil {
		if *lapse != 0 && (*lapse < MinLapse || *lapse > MaxLapse) {
			return c, errs.Field("domain.lapse_after", "FIELD_INVALID", "must be 7 to 365 days, or absent for never")
		}
		c.LapseAfter = *lapse
	}
	return c, nil
}

// Confirm ends a domain that fails, as an admin says.
func Confirm(c policy.DomainChallenge) (policy.DomainChallenge, error) {
	if c.State != policy.DomainFailing {
		return c, errs.New(errs.FailedPrecondition, "DOMAIN_NOT_FAILING",
			"only a domain that fails is confirmed away; delete one that you do not want any more")
	}
	lapse(&c)
	return c, nil
}

// Lose ends a domain that another organization has verified.
func Lose(c policy.DomainChallenge) policy.DomainChallenge {
	lapse(&c)
	c.Detail = policy.ReasonDomainTaken
	return c
}

func lapse(c *policy.DomainChallenge) {
	c.State, c.Failing, c.Due = policy.DomainLapsed, time.Time{}, time.Time{}
	c.Negatives, c.FirstNegative, c.LastNegative = 0, time.Time{}, time.Time{}
	c.Warnings, c.LastWarning = 0, time.Time{}
}

// due is when the next look comes, zero for never by itself.
func due(c *policy.DomainChallenge, now time.Time, jitter float64) time.Time {
	switch c.State {
	case policy.DomainVerified, policy.DomainFailing:
		return now.Add(Every - Jitter + time.Duration(jitter*float64(2*Jitter)))
	case policy.DomainPending:
		if now.Sub(c.Created) < WaitFor {
			return now.Add(pendingEvery + time.Duration(jitter*float64(pendingEvery)/4))
		}
	case policy.DomainLapsed:
	}
	return time.Time{}
}
