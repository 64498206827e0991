package names_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/names"
)

func TestNamesRoundTrip(t *testing.T) {
	long := strings.Repeat("a", 63)
	if id, err := names.Organization("f", names.FormatOrganization(long)); err != nil || id != long {
		t.Errorf("%q, %v", id, err)
	}
	if o, s, err := names.Site("f", names.FormatSite("acme", "wiki-2")); err != nil || o != "acme" || s != "wiki-2" {
		t.Errorf("%q %q, %v", o, s, err)
	}
	if o, f, err := names.Flow("f", names.FormatFlow("acme", "ABCDE-FGHJK")); err != nil || o != "acme" || f != "ABCDE-FGHJK" {
		t.Errorf("%q %q, %v", o, f, err)
	}
	if o, e, err := names.Event("f", names.FormatEvent("acme", "019365a0")); err != nil || o != "acme" || e != "019365a0" {
		t.Errorf("%q %q, %v", o, e, err)
	}
	identity := [32]byte{0: 0xcd, 31: 1}
	if o, k, err := names.Identity("f", names.FormatIdentity("acme", identity)); err != nil || o != "acme" || k != identity {
		t.Errorf("%q %x, %v", o, k, err)
	}
	key := [16]byte{0: 0xab, 15: 1}
	if o, k, err := names.Authenticator("f", names.FormatAuthenticator("acme", key)); err != nil || o != "acme" || k != key {
		t.Errorf("%q %x, %v", o, k, err)
	}
}

func TestNamesWithAnythingElseAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "/", "organizations", "organizations/", "organizations//sites/a", "organizations/acme/", "organizations/acme/sites/", "/organizations/acme",
		"organizations/Acme", "organizations/ac me", "organizations/-acme", "organizations/acme-", "organizations/" + strings.Repeat("a", 64),
		"organizations/acme/sites/wiki/", "organizations/acme/sites/wiki/flows/x", "organizations/acme/sites/../x", "organizations/äcme",
		"organizations/acme\x00", "ORGANIZATIONS/acme", "organizations/acme/flows/a_b", "organizations/acme/flows/" + strings.Repeat("a", 65),
		"organizations/acme/sites/wiki\n", "organizations/acme/authenticators/", "organizations/acme/authenticators/" + strings.Repeat("A", 32),
		"organizations/acme/identities/", "organizations/acme/identities/" + strings.Repeat("A", 64), "organizations/acme/identities/" + strings.Repeat("a", 63),
		"organizations/acme/identities/" + strings.Repeat("a", 65), "organizations/acme/identities/" + strings.Repeat("g", 64),
		"organizations/acme/identities/" + strings.Repeat("a", 32), "organizations/acme/identities/" + strings.Repeat("a", 62) + "/a",
		"organizations/acme/authenticators/" + strings.Repeat("a", 30), "organizations/acme/authenticators/" + strings.Repeat("a", 34),
	} {
		if _, err := names.Organization("name", s); err == nil {
			t.Errorf("organization %q passes", s)
		}
		_, _, siteErr := names.Site("name", s)
		_, _, flowErr := names.Flow("name", s)
		_, _, factorErr := names.Authenticator("name", s)
		if _, _, err := names.Identity("name", s); !errs.Is(err, "NAME_INVALID") {
			t.Errorf("%q passes as an identity: %v", s, err)
		}
		if !errs.Is(siteErr, "NAME_INVALID") || !errs.Is(flowErr, "NAME_INVALID") || !errs.Is(factorErr, "NAME_INVALID") {
			t.Errorf("%q passes: %v, %v, %v", s, siteErr, flowErr, factorErr)
		}
	}
}

func TestTheOrganizationOfANameIsFoundInEveryKind(t *testing.T) {
	for in, want := range map[string]string{
		"organizations/acme": "acme", "organizations/acme/flows/x": "acme", "organizations/acme:apply": "", "organizations/": "", "acme": "",
	} {
		if got := names.OrganizationOf(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"organizations/acme", "organizations/acme/sites/wiki", "organizations/acme/flows/ABCDE-FGHJK", "organizations/a/events/b",
		"organizations/a/authenticators/00112233445566778899aabbccddeeff", "organizations/a/identities/" + strings.Repeat("0f", 32)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		accepted := 0
		if o, err := names.Organization("f", s); err == nil {
			accepted++
			if names.FormatOrganization(o) != s {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if o, x, err := names.Site("f", s); err == nil {
			accepted++
			if names.FormatSite(o, x) != s {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if o, x, err := names.Flow("f", s); err == nil {
			accepted++
			if names.FormatFlow(o, x) != s || !names.IsFlow(s) {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if o, x, err := names.Event("f", s); err == nil {
			accepted++
			if names.FormatEvent(o, x) != s {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if o, k, err := names.Authenticator("f", s); err == nil {
			accepted++
			if names.FormatAuthenticator(o, k) != s {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if o, k, err := names.Identity("f", s); err == nil {
			accepted++
			if names.FormatIdentity(o, k) != s {
				t.Errorf("%q does not round-trip", s)
			}
		}
		if accepted > 1 {
			t.Errorf("%q is a name of two kinds", s)
		}
		if accepted == 1 && (len(s) > names.Longest || names.OrganizationOf(s) == "") {
			t.Errorf("%q is longer than the longest name, or of no organization", s)
		}
	})
}
