package authflow

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// seedSize is how much randomness a sign-in elsewhere is made of.
const seedSize = 32

// minted is everything a sign-in elsewhere needs that nobody may guess. All of it is made of one seed, so that a repeated call
// gets the same and a flow keeps one secret, which it forgets when it is used up. However it is printed, nothing of it shows.
type minted struct {
	State     string // 32 characters
	Nonce     string
	Verifier  string // of PKCE: 43 characters
	RequestID string // of a SAML request: an xs:ID
	Browser   string // ties a browser to the flow
}

// String returns a mark.
func (minted) String() string { return hidden }

// Format writes a mark, whatever the verb.
func (minted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns a mark.
func (minted) LogValue() slog.Value { return slog.StringValue(hidden) }

func newSeed() []byte {
	seed := make([]byte, seedSize)
	_, _ = rand.Read(seed) // never fails: the process dies before it returns an error
	return seed
}

func mint(seed []byte) minted {
	part := func(what string, size int) []byte {
		mac := hmac.New(sha256.New, seed)
		_, _ = mac.Write([]byte(what)) // a hash never fails
		return mac.Sum(nil)[:size]
	}
	text := base64.RawURLEncoding.EncodeToString
	return minted{State: text(part("state", 24)), Nonce: text(part("nonce", 24)), Verifier: text(part("verifier", 32)),
		RequestID: "_" + hex.EncodeToString(part("request", 20)), Browser: text(part("browser", 32))}
}

// stateHash is what a flow keeps of a state that was used up.
func stateHash(state string) [32]byte { return sha256.Sum256([]byte(state)) }

// equal compares two secrets without telling where they differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
