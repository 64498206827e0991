package token_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/token"
)

type mac string

func (m mac) Name(purpose string, parts ...[]byte) [32]byte {
	h := hmac.New(sha256.New, []byte(m))
	for _, p := range append([][]byte{[]byte(purpose)}, parts...) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func TestATokenOpensOnlyAsWhatItWasMadeFor(t *testing.T) {
	tokens := token.New(mac("key"))
	text := tokens.Seal(token.Page, []byte("position"), []byte("filter"), []byte("caller"))
	got, err := tokens.Open("page_token", token.Page, text, []byte("filter"), []byte("caller"))
	if err != nil || string(got) != "position" {
		t.Fatalf("%q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"other filter": func() ([]byte, error) { return tokens.Open("f", token.Page, text, []byte("other"), []byte("caller")) },
		"other caller": func() ([]byte, error) { return tokens.Open("f", token.Page, text, []byte("filter"), []byte("else")) },
		"moved border": func() ([]byte, error) { return tokens.Open("f", token.Page, text, []byte("filterc"), []byte("aller")) },
		"no binding":   func() ([]byte, error) { return tokens.Open("f", token.Page, text) },
		"as a cursor": func() ([]byte, error) {
			return tokens.Open("f", token.Cursor, text, []byte("filter"), []byte("caller"))
		},
		"another key": func() ([]byte, error) {
			return token.New(mac("no")).Open("f", token.Page, text, []byte("filter"), []byte("caller"))
		},
		"empty":         func() ([]byte, error) { return tokens.Open("f", token.Page, "") },
		"not base64url": func() ([]byte, error) { return tokens.Open("f", token.Page, text+"=") },
		"a line end in": func() ([]byte, error) { return tokens.Open("f", token.Page, text[:9]+"\n"+text[9:]) },
		"too long":      func() ([]byte, error) { return tokens.Open("f", token.Page, strings.Repeat("A", 513)) },
	} {
		if _, err := open(); !errs.Is(err, "TOKEN_INVALID") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryChangedBitIsSeen(t *testing.T) {
	tokens := token.New(mac("key"))
	b, err := base64.RawURLEncoding.DecodeString(tokens.Seal(token.Cursor, []byte("position")))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(b) * 8 {
		changed := bytes.Clone(b)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := tokens.Open("f", token.Cursor, base64.RawURLEncoding.EncodeToString(changed)); err == nil {
			t.Errorf("bit %d was changed and the token opens", i)
		}
	}
}

func FuzzOpen(f *testing.F) {
	tokens := token.New(mac("key"))
	f.Add(tokens.Seal(token.Page, []byte("position")))
	f.Fuzz(func(t *testing.T, s string) {
		position, err := tokens.Open("f", token.Page, s)
		if err == nil && tokens.Seal(token.Page, position) != s {
			t.Errorf("%q opens and is not what Seal makes", s)
		}
	})
}
