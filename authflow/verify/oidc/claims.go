package oidc

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/postern-audit/postern/authflow/federation"
)

// claims is what a token says, as far as it is looked at. A pointer is nil when the claim is not there.
type claims struct {
	iss, sub, azp, nonce, atHash, cHash, jti *string
	aud                                      []string
	exp, iat, nbf, authTime                  *time.Time
	events                                   bool
	// What describes the person; empty when it is not there or of another type, since nothing rests on it.
	email, name, acr, tid, hd string
	emailVerified             bool
	amr                       []string
}

// claimNames are the claims that count here or in go-oidc.
var claimNames = []string{
	"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "at_hash", "c_hash", "jti", "events", "acr", "amr",
	"email", "email_verified", "tid", "hd", "_claim_names", "_claim_sources",
}

// body reads the claims. The signature was checked before.
func body(payload []byte) (*claims, *federation.Refusal) {
	members, err := object(payload)
	if err != nil {
		return nil, malformed("claims: %v", err)
	}
	if name, found := folded(members, claimNames); found {
		return nil, malformed("claims: member %q", name)
	}
	c := new(claims)
	for _, m := range members {
		if !c.proves(m) {
			return nil, malformed("claims: %s is not of its type", m.name)
		}
		c.describes(m)
	}
	return c, nil
}

// proves takes one of the claims that decide. They are of their type or the token is refused; null is none.
func (c *claims) proves(m member) bool {
	switch m.name {
	case "iss":
		return text(&c.iss, m.value)
	case "sub":
		return text(&c.sub, m.value)
	case "azp":
		return text(&c.azp, m.value)
	case "nonce":
		return text(&c.nonce, m.value)
	case "at_hash":
		return text(&c.atHash, m.value)
	case "c_hash":
		return text(&c.cHash, m.value)
	case "jti":
		return text(&c.jti, m.value)
	case "aud":
		return c.audience(m.value)
	case "exp":
		return moment(&c.exp, m.value)
	case "iat":
		return moment(&c.iat, m.value)
	case "nbf":
		return moment(&c.nbf, m.value)
	case "auth_time":
		return string(m.value) == "null" || moment(&c.authTime, m.value)
	case "events":
		c.events = true
	}
	return true
}

func (c *claims) describes(m member) {
	switch m.name {
	case "email":
		c.email, _ = unquote(m.value)
	case "name":
		c.name, _ = unquote(m.value)
	case "acr":
		c.acr, _ = unquote(m.value)
	case "tid":
		c.tid, _ = unquote(m.value)
	case "hd":
		c.hd, _ = unquote(m.value)
	case "email_verified":
		c.emailVerified = string(m.value) == "true" // "true" in quotes is not the provider's word for it
	case "amr":
		if list, ok := texts(m.value); ok {
			c.amr = list
		}
	}
}

func (c *claims) audience(value []byte) bool {
	if one, ok := unquote(value); ok {
		c.aud = []string{one}
		return true
	}
	list, ok := texts(value)
	c.aud = list
	return ok
}

func text(to **string, value []byte) bool {
	s, ok := unquote(value)
	*to = &s
	return ok
}

// texts reads an array of strings.
func texts(value []byte) ([]string, bool) {
	if len(value) == 0 || value[0] != '[' {
		return nil, false
	}
	var list []*string
	if json.Unmarshal(value, &list) != nil {
		return nil, false
	}
	out := make([]string, len(list))
	for i, s := range list {
		if s == nil {
			return nil, false
		}
		out[i] = *s
	}
	return out, true
}

// lastMoment is the last second of the year 9999: no claim means a later one.
const lastMoment = 253402300799

// moment reads seconds since 1970, cut to whole ones as go-oidc does.
func moment(to **time.Time, value []byte) bool {
	if len(value) == 0 || bytes.IndexByte([]byte("-0123456789"), value[0]) < 0 {
		return false
	}
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || !(f >= 0 && f <= lastMoment) {
			return false
		}
		seconds = int64(f)
	}
	if seconds < 0 || seconds > lastMoment {
		return false
	}
	at := time.Unix(seconds, 0).UTC()
	*to = &at
	return true
}
