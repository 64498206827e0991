package test

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// tokensLeftOut are the cases that cannot come through a call with expectations, and why.
var tokensLeftOut = map[string]string{
	"nonce-not-asked":           "such a call always says a nonce",
	"c-hash-right":              "a code is exchanged by the process itself: no token is handed in beside it",
	"c-hash-wrong":              "as c-hash-right",
	"c-hash-missing":            "as c-hash-right",
	"exp-past-small-skew":       "no connection says how far clocks may differ: it is a minute",
	"iat-future-small-skew":     "as exp-past-small-skew",
	"iat-old-allowed":           "no connection says how old tokens may be: it is ten minutes",
	"iat-older-than-allowed":    "as iat-old-allowed",
	"alg-none-although-allowed": "no document may allow it",
	"hs256-although-allowed":    "no document may allow it",
	"invalid-utf8-text":         "no client can write it into a message",
}

// tokensAtTheDoor are the cases that are no call that is taken: bounds of the API stand before the verifier.
var tokensAtTheDoor = []string{"empty", "huge", "megabyte", "whitespace-newline-after", "whitespace-inside", "nul-after"}

// tokensAtTheEdge are the cases that another second would change. The clock is the server's, so they are well inside here.
var tokensAtTheEdge = []string{"exp-within-skew", "iat-future", "iat-ten-minutes", "nbf-future", "auth-time-at-skew", "auth-time-future"}

// keyless are the sets without a single key that could check anything. Through a connection that is the provider's trouble.
var keyless = []string{"set-empty", "set-with-private-key", "set-with-ambiguous-key", "set-with-casefold-key", "set-with-symmetric-key"}

// inside is how far from its edge a case is.
const inside = 50 * time.Second

// setting is the suite's own at another time. Its provider publishes its keys here.
func setting(now time.Time) oidctest.Setting {
	in := oidctest.Example()
	in.Now = now.Truncate(time.Second)
	return in
}

// tokens are the cases of the suite that can be handed in.
func (c *court) tokens(now time.Time) []*handed {
	c.t.Helper()
	at, shifted := setting(now), setting(now.Add(inside))
	cases, later := at.Cases(), shifted.Cases()
	var out []*handed
	left := 0
	for i, k := range cases {
		in, edge := at, slices.Contains(tokensAtTheEdge, k.Name)
		if edge {
			in, k = shifted, later[i]
		}
		if tokensLeftOut[k.Name] != "" {
			left++
			continue
		}
		if !reflect.DeepEqual(k.Expect, sayable(in, k.Expect)) {
			c.t.Errorf("the token %s expects what no call can say: %+v", k.Name, k.Expect)
		}
		h := c.token(in, k)
		h.edge, h.door = edge, slices.Contains(tokensAtTheDoor, k.Name)
		if slices.Contains(keyless, k.Name) {
			h.want = audit.ReasonKeysUnavailable
		}
		if h.want == "" && !h.door {
			if err := oidctest.Library(k.Token, k.Expect, k.Keys, in.Now); err != nil {
				c.t.Errorf("the library refuses the token %s, which is to be accepted: %v", k.Name, err)
			}
		}
		out = append(out, h)
	}
	if left != len(tokensLeftOut) {
		c.t.Errorf("%d tokens are left out, %d are named", left, len(tokensLeftOut))
	}
	return out
}

// sayable is what a connection and a call can say of expectations.
func sayable(in oidctest.Setting, e oidc.Expect) oidc.Expect {
	nonce := sha256.Sum256([]byte(in.Nonce))
	return oidc.Expect{Issuer: e.Issuer, ClientID: e.ClientID, Nonce: &nonce, MaxAge: e.MaxAge, AccessToken: e.AccessToken,
		Algorithms: e.Algorithms, Audiences: e.Audiences, AuthorizedParties: e.AuthorizedParties, Tenant: e.Tenant}
}

// token is a case as it is handed in.
func (c *court) token(in oidctest.Setting, k oidctest.Case) *handed {
	p := table{"issuer": k.Expect.Issuer, "client_id": k.Expect.ClientID, "authorization_endpoint": c.home + "/authorize",
		"token_endpoint": c.home + "/token", "jwks_uri": c.publish(k.Keys), "redirect_uris": []string{idptest.RedirectURI}}
	for name, list := range map[string][]string{"algorithms": k.Expect.Algorithms, "audiences": k.Expect.Audiences, "authorized_parties": k.Expect.AuthorizedParties} {
		if len(list) > 0 {
			p[name] = list
		}
	}
	if k.Expect.Tenant != "" {
		p["tenant"] = k.Expect.Tenant
	}
	expect := &posternv1.Expectations{Nonce: in.Nonce}
	if k.Expect.MaxAge > 0 {
		expect.MaxAge = durationpb.New(k.Expect.MaxAge)
	}
	signed := k.Token
	if dot := strings.LastIndexByte(signed, '.'); dot >= 0 {
		signed = signed[:dot]
	}
	return &handed{
		name: k.Name, protocol: "OIDC", connection: table{"protocol": "OIDC", "oidc": p}, want: k.Reason, once: signed,
		evidence: &posternv1.CompleteFederationRequest{Expectations: expect, Evidence: &posternv1.CompleteFederationRequest_OidcToken{
			OidcToken: &posternv1.OidcToken{IdToken: k.Token, AccessToken: k.Expect.AccessToken}}},
		right: func(id *posternv1.FederatedIdentity) bool {
			return id.GetIssuer() == k.Expect.Issuer && id.GetSubjectId() != "" && (!shown(k.Name) || k.Want(federation.Identity{
				ID: id.GetSubjectId(), Email: id.GetEmail(), EmailVerified: id.GetEmailVerified(), Name: id.GetDisplayName()}))
		},
	}
}

// shown says whether a case is about what the answer shows of an identity. A domain is shown as domains are written here.
func shown(name string) bool {
	return name != "email-case-kept" && slices.ContainsFunc([]string{"sub-", "email-", "name-"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
