package oidctest

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// Setting is whom tokens are of and for, and when they are judged.
type Setting struct {
	Issuer, ClientID   string
	Nonce, AccessToken string
	Now                time.Time // whole seconds
}

// Example is a setting for those who have none of their own.
func Example() Setting {
	return Setting{
		Issuer: "https://id.example.com/realm", ClientID: "wiki", Nonce: "n-0S6_WzA2Mj-is-the-nonce", AccessToken: "an-access-token",
		Now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC),
	}
}

// Expect is what the good token fits; cases change it.
func (in Setting) Expect() oidc.Expect {
	sum := sha256.Sum256([]byte(in.Nonce))
	return oidc.Expect{Issuer: in.Issuer, ClientID: in.ClientID, Nonce: &sum}
}

// Case is one token and what is to come of it.
type Case struct {
	Name   string // the label, such as "aud-extra"
	Token  string
	Expect oidc.Expect
	Keys   []byte                         // the key set the issuer publishes
	Reason string                         // why it is refused; "" accepted
	Want   func(federation.Identity) bool // says whether an accepted token's identity is right; never nil
}

// Cases are all cases, in the order of the rules they are about.
func (in Setting) Cases() []Case {
	drafts := slices.Concat(in.formCases(), in.keyCases(), in.jsonCases(), in.partyCases(), in.timeCases(), in.personCases())
	cases := make([]Case, len(drafts))
	for i, d := range drafts {
		cases[i] = in.finish(d)
	}
	return cases
}

// draft is a case as the tables have it.
type draft struct {
	name   string
	token  Token
	text   func(good string) string // makes the text from a signed token; nil: leaves it
	expect func(*oidc.Expect)       // changes what is expected; nil: nothing
	keys   []string                 // published; nil: all
	set    []byte                   // published instead
	reason string
	want   func(federation.Identity) bool // nil: nothing
}

func (in Setting) finish(d draft) Case {
	c := Case{Name: d.name, Token: in.Sign(d.token), Expect: in.Expect(), Keys: d.set, Reason: d.reason, Want: d.want}
	if d.text != nil {
		c.Token = d.text(c.Token)
	}
	if d.expect != nil {
		d.expect(&c.Expect)
	}
	if c.Keys == nil {
		c.Keys = JWKS(d.keys...)
	}
	if c.Want == nil {
		c.Want = func(federation.Identity) bool { return true }
	}
	return c
}
