package apikey_test

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-audit/postern/apikey"
)

const uid = "01a1f976-b9f5-7b27-9dd0-b6273a8d3ee0"

func newToken() apikey.Token {
	t := apikey.Token{OrganizationUID: uid}
	_, _ = rand.Read(t.ID[:])
	_, _ = rand.Read(t.Secret[:])
	return t
}

func text(t *testing.T, token apikey.Token) string {
	t.Helper()
	s, err := token.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATokenIsReadAsItWasWritten(t *testing.T) {
	shape := regexp.MustCompile(`^pst_[0-9A-Za-z]{82}$`)
	for _, token := range []apikey.Token{newToken(), newToken(), {OrganizationUID: "00000000-0000-0000-0000-000000000000"},
		{OrganizationUID: "ffffffff-ffff-ffff-ffff-ffffffffffff", ID: apikey.ID{255, 255}, Secret: [32]byte{31: 255}}} {
		s := text(t, token)
		if len(s) != apikey.TokenLength || !shape.MatchString(s) {
			t.Errorf("%d characters, shape %t", len(s), shape.MatchString(s))
		}
		got, err := apikey.ParseToken(s)
		if err != nil || got != token {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestATokenWithOneOtherCharacterIsNone(t *testing.T) {
	s := text(t, newToken())
	for i := range len(s) {
		for _, c := range []byte{'a', 'Z', '0', '-', 0, ' '} {
			if s[i] == c {
				continue
			}
			if _, err := apikey.ParseToken(s[:i] + string(c) + s[i+1:]); err == nil {
				t.Fatalf("read with another character at %d", i)
			}
		}
	}
	for _, bad := range []string{"", "pst_", s[:len(s)-1], s + "0", " " + s[1:], strings.ToUpper(s), "pst_" + strings.Repeat("z", 82), "\xff" + s[1:]} {
		if _, err := apikey.ParseToken(bad); err == nil {
			t.Errorf("%d bytes were read", len(bad))
		}
	}
}

func TestAnOrganizationWithoutAUUIDHasNoTokens(t *testing.T) {
	for _, bad := range []string{"", "acme", strings.ToUpper(uid), uid[:35], uid + "0", strings.Replace(uid, "-", "0", 1), "g" + uid[1:]} {
		if _, err := (apikey.Token{OrganizationUID: bad}).Text(); err == nil {
			t.Errorf("%q", bad)
		}
	}
}

func TestATokenInALogIsNone(t *testing.T) {
	token := newToken()
	token.Secret = [32]byte{1, 2, 3, 4}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, token); !strings.HasPrefix(s, "API key ") {
			t.Errorf("%s shows %s", verb, s)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	seed, err := newToken().Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add("pst_" + strings.Repeat("0", 82))
	f.Fuzz(func(t *testing.T, s string) {
		token, err := apikey.ParseToken(s)
		if err != nil {
			return
		}
		if again, err := token.Text(); err != nil || again != s {
			t.Errorf("%q reads as %q, %v", s, again, err)
		}
	})
}
