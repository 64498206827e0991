package test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const garbled = 250 // inputs of each protocol

// garbler damages texts, in the same way whenever it has the same seed.
type garbler struct{ *rand.Rand }

// telling are texts that mean something to those who read tokens and documents.
var telling = []string{
	"<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE x [", "&lt;", "&#0;", "<?x", `xmlns:saml="urn:x"`, ` ID="_assertion-1"`, "</saml:Assertion>",
	"<saml:NameID>admin@example.com</saml:NameID>", `"sub":"admin",`, "{", "}", "[[[[[[[[[[[[[[[[", `\ud800`, "\x00", "\xff\xfe", "1e999", "null", ".", "=", "\r\n",
}

// damage does one or several things to a text.
func (g garbler) damage(text string) string {
	b := []byte(text)
	for range 1 + g.IntN(3) {
		if len(b) < 2 {
			return string(b) + "x"
		}
		at, other := g.IntN(len(b)), g.IntN(len(b))
		from, to := min(at, other), min(max(at, other), min(at, other)+200)
		switch g.IntN(6) {
		case 0:
			b[at] ^= 1 << g.IntN(8)
		case 1:
			b = b[:max(at, 1)]
		case 2:
			b = slices.Delete(b, from, to)
		case 3:
			b = slices.Insert(b, at, b[from:to]...)
		case 4:
			b = slices.Insert(b, at, []byte(telling[g.IntN(len(telling))])...)
		case 5:
			copy(b[at:], b[from:to])
		}
	}
	return string(b)
}

// part damages one part of a compact token below its base64.
func (g garbler) part(token string) string {
	parts := strings.Split(token, ".")
	i := g.IntN(len(parts))
	plain, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return token + "."
	}
	parts[i] = base64.RawURLEncoding.EncodeToString([]byte(g.damage(string(plain))))
	return strings.Join(parts, ".")
}

// token is a damaged token: in its text, or below its base64.
func (g garbler) token(k oidctest.Case) string {
	text := g.damage(k.Token)
	if g.IntN(2) == 0 {
		text = g.part(k.Token)
	}
	return strings.ToValidUTF8(text, "?") // a message takes nothing else
}

// signed is a token whose claims were damaged before it was signed.
func (g garbler) signed(in oidctest.Setting) string {
	_, rest, _ := strings.Cut(in.Sign(oidctest.Token{}), ".")
	payload, _, _ := strings.Cut(rest, ".")
	plain, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		panic(err) // it was just made
	}
	return in.Sign(oidctest.Token{Body: g.damage(string(plain))})
}

// form is a damaged response: in the document, or in its base64.
func (g garbler) form(document string) string {
	if g.IntN(5) > 0 {
		return base64.StdEncoding.EncodeToString([]byte(g.damage(document)))
	}
	return strings.ToValidUTF8(g.damage(base64.StdEncoding.EncodeToString([]byte(document))), "?")
}

// genuine are those the suites' honest inputs are about. No damage to what is signed makes it good for others.
func genuine(id *posternv1.FederatedIdentity) bool {
	return slices.Contains([]string{"248289761001", "a|b/c", strings.Repeat("s", 255), samltest.NameID, strings.Repeat("ä", 256)}, id.GetSubjectId())
}

// garbage are damaged inputs of both suites, and as the last of each a sound one.
func (c *court) garbage(g garbler, now time.Time) []*handed {
	in, w := setting(now), samltest.New(c.t, now)
	tokens, documents := in.Cases(), w.Cases()
	var out []*handed
	for n := range garbled + 1 {
		k := tokens[0]
		s := samltest.Case{Expect: w.Expect(), Response: documents[0].Response}
		whose := genuine
		switch {
		case n == garbled:
		case n%3 == 0:
			k.Token, whose = g.signed(in), func(*posternv1.FederatedIdentity) bool { return true }
		default:
			k.Token = g.token(tokens[g.IntN(len(tokens))])
		}
		t, r := c.token(in, k), response(s)
		if n%2 == 1 {
			r.connection["saml"].(table)["allows_encryption"], r.key = true, string(w.SPKey)
		}
		if n < garbled {
			r.evidence.GetSamlResponse().SamlResponse = g.form(documents[g.IntN(len(documents))*g.IntN(2)].Response) // half of them honest at first
		}
		t.right, r.right = whose, genuine
		for _, h := range []*handed{t, r} {
			h.name, h.want = fmt.Sprintf("garbled-%d", n), "?" // whatever comes of it, it is for the first organization
		}
		out = append(out, t, r)
	}
	return out
}

// tally counts what damaged inputs came to.
func (c *court) tally(inputs []*handed) map[string]int {
	counts := map[string]int{}
	c.each(inputs, func(in *handed, _ seated, done *posternv1.CompleteFederationResponse, err error) {
		reason, id := done.GetAnswer().GetReason(), done.GetIdentity()
		switch code := status.Code(err); {
		case code == codes.InvalidArgument || code == codes.ResourceExhausted:
			reason = code.String()
		case err != nil:
			c.t.Errorf("%s %s: %v", in.protocol, in.name, err)
		case id != nil && !in.right(id):
			c.t.Errorf("%s %s: damaged, and good for %v", in.protocol, in.name, id)
		case id != nil:
			reason = "accepted"
		case reason == audit.ReasonVerifierError || !audit.ValidReason(audit.TypeSSORejected, in.protocol, reason, audit.EvidenceVerified):
			c.t.Errorf("%s %s: answered %v", in.protocol, in.name, done)
		}
		c.mu.Lock()
		counts[in.protocol+" "+reason]++
		c.mu.Unlock()
	})
	return counts
}

// Whatever is handed in, a call is answered with a reason of the catalogue, or refused for its form; the process goes on.
func TestGarbageIsRefusedForAReasonOfTheCatalogue(t *testing.T) {
	t.Parallel()
	c := openCourt(t)
	inputs := c.garbage(garbler{rand.New(rand.NewPCG(4, 2026))}, time.Now())
	counts := c.tally(inputs)
	t.Log(counts)
	for some, least := range map[string]int{
		"OIDC MALFORMED": 10, "OIDC SIGNATURE_INVALID": 10, "OIDC accepted": 1, "SAML MALFORMED": 10, "SAML SIGNATURE_INVALID": 2, "SAML accepted": 1} {
		if counts[some] < least {
			t.Errorf("%d inputs are %s, at least %d should be", counts[some], some, least)
		}
	}
	c.unbroken()
}
