package apikey

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// Prefix begins every token, so that scanners for leaked secrets find them.
const Prefix = "pst_"

const (
	uidBytes    = 16
	idBytes     = 8
	secretBytes = 32 // of randomness in a token
	bodyBytes   = uidBytes + idBytes + secretBytes
	bodyChars   = 76 // base62 digits of bodyBytes
	sumChars    = 6  // base62 digits of a CRC-32
	// TokenLength is how long every token is.
	TokenLength = len(Prefix) + bodyChars + sumChars
)

// ID names a key within its organization. It is public.
type ID [idBytes]byte

// String is the id in 16 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String writes.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*idBytes || s != strings.ToLower(s) {
		return ID{}, notFound()
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, notFound()
	}
	return id, nil
}

// Token is a token taken apart. It holds a secret: keep it short.
type Token struct {
	OrganizationUID string
	ID              ID
	Secret          [secretBytes]byte
}

// String hides the token: Text is what a program sends.
func (t Token) String() string { return "API key " + t.ID.String() }

// GoString is String.
func (t Token) GoString() string { return t.String() }

// Text is what a program sends: Prefix, 76 base62 digits of organization uid, id and secret, and 6 of their CRC-32. An organization
// uid that is no UUID is an error.
func (t Token) Text() (string, error) {
	var body [bodyBytes]byte
	if !packUID(body[:uidBytes], t.OrganizationUID) {
		return "", errs.New(errs.Internal, "API_KEY_ORGANIZATION", "the organization's uid is no UUID")
	}
	copy(body[uidBytes:], t.ID[:])
	copy(body[uidBytes+idBytes:], t.Secret[:])
	text := digits(body[:], bodyChars)
	return Prefix + text + checksum(text), nil
}

// ParseToken reads what Text writes. Every error is the same: what is not a token is nobody's.
func ParseToken(s string) (Token, error) {
	if len(s) != TokenLength || !strings.HasPrefix(s, Prefix) {
		return Token{}, invalid()
	}
	text, sum := s[len(Prefix):len(Prefix)+bodyChars], s[len(Prefix)+bodyChars:]
	n, ok := number(text)
	if !ok || n.BitLen() > 8*bodyBytes || checksum(text) != sum {
		return Token{}, invalid()
	}
	var body [bodyBytes]byte
	n.FillBytes(body[:])
	t := Token{OrganizationUID: unpackUID(body[:uidBytes]), ID: ID(body[uidBytes : uidBytes+idBytes])}
	copy(t.Secret[:], body[uidBytes+idBytes:])
	return t, nil
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// digits writes b as so many base62 digits.
func digits(b []byte, chars int) string {
	out := make([]byte, chars)
	n, base, digit := new(big.Int).SetBytes(b), big.NewInt(int64(len(base62))), new(big.Int)
	for i := chars - 1; i >= 0; i-- {
		n.DivMod(n, base, digit)
		out[i] = base62[digit.Int64()]
	}
	return string(out)
}

// number is the reverse of digits.
func number(s string) (*big.Int, bool) {
	n, base := new(big.Int), big.NewInt(int64(len(base62)))
	for i := range len(s) {
		d := strings.IndexByte(base62, s[i])
		if d < 0 {
			return nil, false
		}
		n.Mul(n, base).Add(n, big.NewInt(int64(d)))
	}
	return n, true
}

// checksum tells a scanner a token from other text, and a person a typing error. It protects nothing.
func checksum(text string) string {
	return digits(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))), sumChars)
}

// packUID writes a UUID in its 36 characters of lower case as 16 bytes.
func packUID(to []byte, uid string) bool {
	if len(uid) != 36 || uid[8] != '-' || uid[13] != '-' || uid[18] != '-' || uid[23] != '-' || uid != strings.ToLower(uid) {
		return false
	}
	n, err := hex.Decode(to, []byte(strings.ReplaceAll(uid, "-", "")))
	return err == nil && n == uidBytes
}

// unpackUID is the reverse of packUID.
func unpackUID(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
