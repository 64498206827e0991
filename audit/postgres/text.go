package postgres

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
)

// A text column takes no NUL and nothing that is not UTF-8, and an index row no more than about 2700 bytes. What an event may
// hold is not limited so: the texts of real events are short and plain, and the others are stored by their hash.
const (
	longestText = 256
	escape      = "\x1f" // begins what is a hash; a text that begins so is hashed as well, so that the two never meet
	longestTerm = 64
)

// plain reports whether a text can stand in a column as it is.
func plain(s string) bool {
	return len(s) <= longestText && !strings.HasPrefix(s, escape) && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// key is how a text is stored and searched for: equal texts have equal keys, and others others.
func key(s string) string {
	if plain(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return escape + base64.RawURLEncoding.EncodeToString(sum[:])
}

func keys(texts []string) []string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = key(s)
	}
	return out
}

// idKey is how an id is stored and searched for: the 16 bytes of a UUID in lower-case text form, in whose order they sort; a
// hash of anything else, behind them all. "" comes before everything.
func idKey(s string) []byte {
	if s == "" {
		return []byte{}
	}
	if b, ok := parseUUID(s); ok {
		return b
	}
	sum := sha256.Sum256([]byte(s))
	return append([]byte{0xff}, sum[:]...)
}

func idKeys(ids []string) [][]byte {
	out := make([][]byte, len(ids))
	for i, s := range ids {
		out[i] = idKey(s)
	}
	return out
}

// idText is the id that was stored; false when only its hash was.
func idText(b []byte) (string, bool) {
	if len(b) != 16 {
		return "", false
	}
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:], true
}

func parseUUID(s string) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ContainsAny(s, "ABCDEF") {
		return nil, false
	}
	b, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	return b, err == nil
}

// term is how a blind index is stored and searched for: its purpose, then its value, or a hash of a value longer than any this
// product makes.
func term(x audit.Index) []byte {
	b := protowire.AppendVarint(make([]byte, 0, 24), uint64(uint32(x.Purpose))) //nolint:gosec // any 32 bits will do
	if len(x.Value) <= longestTerm {
		return append(b, x.Value...)
	}
	sum := sha256.Sum256(x.Value)
	b = append(b, make([]byte, longestTerm+1-len(sum))...) // longer than a value that stands there itself
	return append(b, sum[:]...)
}

func terms(indexes []audit.Index) [][]byte {
	out := make([][]byte, len(indexes))
	for i, x := range indexes {
		out[i] = term(x)
	}
	return out
}

// pack writes texts one after the other, each behind its length; unpack reads them back.
func pack(texts ...string) []byte {
	var b []byte
	for _, s := range texts {
		b = protowire.AppendString(b, s)
	}
	return b
}

func unpack(b []byte, into ...*string) {
	for _, s := range into {
		v, n := protowire.ConsumeString(b)
		if n < 0 {
			return
		}
		*s, b = v, b[n:]
	}
}
