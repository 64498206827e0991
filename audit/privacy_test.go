package audit_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// fake stands for a keyed hash.
func fake(address string) string {
	return "p_" + strings.ToUpper(strings.NewReplacer("@", "-", ".", "-").Replace(address))
}

func whole() audit.Personal {
	verified := true
	return audit.Personal{Email: "ada@guest.example", EmailVerified: &verified, AccountID: "acct-1", TypedAddress: "o'brien=x@guest.example",
		ClaimedAccountID: "acct-2", PresentedAccountID: "acct-3", DisplayName: "Ada ada@guest.example", IP: "198.51.100.77", UserAgent: "Mozilla/5 (ada@guest.example)",
		DeviceID: "dev-7", Detail: "no mailbox <ada@guest.example>, ask bob@guest.example.", AMR: []string{"pwd", "ada@guest.example"}, ACR: "urn:x",
		Items: []string{"ada@guest.example", "acct-9"}, Issuer: "https://idp.example", SubjectID: "ada@guest.example", PreviousEmail: "old@guest.example"}
}

func TestWhatIsKeptOfPeople(t *testing.T) {
	verified := true
	for _, try := range []struct {
		name     string
		privacy  audit.Privacy
		category audit.Category
		want     func(p *audit.Personal)
	}{
		{"everything", audit.Privacy{}, audit.CategorySignIn, func(*audit.Personal) {}},
		{"everything, said aloud", audit.Privacy{Email: audit.EmailFull, IP: audit.IPFull, UserContent: audit.ContentKept}, audit.CategorySignIn, func(*audit.Personal) {}},
		{"a network", audit.Privacy{IP: audit.IPTruncated}, audit.CategorySignIn, func(p *audit.Personal) { p.IP = "198.51.100.0" }},
		{"no address", audit.Privacy{IP: audit.IPOmitted}, audit.CategorySignIn, func(p *audit.Personal) { p.IP = "" }},
		{"no user content", audit.Privacy{UserContent: audit.ContentOmitted}, audit.CategoryActivity, func(p *audit.Personal) {
			p.DisplayName, p.UserAgent, p.DeviceID, p.Detail, p.SubjectID, p.Items = "", "", "", "", "", nil
		}},
		{"no user content of an administrator's act", audit.Privacy{UserContent: audit.ContentOmitted}, audit.CategoryAdministration, func(p *audit.Personal) {
			p.DisplayName, p.UserAgent, p.DeviceID, p.SubjectID = "", "", "", ""
		}},
		{"pseudonyms", audit.Privacy{Email: audit.EmailPseudonym}, audit.CategorySignIn, func(p *audit.Personal) {
			p.Email, p.EmailVerified, p.TypedAddress, p.PreviousEmail = "p_ADA-GUEST-EXAMPLE", &verified, "p_O'BRIEN=X-GUEST-EXAMPLE", "p_OLD-GUEST-EXAMPLE"
			p.SubjectID, p.DisplayName, p.UserAgent = "p_ADA-GUEST-EXAMPLE", "Ada p_ADA-GUEST-EXAMPLE", "Mozilla/5 (p_ADA-GUEST-EXAMPLE)"
			p.Detail = "no mailbox <p_ADA-GUEST-EXAMPLE>, ask p_BOB-GUEST-EXAMPLE"
			p.AMR, p.Items = []string{"pwd", "p_ADA-GUEST-EXAMPLE"}, []string{"p_ADA-GUEST-EXAMPLE", "acct-9"}
		}},
		{"no e-mail", audit.Privacy{Email: audit.EmailOmitted}, audit.CategorySignIn, func(p *audit.Personal) {
			p.Email, p.EmailVerified, p.TypedAddress, p.PreviousEmail, p.SubjectID = "", nil, "", "", ""
			p.DisplayName, p.UserAgent, p.Detail = "Ada [omitted]", "Mozilla/5 ([omitted])", "no mailbox <[omitted]>, ask [omitted]"
			p.AMR, p.Items = []string{"pwd"}, []string{"acct-9"}
		}},
	} {
		want := whole()
		try.want(&want)
		got := try.privacy.Mask(try.category, whole(), fake)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", try.name, got, want)
		}
		if again := try.privacy.Mask(try.category, got, fake); !reflect.DeepEqual(again, got) {
			t.Errorf("%s: masked twice it is %+v", try.name, again)
		}
	}
	in := whole()
	audit.Privacy{Email: audit.EmailOmitted, UserContent: audit.ContentOmitted}.Mask(audit.CategorySignIn, in, fake)
	if !reflect.DeepEqual(in, whole()) {
		t.Errorf("masking changed what it was given: %+v", in)
	}
}

func TestAddressesAreCutToTheirNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"198.51.100.77": "198.51.100.0", "::ffff:198.51.100.77": "198.51.100.0", "2001:db8:1:2:3:4:5:6": "2001:db8:1::",
		"fe80::1%eth0": "fe80::", "198.51.100.0": "198.51.100.0", "": "", "no address": "",
	} {
		if got := audit.MaskIP(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestWhatAMaskedEventIsFoundBy(t *testing.T) {
	of := func(ip string) []audit.IndexTerm {
		terms := []audit.IndexTerm{{Purpose: audit.IndexAccount, Value: "a"}, {Purpose: audit.IndexEmail, Value: "ada@x.example"},
			{Purpose: audit.IndexEmailDomain, Value: "x.example"}, {Purpose: audit.IndexName, Value: "ada"}, {Purpose: audit.IndexName, Value: "ada@x.example"},
			{Purpose: audit.IndexIdentifier, Value: "h"}}
		switch ip {
		case "198.51.100.77":
			terms = append(terms, audit.IndexTerm{Purpose: audit.IndexNetwork32, Value: "198.51.100.77/32"}, audit.IndexTerm{Purpose: audit.IndexNetwork24, Value: "198.51.100.0/24"},
				audit.IndexTerm{Purpose: audit.IndexNetwork16, Value: "198.51.0.0/16"})
		default:
			terms = append(terms, audit.IndexTerm{Purpose: audit.IndexNetwork32, Value: "2001:db8:1:2::7/128"}, audit.IndexTerm{Purpose: audit.IndexNetwork24, Value: "2001:db8:1:2::/64"},
				audit.IndexTerm{Purpose: audit.IndexNetwork16, Value: "2001:db8:1::/48"}, audit.IndexTerm{Purpose: audit.IndexNetwork8, Value: "2001:db8::/32"})
		}
		return terms
	}
	for _, try := range []struct {
		privacy audit.Privacy
		ip      string
		want    []string
	}{
		{audit.Privacy{Email: audit.EmailPseudonym}, "198.51.100.77", []string{"a", "ada@x.example", "ada", "h", "198.51.100.77/32", "198.51.100.0/24", "198.51.0.0/16"}},
		{audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPTruncated}, "198.51.100.77", []string{"a", "ada", "198.51.100.0/24", "198.51.0.0/16"}},
		{audit.Privacy{UserContent: audit.ContentOmitted, IP: audit.IPTruncated}, "2001:db8:1:2::7", []string{"a", "ada@x.example", "x.example", "h", "2001:db8:1::/48", "2001:db8::/32"}},
		{audit.Privacy{IP: audit.IPOmitted}, "2001:db8:1:2::7", []string{"a", "ada@x.example", "x.example", "ada", "ada@x.example", "h"}},
	} {
		var got []string
		for _, term := range try.privacy.Terms(of(try.ip), try.ip) {
			got = append(got, term.Value)
		}
		if !slices.Equal(got, try.want) {
			t.Errorf("%+v with %s: %v, want %v", try.privacy, try.ip, got, try.want)
		}
	}
}

func TestPrivacyOnlyBecomesStricterAndSitesOverrideTheirOrganization(t *testing.T) {
	strict := audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPTruncated}
	some := audit.Privacy{Email: audit.EmailPseudonym, UserContent: audit.ContentOmitted}
	if got, want := strict.With(some), (audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPTruncated, UserContent: audit.ContentOmitted}); got != want || some.With(strict) != want {
		t.Errorf("together %+v, want %+v", got, want)
	}
	if got := (audit.Privacy{Email: audit.EmailFull}).With(audit.Privacy{IP: audit.IPFull}); got != (audit.Privacy{}) {
		t.Errorf("everything together is %+v", got)
	}
	if got, want := (audit.Privacy{Email: audit.EmailFull}).Over(strict), (audit.Privacy{Email: audit.EmailFull, IP: audit.IPTruncated}); got != want {
		t.Errorf("over %+v, want %+v", got, want)
	}
}
