package policy_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/policy"
)

// hostile are texts that other parsers take for an address of example.com, or for another person.
var hostile = map[string]string{
	"":                                       "ADDRESS_EMPTY",
	"hunter2":                                "ADDRESS_NO_AT",
	"@":                                      "ADDRESS_LOCAL_EMPTY",
	"@example.com":                           "ADDRESS_LOCAL_EMPTY",
	"ann@":                                   "DOMAIN_EMPTY",
	" ann@example.com":                       "ADDRESS_LOCAL_INVALID",
	"ann@example.com ":                       "DOMAIN_INVALID",
	"ann@example.com\n":                      "DOMAIN_INVALID",
	"ann@exam ple.com":                       "DOMAIN_INVALID",
	"ann@example.com\x00":                    "DOMAIN_INVALID",
	"an\x00n@example.com":                    "ADDRESS_LOCAL_INVALID",
	"ann@@example.com":                       "ADDRESS_SEVERAL_AT",
	"ann@example.com@evil.com":               "ADDRESS_SEVERAL_AT",
	`"ann@example.com"@evil.com`:             "ADDRESS_QUOTED",
	`"ann"@example.com`:                      "ADDRESS_QUOTED",
	`an"n"@example.com`:                      "ADDRESS_LOCAL_INVALID",
	`ann\@example.com`:                       "ADDRESS_LOCAL_INVALID",
	"Ann <ann@example.com>":                  "ADDRESS_LOCAL_INVALID",
	"<ann@example.com>":                      "ADDRESS_LOCAL_INVALID",
	"ann(comment)@example.com":               "ADDRESS_LOCAL_INVALID",
	"ann@(comment)example.com":               "DOMAIN_INVALID",
	"ann@example.com(comment)":               "DOMAIN_INVALID",
	"mailto:ann@example.com":                 "ADDRESS_LOCAL_INVALID",
	"@relay.com:ann@example.com":             "ADDRESS_SEVERAL_AT",
	"ann,bob@example.com":                    "ADDRESS_LOCAL_INVALID",
	"ann;bob@example.com":                    "ADDRESS_LOCAL_INVALID",
	".ann@example.com":                       "ADDRESS_LOCAL_INVALID",
	"ann.@example.com":                       "ADDRESS_LOCAL_INVALID",
	"an..n@example.com":                      "ADDRESS_LOCAL_INVALID",
	"=?utf-8?q?ann=40evil.com=3e?=@ex.com":   "ADDRESS_ENCODED_WORD",
	"x=?utf-8?b?YQ==?=@example.com":          "ADDRESS_ENCODED_WORD",
	"änn@example.com":                        "ADDRESS_LOCAL_NOT_ASCII",
	"an\u200bn@example.com":                  "ADDRESS_LOCAL_NOT_ASCII",
	"\u212aevin@example.com":                 "ADDRESS_LOCAL_NOT_ASCII",
	"an\xffn@example.com":                    "ADDRESS_LOCAL_NOT_ASCII",
	"ann\uff20example.com":                   "ADDRESS_NO_AT",
	strings.Repeat("a", 65) + "@ex.com":      "ADDRESS_LOCAL_TOO_LONG",
	strings.Repeat("a", 2000) + "@ex.com":    "ADDRESS_TOO_LONG",
	"a@" + strings.Repeat("a.", 125) + "com": "ADDRESS_TOO_LONG",
	"a@" + strings.Repeat("a", 64) + ".com":  "DOMAIN_TOO_LONG",
	"ann@[192.0.2.1]":                        "DOMAIN_LITERAL",
	"ann@[IPv6:2001:db8::1]":                 "DOMAIN_LITERAL",
	"ann@192.0.2.1":                          "DOMAIN_NUMERIC",
	"ann@example.123":                        "DOMAIN_NUMERIC",
	"ann@example.0x7f":                       "DOMAIN_NUMERIC",
	"ann@2001:db8::1":                        "DOMAIN_INVALID",
	"ann@example.com:25":                     "DOMAIN_INVALID",
	"ann@https://example.com":                "DOMAIN_INVALID",
	"ann@example.com/path":                   "DOMAIN_INVALID",
	"ann@example.com.":                       "DOMAIN_DOT",
	"ann@.example.com":                       "DOMAIN_DOT",
	"ann@example..com":                       "DOMAIN_DOT",
	"ann@.":                                  "DOMAIN_DOT",
	"ann@example\u3002com":                   "DOMAIN_DOT",
	"ann@example\uff0ecom":                   "DOMAIN_DOT",
	"ann@example\uff61com":                   "DOMAIN_DOT",
	"ann@exam\u200bple.com":                  "DOMAIN_HIDDEN",
	"ann@exam\u00adple.com":                  "DOMAIN_HIDDEN",
	"ann@example.com\u200d":                  "DOMAIN_HIDDEN",
	"ann@exam\ufe0fple.com":                  "DOMAIN_HIDDEN",
	"ann@\u202eexample.com":                  "DOMAIN_HIDDEN",
	"ann@exam\U000e0061ple.com":              "DOMAIN_HIDDEN",
	"ann@exam\xffple.com":                    "DOMAIN_HIDDEN",
	"ann@xn--example-.com":                   "DOMAIN_INVALID",
	"ann@xn--.com":                           "DOMAIN_INVALID",
	"ann@xn--a.com":                          "DOMAIN_INVALID",
	"ann@xn--ss-.com":                        "DOMAIN_INVALID",
	"ann@-example.com":                       "DOMAIN_INVALID",
	"ann@example-.com":                       "DOMAIN_INVALID",
	"ann@ex--ample.com":                      "DOMAIN_INVALID",
	"ann@exam_ple.com":                       "DOMAIN_INVALID",
	"ann@exam\u2100ple.com":                  "DOMAIN_INVALID",
	"ann@*.example.com":                      "DOMAIN_WILDCARD",
	"ann@localhost":                          "DOMAIN_SINGLE_LABEL",
	"ann@com":                                "DOMAIN_SINGLE_LABEL",
	"ann@acme.test":                          "DOMAIN_SPECIAL_USE",
	"ann@acme.example":                       "DOMAIN_SPECIAL_USE",
	"ann@acme.localhost":                     "DOMAIN_SPECIAL_USE",
	"ann@mail.acme.internal":                 "DOMAIN_SPECIAL_USE",
	"ann@printer.local":                      "DOMAIN_SPECIAL_USE",
	"ann@router.home.arpa":                   "DOMAIN_SPECIAL_USE",
	"ann@abc.onion":                          "DOMAIN_SPECIAL_USE",
	"ann@acme.corp":                          "DOMAIN_NOT_PUBLIC",
	"ann@acme.nosuchtld":                     "DOMAIN_NOT_PUBLIC",
	"ann@co.uk":                              "DOMAIN_PUBLIC_SUFFIX",
	"ann@CO.UK":                              "DOMAIN_PUBLIC_SUFFIX",
}

func TestMAIL1HostileTextIsNoAddress(t *testing.T) {
	for text, want := range hostile {
		r := policy.Inspect(text)
		if r.Reason != want || r.Address != "" || r.Domain != "" || r.RegistrableDomain != "" || r.FreeMail {
			t.Errorf("%q: %+v, want reason %s", text, r, want)
		}
		if id := policy.ParseIdentifier(text); !id.Opaque() || !id.Address().IsZero() {
			t.Errorf("%q is taken for %v", text, id)
		}
		if _, err := policy.ParseUsableAddress(text); err == nil || len(text) > 6 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: the error %v is missing or repeats what was typed", text, err)
		}
	}
}

func TestUsableAddresses(t *testing.T) {
	for text, want := range map[string]policy.AddressReport{
		"ann@example.com":            {Address: "ann@example.com", Domain: "example.com", RegistrableDomain: "example.com"},
		"Ann.O'Neil+x@EXAMPLE.co.UK": {Address: "Ann.O'Neil+x@example.co.uk", Domain: "example.co.uk", RegistrableDomain: "example.co.uk"},
		"ann@Mail.Sub.Example.com":   {Address: "ann@mail.sub.example.com", Domain: "mail.sub.example.com", RegistrableDomain: "example.com"},
		"ann@MÜNCHEN.de":             {Address: "ann@xn--mnchen-3ya.de", Domain: "xn--mnchen-3ya.de", RegistrableDomain: "xn--mnchen-3ya.de"},
		"ann@XN--MNCHEN-3YA.de":      {Address: "ann@xn--mnchen-3ya.de", Domain: "xn--mnchen-3ya.de", RegistrableDomain: "xn--mnchen-3ya.de"},
		"ann@faß.de":                 {Address: "ann@xn--fa-hia.de", Domain: "xn--fa-hia.de", RegistrableDomain: "xn--fa-hia.de"},
		"ann@ex\u0131t.com":          {Address: "ann@xn--ext-kua.com", Domain: "xn--ext-kua.com", RegistrableDomain: "xn--ext-kua.com"},
		"ann@\u212aelvin.com":        {Address: "ann@kelvin.com", Domain: "kelvin.com", RegistrableDomain: "kelvin.com"},
		"ann@\u0430cme.com":          {Address: "ann@xn--cme-5cd.com", Domain: "xn--cme-5cd.com", RegistrableDomain: "xn--cme-5cd.com"},
		"ann%evil.com@example.com":   {Address: "ann%evil.com@example.com", Domain: "example.com", RegistrableDomain: "example.com"},
		"evil.com!ann@example.com":   {Address: "evil.com!ann@example.com", Domain: "example.com", RegistrableDomain: "example.com"},
		"ann@ann.github.io":          {Address: "ann@ann.github.io", Domain: "ann.github.io", RegistrableDomain: "ann.github.io"},
		"ann@github.io":              {Address: "ann@github.io", Domain: "github.io", RegistrableDomain: "github.io"},
		"ann@a.b.kawasaki.jp":        {Address: "ann@a.b.kawasaki.jp", Domain: "a.b.kawasaki.jp", RegistrableDomain: "a.b.kawasaki.jp"},
		"ann@city.kawasaki.jp":       {Address: "ann@city.kawasaki.jp", Domain: "city.kawasaki.jp", RegistrableDomain: "city.kawasaki.jp"},
		"ann@GMAIL.com":              {Address: "ann@gmail.com", Domain: "gmail.com", RegistrableDomain: "gmail.com", FreeMail: true},
		"x@privaterelay.appleid.com": {Address: "x@privaterelay.appleid.com", Domain: "privaterelay.appleid.com", RegistrableDomain: "appleid.com", FreeMail: true},
		"ann@notgmail.com":           {Address: "ann@notgmail.com", Domain: "notgmail.com", RegistrableDomain: "notgmail.com"},
	} {
		want.Input = text
		if got := policy.Inspect(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestMAIL3KeysFoldASCIICaseOnly(t *testing.T) {
	key := func(s string) string {
		a, err := policy.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a.Key()
	}
	if key("Ann+Tag@Example.com") != "ann+tag@example.com" {
		t.Errorf("key %q", key("Ann+Tag@Example.com"))
	}
	for _, different := range []string{"a.nn@example.com", "ann+x@example.com", "ann@mail.example.com"} {
		if key(different) == key("ann@example.com") {
			t.Errorf("%s is taken for ann@example.com", different)
		}
	}
	a, _ := policy.ParseAddress("ANN@example.com")
	if a.String() != "ANN@example.com" || a.Local() != "ANN" {
		t.Errorf("the local part is not kept: %s", a)
	}
	if (policy.Address{}).Key() != "" || (policy.Address{}).String() != "" {
		t.Error("no address has a text")
	}
}

func TestDNS4OwnedDomains(t *testing.T) {
	for text, want := range map[string]string{
		"gmail.com": "DOMAIN_FREE_MAIL", "mail.gmail.com": "DOMAIN_FREE_MAIL", "Yahoo.co.uk": "DOMAIN_FREE_MAIL",
		"com": "DOMAIN_SINGLE_LABEL", "co.uk": "DOMAIN_PUBLIC_SUFFIX", "CO.UK.": "DOMAIN_PUBLIC_SUFFIX", "github.io": "DOMAIN_PUBLIC_SUFFIX",
		"blogspot.com": "DOMAIN_PUBLIC_SUFFIX", "*.acme.com": "DOMAIN_WILDCARD", "192.0.2.1": "DOMAIN_NUMERIC", "acme.test": "DOMAIN_SPECIAL_USE",
		"acme.home.arpa": "DOMAIN_SPECIAL_USE", "acme.local": "DOMAIN_SPECIAL_USE", "acme.corp": "DOMAIN_NOT_PUBLIC", "https://acme.com": "DOMAIN_INVALID",
		"acme.com/x": "DOMAIN_INVALID", "": "DOMAIN_EMPTY", ".": "DOMAIN_EMPTY", "[::1]": "DOMAIN_LITERAL", "ann@acme.com": "DOMAIN_INVALID",
	} {
		if d, err := policy.ParseOwnedDomain(text); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%q: %v, %v, want %s", text, d, err, want)
		}
	}
	for text, want := range map[string]string{"Acme.COM": "acme.com", "acme.com.": "acme.com", "lab.acme.co.uk": "lab.acme.co.uk",
		"acme.github.io": "acme.github.io", "bücher.de": "xn--bcher-kva.de"} {
		if d, err := policy.ParseOwnedDomain(text); err != nil || d.String() != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestMAIL2DomainsCompareByLabels(t *testing.T) {
	d := func(s string) policy.Domain {
		v, err := policy.ParseDomain(s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	acme := d("acme.com")
	for s, want := range map[string]bool{"lab.acme.com": true, "a.b.acme.com": true, "acme.com": false, "notacme.com": false,
		"acme.com.evil.com": false, "com.acme": false} {
		if got := d(s).Within(acme); got != want {
			t.Errorf("%s within acme.com: %v", s, got)
		}
	}
	if d("acme.com").Within(policy.Domain{}) || (policy.Domain{}).Within(acme) {
		t.Error("no domain lies within another")
	}
	records := []policy.DomainRecord{{Domain: d("acme.com"), Subdomains: true}, {Domain: d("lab.acme.com")}, {Domain: d("x.lab.acme.com"), Subdomains: true}}
	for s, want := range map[string]string{"acme.com": "acme.com", "lab.acme.com": "lab.acme.com", "y.lab.acme.com": "acme.com",
		"a.x.lab.acme.com": "x.lab.acme.com", "evil.com": ""} {
		got := policy.MostSpecific(records, d(s))
		if got == nil && want != "" || got != nil && got.Domain.String() != want {
			t.Errorf("%s is covered by %v, want %s", s, got, want)
		}
	}
	if p := d("a.b.acme.com").Parent(); p != d("b.acme.com") || !acme.Parent().IsZero() || len(d("a.b.acme.com").Labels()) != 4 {
		t.Errorf("parents: %v", p)
	}
}

func TestDomainsDoNotDisplayHiddenCharacters(t *testing.T) {
	d, err := policy.ParseDomain("xn--mgba3gch31f060k.com") // with a zero-width non-joiner where Persian wants one
	if err != nil || d.Unicode() != d.String() {
		t.Errorf("%v %q %v", d, d.Unicode(), err)
	}
	if d, _ := policy.ParseDomain("xn--mnchen-3ya.de"); d.Unicode() != "münchen.de" {
		t.Errorf("%q", d.Unicode())
	}
}

func checkAddress(t interface{ Fatalf(string, ...any) }, s string) {
	a, err := policy.ParseAddress(s)
	r := policy.Inspect(s)
	if err != nil {
		if r.Reason == "" || !a.IsZero() {
			t.Fatalf("%q: refused but usable", s)
		}
		return
	}
	again, err := policy.ParseAddress(a.String())
	if err != nil || again != a || again.Key() != a.Key() {
		t.Fatalf("%q: %q does not come back: %v", s, a, err)
	}
	if strings.Count(a.String(), "@") != 1 || len(a.String()) > 254 || !ascii(a.String()) {
		t.Fatalf("%q: %q is no canonical address", s, a)
	}
	if at := strings.LastIndexByte(s, '@'); a.Local() != s[:at] {
		t.Fatalf("%q: the local part became %q", s, a.Local())
	}
	checkDomain(t, s[strings.LastIndexByte(s, '@')+1:])
	if r.Reason == "" && (r.RegistrableDomain == "" || !strings.HasSuffix("."+r.Domain, "."+r.RegistrableDomain)) {
		t.Fatalf("%q: registrable %q of %q", s, r.RegistrableDomain, r.Domain)
	}
}

func checkDomain(t interface{ Fatalf(string, ...any) }, s string) {
	d, err := policy.ParseDomain(s)
	if err != nil {
		if !d.IsZero() {
			t.Fatalf("%q: an error and a domain", s)
		}
		return
	}
	for _, form := range []string{d.String(), d.Unicode(), d.String() + ".", strings.ToUpper(d.String())} {
		if again, err := policy.ParseDomain(form); err != nil || again != d {
			t.Fatalf("%q: %q became %q: %v", s, form, again, err)
		}
	}
	if !ascii(d.String()) || strings.ToLower(d.String()) != d.String() || len(d.String()) > 253 || len(d.Labels()) < 2 {
		t.Fatalf("%q: %q is not canonical", s, d)
	}
	if d.UnderPublicSuffix() != (d.Reachable() == nil) && !strings.Contains(d.Reachable().Error(), "SPECIAL_USE") {
		t.Fatalf("%q: under a public suffix is %v, reachable %v", s, d.UnderPublicSuffix(), d.Reachable())
	}
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || r <= ' ' }) < 0
}

func FuzzParseAddress(f *testing.F) {
	for s := range hostile {
		f.Add(s)
	}
	f.Add("Ann.O'Neil+x@MÜNCHEN.co.uk")
	f.Fuzz(func(t *testing.T, s string) { checkAddress(t, s) })
}

func FuzzParseDomain(f *testing.F) {
	for s := range hostile {
		f.Add(s[strings.LastIndexByte(s, '@')+1:])
	}
	f.Add("xn--mgba3gch31f060k.com")
	f.Fuzz(func(t *testing.T, s string) { checkDomain(t, s) })
}

func TestAnyAddressComesBackOrIsRefused(t *testing.T) {
	label := rapid.StringMatching(`[a-zA-Z0-9äßııаK\x{200b}\x{3002}-]{1,12}`)
	rapid.Check(t, func(t *rapid.T) {
		local := rapid.StringMatching(`[a-zA-Z0-9.+"%=?@ -]{0,12}`).Draw(t, "local")
		labels := rapid.SliceOfN(label, 1, 4).Draw(t, "labels")
		tld := rapid.SampledFrom([]string{"com", "co.uk", "COM", "test", "de.", "1", "github.io"}).Draw(t, "tld")
		checkAddress(t, local+"@"+strings.Join(labels, ".")+"."+tld)
	})
}
