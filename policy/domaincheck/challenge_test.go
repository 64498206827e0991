package domaincheck_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
)

var (
	moment = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	day    = 24 * time.Hour
)

func token(b byte) (t policy.ChallengeToken) {
	for i := range t {
		t[i] = b + byte(i)
	}
	return t
}

func domain(t *testing.T, s string) policy.Domain {
	t.Helper()
	d, err := domaincheck.Check(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheRecordIsWhatTheDocumentationSays(t *testing.T) {
	if got := domaincheck.Name(domain(t, "Acme.Example.org.")); got != "_postern-challenge.acme.example.org" {
		t.Error(got)
	}
	for expires, want := range map[time.Time]string{
		{}:                         "token=AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYU expiry=never",
		moment:                     "token=AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYU expiry=2026-03-02",
		moment.Add(14 * time.Hour): "token=AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYU expiry=2026-03-03",
	} {
		if got := domaincheck.Text(token(1), expires); got != want {
			t.Errorf("%v: %s", expires, got)
		}
	}
}

func TestOnlyTheVeryRecordCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		token := policy.ChallengeToken(rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "token"))
		expires := time.Time{}
		if rapid.Bool().Draw(t, "dated") {
			expires = time.Date(2026, 1, rapid.IntRange(1, 4000).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		}
		text := domaincheck.Text(token, expires)
		if !domaincheck.Shown([][]string{{text}}, token, expires) {
			t.Fatalf("%q does not count", text)
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		other := text[:i] + string([]byte{rapid.Byte().Draw(t, "byte")}) + text[i+1:]
		for _, near := range []string{other, text + " ", " " + text, strings.ToLower(text), text[:len(text)-1], ""} {
			if near != text && domaincheck.Shown([][]string{{near}}, token, expires) {
				t.Fatalf("%q counts as %q", near, text)
			}
		}
	})
}

func TestARecordCountsHoweverItIsCutUpAndWhateverStandsBesideIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := token(byte(rapid.IntRange(1, 200).Draw(t, "token")))
		text := domaincheck.Text(want, time.Time{})
		cut := rapid.IntRange(0, len(text)).Draw(t, "cut")
		right := []string{text[:cut], "", text[cut:]}
		wrong := rapid.SliceOfN(rapid.SliceOfN(rapid.StringMatching(`[a-z=" ]{0,40}`), 0, 3), 0, 6).Draw(t, "others")
		at := rapid.IntRange(0, len(wrong)).Draw(t, "place")
		records := append(append(append([][]string{}, wrong[:at]...), right), wrong[at:]...)
		if !domaincheck.Shown(records, want, time.Time{}) {
			t.Fatalf("not found in %q", records)
		}
		if domaincheck.Shown(wrong, want, time.Time{}) || domaincheck.Shown(records, want, moment) {
			t.Fatalf("found where it is not: %q", wrong)
		}
	})
	// Two records whose strings would join into the right one are two records.
	text := domaincheck.Text(token(1), time.Time{})
	if domaincheck.Shown([][]string{{text[:10]}, {text[10:]}}, token(1), time.Time{}) {
		t.Error("records are joined with each other")
	}
}

func TestDomainsThatNobodyCanProveAreRefused(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5)[:233] + ".org"
	for text, want := range map[string]string{
		"com": policy.ReasonDomainSingleLabel, "co.uk": policy.ReasonDomainSuffix, "CO.UK.": policy.ReasonDomainSuffix,
		"github.io": policy.ReasonDomainSuffix, "gmail.com": policy.ReasonDomainFreeMail, "GMail.com.": policy.ReasonDomainFreeMail,
		"192.0.2.1": policy.ReasonDomainNumeric, "[192.0.2.1]": policy.ReasonDomainLiteral, "localhost": policy.ReasonDomainSingleLabel,
		"a.localhost": policy.ReasonDomainSpecialUse, "host.home.arpa": policy.ReasonDomainSpecialUse, "a.internal": policy.ReasonDomainSpecialUse,
		"*.example.org": policy.ReasonDomainWildcard, "https://example.org": policy.ReasonDomainInvalid, "": policy.ReasonDomainEmpty,
		"a.nosuchtld": policy.ReasonDomainNotPublic, long: policy.ReasonDomainTooLong, "exa\u00admple.org": policy.ReasonDomainHidden,
	} {
		if d, err := domaincheck.Check(text); !errs.Is(err, want) || !d.IsZero() {
			t.Errorf("%q: %v, %v; want %s", text, d, err, want)
		}
	}
	if _, err := policy.ParseOwnedDomain(long); err != nil {
		t.Errorf("the long one is a domain: %v", err)
	}
	for _, name := range []string{"_postern-challenge.example.org", "_POSTERN-Challenge.x"} {
		if !domaincheck.IsChallengeName(name) {
			t.Error(name)
		}
	}
	for _, name := range []string{"", "_postern-challenge.", "_postern-challenge", "x._postern-challenge.example.org", "_postern-challengex.example.org", "example.org"} {
		if domaincheck.IsChallengeName(name) {
			t.Error(name)
		}
	}
}
