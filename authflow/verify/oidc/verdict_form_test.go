package oidc_test

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

type jsonWebKey = jose.JSONWebKey

type members = map[string]any

// parts are the three parts of a compact token.
func parts(s string) (head, body, sig string) {
	p := strings.Split(s, ".")
	return p[0], p[1], p[2]
}

// unsecured is a token with a header but nobody's signature.
func unsecured(alg any) token { return token{header: members{"alg": alg}, how: "RS256"} }

// spare sets the bits of the last character of base64url that stand for nothing; a lax decoder reads the same.
func spare(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + alphabet[last|1:][:1]
}

// unsigned drops the signature.
func unsigned(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }

// OIDC-1 and OIDC-2: the form and the algorithm.
func formVerdicts() []verdict {
	bad, alg := audit.ReasonMalformed, audit.ReasonAlgorithmNotAllowed
	flat := func(extra members) func(string) string {
		return func(s string) string {
			h, b, sig := parts(s)
			m := members{"protected": h, "payload": b, "signature": sig}
			maps.Copy(m, extra)
			return string(must(json.Marshal(m)))
		}
	}
	return []verdict{
		{name: "ok"},
		{name: "empty", text: func(string) string { return "" }, reason: bad},
		{name: "dots", text: func(string) string { return ".." }, reason: bad},
		{name: "one-part", text: func(s string) string { h, _, _ := parts(s); return h }, reason: bad},
		{name: "two-parts", text: func(s string) string { h, b, _ := parts(s); return h + "." + b }, reason: bad},
		{name: "four-parts", text: func(s string) string { return s + ".AAAA" }, reason: bad},
		{name: "four-parts-empty", text: func(s string) string { return s + "." }, reason: bad},
		{name: "jwe-five-parts", text: func(s string) string { return s + ".AAAA.AAAA" }, reason: bad},
		{name: "jwe-header", token: token{header: members{"enc": "A256GCM"}}, reason: bad},
		{name: "detached-payload", text: func(s string) string { h, _, sig := parts(s); return h + ".." + sig }, reason: bad},
		{name: "signature-missing", text: unsigned, reason: bad},
		{name: "json-flattened", text: flat(nil), reason: bad},
		{name: "json-unprotected-alg", text: flat(members{"header": members{"alg": "RS256", "kid": "rsa"}}), reason: bad},
		{name: "json-general", text: func(s string) string {
			h, b, sig := parts(s)
			return string(must(json.Marshal(members{"payload": b, "signatures": []members{{"protected": h, "signature": sig}}})))
		}, reason: bad},
		{name: "huge", token: token{claims: members{"x": strings.Repeat("x", oidc.MaxToken)}}, reason: bad},
		{name: "large-but-not-huge", token: token{claims: members{"x": strings.Repeat("x", oidc.MaxToken/2)}}},
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
		{name: "header-not-json", token: token{rawHead: "RS256"}, reason: bad},
		{name: "header-array", token: token{rawHead: `["RS256"]`}, reason: bad},
		{name: "header-trailing-data", token: token{rawHead: `{"alg":"RS256","kid":"rsa"}{}`}, reason: bad},
		{name: "header-duplicate-alg", token: token{rawHead: `{"alg":"none","alg":"RS256","kid":"rsa"}`}, reason: bad},
		{name: "header-casefold-alg", token: token{rawHead: `{"alg":"RS256","Alg":"none","kid":"rsa"}`}, reason: bad},
		{name: "header-casefold-kid-alone", token: token{rawHead: `{"alg":"RS256","KID":"rsa"}`}, reason: bad},
		{name: "header-alg-number", token: token{header: members{"alg": 256}, how: "RS256"}, reason: bad},
		{name: "header-kid-number", token: token{header: members{"kid": 1}, key: "rsa"}, reason: bad},
		{name: "header-typ-null", token: token{rawHead: `{"alg":"RS256","kid":"rsa","typ":null}`}, reason: bad},
		{name: "header-invalid-utf8", token: token{rawHead: "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"\xff\"}"}, reason: bad},
		{name: "header-deep", token: token{rawHead: `{"alg":"RS256","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`}, reason: bad},
		{name: "crit", token: token{header: members{"crit": []string{"exp"}}}, reason: bad},
		{name: "crit-empty", token: token{header: members{"crit": []string{}}}, reason: bad},
		{name: "b64-false", token: token{header: members{"b64": false, "crit": []string{"b64"}}}, reason: bad},
		{name: "b64-true", token: token{header: members{"b64": true}}, reason: bad},
		{name: "zip", token: token{header: members{"zip": "DEF"}}, reason: bad},
		{name: "alg-missing", token: token{header: members{"alg": nil}, how: "RS256"}, reason: bad},
		{name: "alg-empty", token: unsecured(""), reason: alg},
		{name: "alg-none", token: unsecured("none"), text: unsigned, reason: alg},
		{name: "alg-none-capital", token: unsecured("None"), text: unsigned, reason: alg},
		{name: "alg-none-mixed", token: unsecured("nOnE"), text: unsigned, reason: alg},
		{name: "alg-none-with-signature", token: unsecured("none"), reason: alg},
		{name: "alg-none-although-allowed", token: unsecured("none"), text: unsigned, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"none", "RS256"} }},
		{name: "alg-lowercase", token: unsecured("rs256"), reason: alg},
		{name: "alg-unknown", token: unsecured("XS256"), reason: alg},
		{name: "hs256-pubkey-as-secret", token: token{header: members{"alg": "HS256"}}, reason: alg},
		{name: "hs256-although-allowed", token: token{header: members{"alg": "HS256"}}, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"HS256", "RS256"} }},
		{name: "rs512-not-a-default", token: token{header: members{"alg": "RS512"}}, reason: alg},
		{name: "rs512-allowed", token: token{header: members{"alg": "RS512"}},
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"RS512"} }},
		{name: "ps256-not-allowed", token: token{header: members{"alg": "PS256"}}, reason: alg,
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"RS256"} }},
		{name: "es384-allowed", token: token{header: members{"alg": "ES384", "kid": "ec384"}},
			expect: func(e *oidc.Expect) { e.Algorithms = []string{"ES384"} }},
	}
}

// OIDC-3: what a key is for.
func keyVerdicts() []verdict {
	sig := audit.ReasonSignatureInvalid
	flip := func(s string) string {
		if s[len(s)-20] == 'A' {
			return s[:len(s)-20] + "B" + s[len(s)-19:]
		}
		return s[:len(s)-20] + "A" + s[len(s)-19:]
	}
	forger := func() map[string]any { return publicJWK("forger", "forger") }
	set := func(keys ...map[string]any) []byte { return must(json.Marshal(members{"keys": keys})) }
	with := func(k map[string]any, extra members) map[string]any { maps.Copy(k, extra); return k }
	return []verdict{
		{name: "ok-ps256", token: token{header: members{"alg": "PS256"}}},
		{name: "ok-ps256-key-with-alg", token: token{header: members{"alg": "PS256", "kid": "ps"}}},
		{name: "ok-es256", token: token{header: members{"alg": "ES256", "kid": "ec"}}},
		{name: "ok-eddsa", token: token{header: members{"alg": "EdDSA", "kid": "ed"}}},
		{name: "signature-flipped", text: flip, reason: sig},
		{name: "signature-of-other-token", text: func(s string) string {
			return unsigned(s) + strings.Split(token{claims: members{"sub": "other"}}.signed(), ".")[2]
		}, reason: sig},
		{name: "signature-short", text: func(s string) string { return unsigned(s) + "AAAA" }, reason: sig},
		{name: "payload-exchanged", text: func(s string) string {
			h, _, signature := parts(s)
			_, b, _ := parts(token{claims: members{"sub": "other"}}.signed())
			return h + "." + b + "." + signature
		}, reason: sig},
		{name: "attacker-key-known-kid", token: token{key: "forger"}, reason: sig},
		{name: "attacker-key-no-kid", token: token{header: members{"kid": nil}, key: "forger"}, reason: sig},
		{name: "attacker-beats-other-reasons", token: token{key: "forger", claims: members{"iss": "https://evil.example", "exp": 1}}, reason: sig},
		{name: "kid-unknown", token: token{header: members{"kid": "gone"}, key: "rsa"}, reason: sig},
		{name: "kid-of-other-key", token: token{header: members{"kid": "rsa2"}, key: "rsa"}, reason: sig},
		{name: "kid-case", token: token{header: members{"kid": "RSA"}, key: "rsa"}, reason: sig},
		{name: "kid-path", token: token{header: members{"kid": "../../dev/null"}, key: "rsa"}, reason: sig},
		{name: "kid-absent-one-key", token: token{header: members{"kid": nil}, key: "rsa"}, keys: []string{"rsa"}},
		{name: "kid-absent-several-keys", token: token{header: members{"kid": nil}, key: "rsa2"}},
		{name: "kid-empty-several-keys", token: token{header: members{"kid": ""}, key: "rsa2"}},
		{name: "kid-twice-in-set", token: token{header: members{"kid": "rsa"}, key: "rsa2"}, set: set(publicJWK("rsa", "rsa"), publicJWK("rsa2", "rsa"))},
		{name: "key-rollover-old", token: token{header: members{"kid": "rsa"}}, keys: []string{"rsa2", "rsa"}},
		{name: "key-rollover-new", token: token{header: members{"kid": "rsa2"}}, keys: []string{"rsa2", "rsa"}},
		{name: "key-rollover-over", token: token{header: members{"kid": "rsa"}}, keys: []string{"rsa2"}, reason: sig},
		{name: "set-empty", set: []byte(`{"keys":[]}`), reason: sig},
		{name: "alg-key-mismatch", token: token{header: members{"kid": "ps"}}, reason: sig},
		{name: "alg-key-mismatch-no-kid", token: token{header: members{"kid": nil}, key: "ps"}, keys: []string{"ps"}, reason: sig},
		{name: "alg-key-kind-mismatch", token: token{header: members{"alg": "ES256", "kid": "rsa"}, how: "RS256"}, reason: sig},
		{name: "eddsa-with-ec-key", token: token{header: members{"alg": "EdDSA", "kid": "ec"}, how: "ES256"}, reason: sig},
		{name: "ec-wrong-curve", token: token{header: members{"alg": "ES256", "kid": "ec384"}}, reason: sig},
		{name: "ec-der-signature", token: token{header: members{"alg": "ES256", "kid": "ec"}},
			text: func(s string) string { return unsigned(s) + encode([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}) }, reason: sig},
		{name: "ec-zero-signature", token: token{header: members{"alg": "ES256", "kid": "ec"}},
			text: func(s string) string { return unsigned(s) + encode(make([]byte, 64)) }, reason: sig},
		{name: "use-enc-key", token: token{header: members{"kid": "enc"}}, reason: sig},
		{name: "use-enc-key-alone", token: token{header: members{"kid": "enc"}}, keys: []string{"enc"}, reason: sig},
		{name: "key-ops-without-verify", token: token{header: members{"kid": "ops"}}, reason: sig},
		{name: "rsa-1024", token: token{header: members{"kid": "small"}}, reason: sig},
		{name: "ps256-salt-length", token: token{header: members{"alg": "PS256"}, how: "PSX"}, reason: sig},
		{name: "jwk-header", token: token{header: members{"kid": "forger", "jwk": forger()}}, reason: sig},
		{name: "jwk-header-no-kid", token: token{header: members{"kid": nil, "jwk": forger()}, key: "forger"}, reason: sig},
		{name: "jwk-header-not-looked-at", token: token{header: members{"jwk": forger()}}},
		{name: "jwk-header-garbage", token: token{header: members{"jwk": "x"}}, reason: audit.ReasonMalformed},
		{name: "jku-header", token: token{header: members{"jku": "http://127.0.0.1:1/keys", "kid": "forger"}}, reason: sig},
		{name: "jku-header-not-looked-at", token: token{header: members{"jku": "http://127.0.0.1:1/keys"}}},
		{name: "x5u-header", token: token{header: members{"x5u": "http://127.0.0.1:1/cert", "kid": "forger"}}, reason: sig},
		{name: "x5u-header-not-looked-at", token: token{header: members{"x5u": "http://127.0.0.1:1/cert"}}},
		{name: "set-with-private-key", set: set(with(publicJWK("rsa", "rsa"), members{"d": "AQAB"})), reason: sig},
		{name: "set-with-symmetric-key", set: []byte(`{"keys":[{"kty":"oct","kid":"rsa","k":"AAAA"}]}`), reason: sig},
		{name: "set-with-broken-keys", set: set(members{"kty": "RSA", "kid": "x"}, members{"kty": "new", "kid": "rsa"}, publicJWK("rsa", "rsa"))},
		{name: "set-with-broken-certificate", set: set(with(publicJWK("rsa", "rsa"), members{"x5c": []string{"AAAA"}, "x5t": "AAAA"}))},
	}
}
