package oidc

import (
	"fmt"
	"slices"
	"time"
)

// Bounds of what is looked at, and what holds when Expect does not say.
const (
	MaxToken    = 16 << 10         // bytes of a token
	MaxSkew     = time.Minute      // the most clocks may differ
	MaxAge      = 10 * time.Minute // of a token since its iat, unless Expect says otherwise
	MaxLifetime = 24 * time.Hour   // between iat and exp
)

// Expect is what an ID token must fit.
type Expect struct {
	Issuer   string // equal to iss, byte for byte
	ClientID string // in aud
	// Nonce is the SHA-256 of the nonce that was sent. nil: not looked at, which is for offline checks and for callers that ran
	// their own protocol and have none.
	Nonce *[32]byte
	// MaxAge above 0 demands auth_time, no further back than this and the skew.
	MaxAge time.Duration
	// AccessToken came with the ID token; "" none. at_hash must then be there and fit.
	AccessToken string
	// Code the ID token came with; "" none. c_hash must fit if it is there.
	Code              string
	Algorithms        []string // empty: RS256, PS256, ES256, EdDSA. none and HS… are refused whatever this says.
	Audiences         []string // allowed in aud beside ClientID
	AuthorizedParties []string // allowed as azp beside ClientID
	Tenant            string   // tid, or when there is none hd, must equal it; "": any
	Skew              time.Duration
	MaxTokenAge       time.Duration // how far back iat may lie; 0: MaxAge
}

// settled returns e with its defaults filled in, or what no check can be made with: a defect of the caller.
func (e Expect) settled() (Expect, error) {
	if e.Skew == 0 {
		e.Skew = MaxSkew
	}
	if e.MaxTokenAge == 0 {
		e.MaxTokenAge = MaxAge
	}
	if len(e.Algorithms) == 0 {
		e.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	switch {
	case e.Issuer == "" || e.ClientID == "":
		return e, fmt.Errorf("no issuer or no client id to expect")
	case e.Skew < 0 || e.Skew > MaxSkew:
		return e, fmt.Errorf("a skew of %s is out of bounds", e.Skew)
	case e.MaxAge < 0 || e.MaxTokenAge < 0 || e.MaxTokenAge > MaxLifetime:
		return e, fmt.Errorf("an age is out of bounds")
	}
	return e, nil
}

// allows says whether tokens may be signed with alg.
func (e Expect) allows(alg string) bool {
	_, known := algorithms[alg]
	return known && slices.Contains(e.Algorithms, alg)
}
