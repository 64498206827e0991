package resolve_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/nametest"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
	"github.com/postern-audit/postern/policy/domaincheck/resolve"
)

var moment = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

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

func resolver(t *testing.T, c resolve.Config) *resolve.Resolver {
	t.Helper()
	r, err := resolve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// right is the record asked for, quoted.
func right() string { return fmt.Sprintf("%q", domaincheck.Text(token(1), time.Time{})) }

func txt(name string, strs ...string) string { return name + ". 1 IN TXT " + strings.Join(strs, " ") }

// records are a zone with something of everything.
func records() []string {
	at := func(d string) string { return "_postern-challenge." + d + ".example.org" }
	text := domaincheck.Text(token(1), time.Time{})
	long := `"` + strings.Repeat("x", 250) + `"`
	all := []string{
		txt(at("normal"), right()),
		txt(at("several"), `"v=spf1 -all"`), txt(at("several"), right()), txt(at("several"), fmt.Sprintf("%q", domaincheck.Text(token(2), time.Time{}))),
		txt(at("split"), `"`+text[:7]+`"`, `""`, `"`+text[7:20]+`"`, `"`+text[20:]+`"`),
		txt(at("other"), fmt.Sprintf("%q", domaincheck.Text(token(2), time.Time{}))),
		txt(at("beside"), right(), `"x"`),
		at("nodata") + `. 1 IN HINFO "a" "b"`,
		at("alias") + ". 1 IN CNAME _postern-challenge.target.example.org.",
		txt(at("target"), right()),
		at("far") + ". 1 IN CNAME _postern-challenge.target.example.net.",
		at("gone") + ". 1 IN CNAME _postern-challenge.nowhere.example.org.",
		at("empty") + ". 1 IN CNAME " + at("nodata") + ".",
		at("hosting") + ". 1 IN CNAME pages.example.org.",
		txt("pages.example.org", right()),
		at("twice") + ". 1 IN CNAME " + at("alias") + ".",
		"*.wild.example.org. 1 IN CNAME pages.example.org.",
	}
	for i := range 20 {
		all = append(all, txt(at("big"), long, fmt.Sprintf(`"%d"`, i)))
	}
	all = append(all, txt(at("big"), right()))
	for i := range 80 {
		all = append(all, txt(at("toomany"), fmt.Sprintf(`"%d"`, i)))
	}
	return append(all, txt(at("toomany"), right()))
}

func TestWhatARealNameServerSays(t *testing.T) {
	zones := []nametest.Zone{
		{Name: "example.org", Records: records()},
		{Name: "example.net", Records: []string{txt("_postern-challenge.target.example.net", right())}},
		{Name: "example.com", Signed: true, Records: []string{txt("_postern-challenge.example.com", right()), txt("_postern-challenge.other.example.com", `"x"`)}},
	}
	authority := nametest.Authority(t, zones...)
	recursive := nametest.Resolver(t, authority)
	for server, r := range map[string]*resolve.Resolver{
		"authority": resolver(t, resolve.Config{Servers: []string{authority.Addr()}, TrustsAD: true, Timeout: 10 * time.Second}),
		"resolver":  resolver(t, resolve.Config{Servers: []string{recursive.Addr()}, TrustsAD: true, Timeout: 10 * time.Second}),
		"both":      resolver(t, resolve.Config{Servers: []string{authority.Addr(), recursive.Addr()}, Timeout: 10 * time.Second}),
	} {
		for name, want := range map[string]string{
			"normal.example.org": "FOUND SHOWN", "several.example.org": "FOUND SHOWN", "split.example.org": "FOUND SHOWN", "big.example.org": "FOUND SHOWN",
			"alias.example.org": "FOUND SHOWN", "far.example.org": "FOUND SHOWN",
			"other.example.org": "ABSENT OTHER_RECORDS", "beside.example.org": "ABSENT OTHER_RECORDS",
			"nodata.example.org": "ABSENT NODATA", "nobody.example.org": "ABSENT NXDOMAIN",
			"gone.example.org": "ABSENT NXDOMAIN", "empty.example.org": "ABSENT NODATA",
			"hosting.example.org": "ABSENT ALIAS_ELSEWHERE", "wild.example.org": "ABSENT ALIAS_ELSEWHERE", "twice.example.org": "ABSENT ALIAS_ELSEWHERE",
			"toomany.example.org": "UNKNOWN TOO_LARGE",
			"example.com":         "FOUND SHOWN", "other.example.com": "ABSENT OTHER_RECORDS", "nobody.example.com": "ABSENT NXDOMAIN",
		} {
			c := policy.DomainChallenge{Domain: domain(t, name), Token: token(1)}
			f := r.Check(t.Context(), &c, moment)
			if got := f.Outcome.String() + " " + f.Reason; got != want {
				t.Errorf("%s, %s: %s, want %s (%+v)", server, name, got, want, f)
			}
			if signed := server == "resolver" && strings.HasSuffix(name, "example.com"); f.DNSSEC != signed {
				t.Errorf("%s, %s: authenticated %v", server, name, f.DNSSEC)
			}
		}
		outside := policy.DomainChallenge{Domain: domain(t, "example.edu"), Token: token(1)}
		if f := r.Check(t.Context(), &outside, moment); f.Outcome != domaincheck.Unknown || f.Reason != map[string]string{
			"authority": domaincheck.ReasonRefused, "resolver": domaincheck.ReasonServfail, "both": domaincheck.ReasonRefused}[server] {
			t.Errorf("%s, of a zone it does not have: %+v", server, f)
		}
	}
	if t.Failed() {
		t.Log(authority.Log(), recursive.Log())
	}
}

func TestAZoneThatChangesIsSeen(t *testing.T) {
	authority := nametest.Authority(t, nametest.Zone{Name: "example.org", Signed: true})
	recursive := nametest.Resolver(t, authority)
	r := resolver(t, resolve.Config{Servers: []string{authority.Addr(), recursive.Addr()}, TrustsAD: true, Timeout: 10 * time.Second})
	c := policy.DomainChallenge{Domain: domain(t, "example.org"), Token: token(1)}
	name := domaincheck.Name(c.Domain)
	// The resolver remembers an answer for the second it came in.
	await := func(o domaincheck.Outcome) {
		t.Helper()
		var f domaincheck.Finding
		for late := time.Now().Add(30 * time.Second); time.Now().Before(late); {
			if f = r.Check(t.Context(), &c, moment); f.Outcome == o && f.DNSSEC == (o != domaincheck.Unknown) {
				return
			}
		}
		t.Errorf("%+v, want %v\n%s", f, o, recursive.Log())
	}
	await(domaincheck.Absent)
	authority.Set(name, txt(name, right()))
	await(domaincheck.Found)
	authority.Set(name)
	await(domaincheck.Absent)
	authority.Kill()
	await(domaincheck.Unknown)
}
