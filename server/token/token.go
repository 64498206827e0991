// Package token makes page tokens and cursors: positions that a client keeps and sends back.
//
// Purpose: the position is readable to whoever decodes it and worth nothing to whoever changes it: a keyed hash covers it
// together with what it is good for (query, order, caller), which is not part of the token.
// Invariant: Open returns exactly the bytes Seal was given, for exactly the same purpose and binding, or an error.
// It must never hold personal data, and a token is never a credential.
// First file to read: this one.
package token

import (
	"crypto/hmac"
	"encoding/base64"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// MAC computes a keyed hash over length-prefixed parts. The key must be the same in every process and after every restart:
// cursors outlive both.
type MAC interface {
	Name(purpose string, parts ...[]byte) [32]byte
}

// Tokens seals and opens positions.
type Tokens struct{ mac MAC }

// New returns tokens under the key of mac.
func New(mac MAC) *Tokens { return &Tokens{mac} }

const (
	version = 1
	macSize = 16
	// maxSize is how long a token may be; the API says so too.
	maxSize = 512
	// maxPoll is how long one of Purpose Poll may be: it goes into a URL.
	maxPoll = 4096
)

// Purpose keeps one kind of token from being taken for another.
type Purpose string

// The purposes.
const (
	Page   Purpose = "page token"
	Cursor Purpose = "cursor"
	// Poll is a cursor that holds its query: see maxPoll.
	Poll Purpose = "poll cursor"
)

// Seal returns a position as text of [A-Za-z0-9_-].
func (t *Tokens) Seal(purpose Purpose, position []byte, binding ...[]byte) string {
	b := make([]byte, 0, 1+len(position)+macSize)
	b = append(b, version)
	b = append(b, position...)
	sum := t.sum(purpose, b, binding)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:macSize]...))
}

// Open returns the position a token holds. Every error is the same TOKEN_INVALID: a token is ours and fits, or it is neither.
func (t *Tokens) Open(field string, purpose Purpose, text string, binding ...[]byte) ([]byte, error) {
	bad := errs.Field(field, "TOKEN_INVALID", "is not a "+string(purpose)+" of this installation for this query")
	most := maxSize
	if purpose == Poll {
		most = maxPoll
	}
	if len(text) > most || strings.ContainsAny(text, "\r\n") { // the decoder passes over line ends, strict or not
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 1+macSize || b[0] != version {
		return nil, bad
	}
	body, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	sum := t.sum(purpose, body, binding)
	if !hmac.Equal(mac, sum[:macSize]) {
		return nil, bad
	}
	return body[1:], nil
}

func (t *Tokens) sum(purpose Purpose, body []byte, binding [][]byte) [32]byte {
	return t.mac.Name(string(purpose), append([][]byte{body}, binding...)...)
}
