package oidctest

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// parts are the three parts of a compact token.
func parts(s string) (head, body, sig string) {
	p := strings.Split(s, ".")
	return p[0], p[1], p[2]
}

// unsecured is a token with a header but nobody's signature.
func unsecured(alg any) Token { return Token{Header: M{"alg": alg}, How: "RS256"} }

// spare sets the bits of the last character of base64url that stand for nothing; a lax decoder reads the same.
func spare(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last|1:][:1]
}

// unsigned drops the signature.
func unsigned(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }

// OIDC-1 and OIDC-2: the form and the algorithm.
func (in Setting) formCases() []draft {
	bad, alg := audit.ReasonMalformed, audit.ReasonAlgorithmNotAllowed
	flat := func(extra M) func(string) string {
		return func(s string) string {
			h, b, sig := parts(s)
			m := M{"protected": h, "payload": b, "signature": sig}
			maps.Copy(m, extra)
			return string(must(json.Marshal(m)))
		}
	}
	return []draft{
		{name: "ok"},
		{name: "empty", text: func(string) string { return "" }, reason: bad},
		{name: "dots", text: func(string) string { return ".." }, reason: bad},
		{name: "one-part", text: func(s string) string { h, _, _ := parts(s); return h }, reason: bad},
		{name: "two-parts", text: func(s string) string { h, b, _ := parts(s); return h + "." + b }, reason: bad},
		{name: "four-parts", text: func(s string) string { return s + ".AAAA" }, reason: bad},
		{name: "four-parts-empty", text: func(s string) string { return s + "." }, reason: bad},
		{name: "jwe-five-parts", text: func(s string) string { return s + ".AAAA.AAAA" }, reason: bad},
		{name: "jwe-header", token: Token{Header: M{"enc": "A256GCM"}}, reason: bad},
		{name: "detached-payload", text: func(s string) string { h, _, sig := parts(s); return h + ".." + sig }, reason: bad},
		{name: "signature-missing", text: unsigned, reason: bad},
		{name: "json-flattened", text: flat(nil), reason: bad},
		{name: "json-unprotected-alg", text: flat(M{"header": M{"alg": "RS256", "kid": "rsa"}}), reason: bad},
		{name: "json-general", text: func(s string) string {
			h, b, sig := parts(s)
			return string(must(json.Marshal(M{"payload": b, "signatures": []M{{"protected": h, "signature": sig}}})))
		}, reason: bad},
		{name: "huge", token: Token{Claims: M{"x": strings.Repeat("x", oidc.MaxToken)}}, reason: bad},
		{name: "large-but-not-huge", token: Token{Claims: M{"x": strings.Repeat("x", oidc.MaxToken/2)}}},
		{name: "megabyte", text: func(string) string { return strings.Repeat("A", 1<<20) }, reason: bad},
		{name: "whitespace-before", text: func(s string) string { return " " + s }, reason: bad},
		{name: "whitespace-newline-after", text: func(s string) string { return s + "\n" }, reason: bad},
		{name: "whitespace-inside", text: func(s string) string { return s[:40] + "\r\n " + s[40:] }, reason: bad},
		{name: "nul-after", text: func(s string) string { return s + "\x00" }, reason: bad},
		{name: "unicode-space-inside", text: func(s string) string { return s[:40] + "\u2003" + s[40:] }, reason: bad},
		{name: "invalid-utf8-text", text: func(s string) string { return s + "\xff" }, reason: bad},
		{name: "bom-before", text: func(s string) string { return "\ufeff" + s }, reason: bad},
		{name: "bearer-before", text: func(s string) string { return "Bearer " + s }, reason: bad},
		{name: "base64-padding", text: func(s string) string { return s + "==" }, reason: bad},
		{name: "base64-standard-alphabet", text: func(s string) string { return s[:len(s)-8] + "++//++//" }, reason: bad},
		{name: "base64-spare-bits-signature", text: spare, reason: bad},
		{name: "base64-spare-bits-header", text: func(s string) string {
			return spare(encode([]byte(`{"alg":"RS256","kid":"rsa" }`))) + s[strings.IndexByte(s, '.'):]
		}, reason: bad},
		{name: "base64-length-1", text: func(s string) string { h, b, _ := parts(s); return h + "." + b + ".AAAAA" }, reason: bad},
		{name: "header-not-json", token: Token{Head: "RS256"}, reason: bad},
		{name: "header-array", token: Token{Head: `["RS256"]`}, reason: bad},
		{name: "header-trailing-data", token: Token{Head: `{"alg":"RS256","kid":"rsa"}{}`}, reason: bad},
		{name: "header-duplicate-alg", token: Token{Head: `{"alg":"none","alg":"RS256","kid":"rsa"}`}, reason: bad},
		{name: "header-casefold-alg", token: Token{Head: `{"alg":"RS256","Alg":"none","kid":"rsa"}`}, reason: bad},
		{name: "header-casefold-kid-alone", token: Token{Head: `{"alg":"RS256","KID":"rsa"}`}, reason: bad},
		{name: "header-alg-number", token: Token{Header: M{"alg": 256}, How: "RS256"}, reason: bad},
		{name: "header-kid-number", token: Token{Header: M{"kid": 1}, Key: "rsa"}, reason: bad},
		{name: "header-typ-null", token: Token{Head: `{"alg":"RS256","kid":"rsa","typ":null}`}, reason: bad},
		{name: "header-invalid-utf8", token: Token{Head: "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xff\"}"}, reason: bad},
		{name: "header-deep", token: Token{Head: `{"alg":"RS256","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`}, reason: bad},
		{name: "crit", token: Token{Header: M{"crit": []string{"exp"}}}, reason: bad},
		{name: "crit-empty", token: Token{Header: M{"crit": []string{}}}, reason: bad},
		{name: "b64-false", token: Token{Header: M{"b64": false, "crit": []string{"b64"}}}, reason: bad},
		{name: "b64-true", token: Token{Header: M{"b64": true}}, reason: bad},
		{name: "zip", token: Token{Header: M{"zip": "DEF"}}, reason: bad},
		{name: "alg-missing", token: Token{Header: M{"alg": nil}, How: "RS256"}, reason: bad},
		{name: "alg-empty", token: unsecured(""), reason: alg},
		{name: "alg-none", token: unsecured("none"), text: unsigned, reason: alg},
		{name: "alg-none-capital", token: unsecured("None"), text: unsigned, reason: alg},
		{name: "alg-none-mixed", token: unsecured("nOnE"), text: unsigned, reason: alg},
		{name: "alg-none-with-signature", token: unsecured("none"), reason: alg},
		{name: "alg-none-although-allowed", token: unsecured("none"), text: unsigned, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"none", "RS256"} }},
		{name: "alg-lowercase", token: unsecured("rs256"), reason: alg},
		{name: "alg-unknown", token: unsecured("XS256"), reason: alg},
		{name: "hs256-pubkey-as-secret", token: Token{Header: M{"alg": "HS256"}}, reason: alg},
		{name: "hs256-although-allowed", token: Token{Header: M{"alg": "HS256"}}, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"HS256", "RS256"} }},
		{name: "rs512-not-a-default", token: Token{Header: M{"alg": "RS512"}}, reason: alg},
		{name: "rs512-allowed", token: Token{Header: M{"alg": "RS512"}},
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"RS512"} }},
		{name: "ps256-not-allowed", token: Token{Header: M{"alg": "PS256"}}, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"RS256"} }},
		{name: "es384-allowed", token: Token{Header: M{"alg": "ES384", "kid": "ec384"}},
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"ES384"} }},
	}
}

// OIDC-3: what a key is for.
func (in Setting) keyCases() []draft {
	sig := audit.ReasonSignatureInvalid
	flip := func(s string) string {
		if s[len(s)-20] == 'A' {
			return s[:len(s)-20] + "B" + s[len(s)-19:]
		}
		return s[:len(s)-20] + "A" + s[len(s)-19:]
	}
	forger := func() map[string]any { return publicJWK("forger", "forger") }
	set := func(keys ...map[string]any) []byte { return must(json.Marshal(M{"keys": keys})) }
	with := func(k map[string]any, extra M) map[string]any { maps.Copy(k, extra); return k }
	return []draft{
		{name: "ok-ps256", token: Token{Header: M{"alg": "PS256"}}},
		{name: "ok-ps256-key-with-alg", token: Token{Header: M{"alg": "PS256", "kid": "ps"}}},
		{name: "ok-es256", token: Token{Header: M{"alg": "ES256", "kid": "ec"}}},
		{name: "ok-eddsa", token: Token{Header: M{"alg": "EdDSA", "kid": "ed"}}},
		{name: "signature-flipped", text: flip, reason: sig},
		{name: "signature-of-other-token", text: func(s string) string {
			return unsigned(s) + strings.Split(in.Sign(Token{Claims: M{"sub": "other"}}), ".")[2]
		}, reason: sig},
		{name: "signature-short", text: func(s string) string { return unsigned(s) + "AAAA" }, reason: sig},
		{name: "payload-exchanged", text: func(s string) string {
			h, _, signature := parts(s)
			_, b, _ := parts(in.Sign(Token{Claims: M{"sub": "other"}}))
			return h + "." + b + "." + signature
		}, reason: sig},
		{name: "attacker-key-known-kid", token: Token{Key: "forger"}, reason: sig},
		{name: "attacker-key-no-kid", token: Token{Header: M{"kid": nil}, Key: "forger"}, reason: sig},
		{name: "attacker-beats-other-reasons", token: Token{Key: "forger", Claims: M{"iss": "https://evil.example", "exp": 1}}, reason: sig},
		{name: "kid-unknown", token: Token{Header: M{"kid": "gone"}, Key: "rsa"}, reason: sig},
		{name: "kid-of-other-key", token: Token{Header: M{"kid": "rsa2"}, Key: "rsa"}, reason: sig},
		{name: "kid-case", token: Token{Header: M{"kid": "RSA"}, Key: "rsa"}, reason: sig},
		{name: "kid-path", token: Token{Header: M{"kid": "../../dev/null"}, Key: "rsa"}, reason: sig},
		{name: "kid-absent-one-key", token: Token{Header: M{"kid": nil}, Key: "rsa"}, keys: []string{"rsa"}},
		{name: "kid-absent-several-keys", token: Token{Header: M{"kid": nil}, Key: "rsa2"}},
		{name: "kid-empty-several-keys", token: Token{Header: M{"kid": ""}, Key: "rsa2"}},
		{name: "kid-twice-in-set", token: Token{Header: M{"kid": "rsa"}, Key: "rsa2"}, set: set(publicJWK("rsa", "rsa"), publicJWK("rsa2", "rsa"))},
		{name: "key-rollover-old", token: Token{Header: M{"kid": "rsa"}}, keys: []string{"rsa2", "rsa"}},
		{name: "key-rollover-new", token: Token{Header: M{"kid": "rsa2"}}, keys: []string{"rsa2", "rsa"}},
		{name: "key-rollover-over", token: Token{Header: M{"kid": "rsa"}}, keys: []string{"rsa2"}, reason: sig},
		{name: "set-empty", set: []byte(`{"keys":[]}`), reason: sig},
		{name: "alg-key-mismatch", token: Token{Header: M{"kid": "ps"}}, reason: sig},
		{name: "alg-key-mismatch-no-kid", token: Token{Header: M{"kid": nil}, Key: "ps"}, keys: []string{"ps"}, reason: sig},
		{name: "alg-key-kind-mismatch", token: Token{Header: M{"alg": "ES256", "kid": "rsa"}, How: "RS256"}, reason: sig},
		{name: "eddsa-with-ec-key", token: Token{Header: M{"alg": "EdDSA", "kid": "ec"}, How: "ES256"}, reason: sig},
		{name: "ec-wrong-curve", token: Token{Header: M{"alg": "ES256", "kid": "ec384"}}, reason: sig},
		{name: "ec-der-signature", token: Token{Header: M{"alg": "ES256", "kid": "ec"}},
			text: func(s string) string { return unsigned(s) + encode([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}) }, reason: sig},
		{name: "ec-zero-signature", token: Token{Header: M{"alg": "ES256", "kid": "ec"}},
			text: func(s string) string { return unsigned(s) + encode(make([]byte, 64)) }, reason: sig},
		{name: "use-enc-key", token: Token{Header: M{"kid": "enc"}}, reason: sig},
		{name: "use-enc-key-alone", token: Token{Header: M{"kid": "enc"}}, keys: []string{"enc"}, reason: sig},
		{name: "key-ops-without-verify", token: Token{Header: M{"kid": "ops"}}, reason: sig},
		{name: "rsa-1024", token: Token{Header: M{"kid": "small"}}, reason: sig},
		{name: "ps256-salt-length", token: Token{Header: M{"alg": "PS256"}, How: "PSX"}, reason: sig},
		{name: "jwk-header", token: Token{Header: M{"kid": "forger", "jwk": forger()}}, reason: sig},
		{name: "jwk-header-no-kid", token: Token{Header: M{"kid": nil, "jwk": forger()}, Key: "forger"}, reason: sig},
		{name: "jwk-header-not-looked-at", token: Token{Header: M{"jwk": forger()}}},
		{name: "jwk-header-garbage", token: Token{Header: M{"jwk": "x"}}, reason: audit.ReasonMalformed},
		{name: "jku-header", token: Token{Header: M{"jku": "http://127.0.0.1:1/keys", "kid": "forger"}}, reason: sig},
		{name: "jku-header-not-looked-at", token: Token{Header: M{"jku": "http://127.0.0.1:1/keys"}}},
		{name: "x5u-header", token: Token{Header: M{"x5u": "http://127.0.0.1:1/cert", "kid": "forger"}}, reason: sig},
		{name: "x5u-header-not-looked-at", token: Token{Header: M{"x5u": "http://127.0.0.1:1/cert"}}},
		{name: "set-with-private-key", set: set(with(publicJWK("rsa", "rsa"), M{"d": "AQAB"})), reason: sig},
		{name: "set-with-ambiguous-key", set: set(with(publicJWK("rsa", "rsa"), M{"N": publicJWK("forger", "x")["n"]})), reason: sig},
		{name: "set-with-casefold-key", set: set(M{"KTY": "RSA", "KID": "rsa", "E": "AQAB", "N": publicJWK("rsa", "rsa")["n"]}), reason: sig},
		{name: "set-with-symmetric-key", set: []byte(`{"keys":[{"kty":"oct","kid":"rsa","k":"AAAA"}]}`), reason: sig},
		{name: "set-with-broken-keys", set: set(M{"kty": "RSA", "kid": "x"}, M{"kty": "new", "kid": "rsa"}, publicJWK("rsa", "rsa"))},
		{name: "set-with-broken-certificate", set: set(with(publicJWK("rsa", "rsa"), M{"x5c": []string{"AAAA"}, "x5t": "AAAA"}))},
	}
}
