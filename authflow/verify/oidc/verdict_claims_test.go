package oidc_test

import (
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// body is the good payload as text with more members in front of it or behind.
func body(before, after string) string {
	good := `"iss":"` + issuer + `","sub":"248289761001","aud":"` + clientID + `","exp":1795162200,"iat":1795161590,"nonce":"` + nonce + `"`
	return "{" + before + good + after + "}"
}

// OIDC-4 and OIDC-5: what kind of token, and strict JSON.
func jsonVerdicts() []verdict {
	bad := audit.ReasonMalformed
	nested := func(n int) string { return `,"x":` + strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	return []verdict{
		{name: "typ-absent", token: token{header: members{"typ": nil}}},
		{name: "typ-jwt-lowercase", token: token{header: members{"typ": "jwt"}}},
		{name: "typ-at-jwt", token: token{header: members{"typ": "at+jwt"}}, reason: bad},
		{name: "typ-application-at-jwt", token: token{header: members{"typ": "application/at+jwt"}}, reason: bad},
		{name: "typ-logout-jwt", token: token{header: members{"typ": "logout+jwt"}}, reason: bad},
		{name: "typ-secevent-jwt", token: token{header: members{"typ": "secevent+jwt"}}, reason: bad},
		{name: "typ-unknown", token: token{header: members{"typ": "JOSE"}}, reason: bad},
		{name: "logout-token", token: token{claims: members{"events": members{"http://schemas.openid.net/event/backchannel-logout": members{}}}}, reason: bad},
		{name: "events-null", token: token{rawBody: body("", `,"events":null`)}, reason: bad},
		{name: "raw-body-ok", token: token{rawBody: body("", "")}},
		{name: "raw-body-spaces-ok", token: token{rawBody: " \n" + strings.ReplaceAll(body("", `,"x":[1 , {"y":[ ] } , "z"]`), ",", " ,\t") + "\r\n"}},
		{name: "iss-duplicate-key", token: token{rawBody: body(`"iss":"https://evil.example",`, "")}, reason: bad},
		{name: "sub-duplicate-key", token: token{rawBody: body("", `,"sub":"admin"`)}, reason: bad},
		{name: "sub-duplicate-same-value", token: token{rawBody: body("", `,"sub":"248289761001"`)}, reason: bad},
		{name: "sub-duplicate-key-escaped", token: token{rawBody: body("", `,"s\u0075b":"admin"`)}, reason: bad},
		{name: "iss-casefold-key", token: token{rawBody: body("", `,"Iss":"https://evil.example"`)}, reason: bad},
		{name: "iss-casefold-key-alone", token: token{claims: members{"iss": nil, "ISS": issuer}}, reason: bad},
		{name: "sub-casefold-long-s", token: token{rawBody: body("", `,"`+"\u017f"+`ub":"admin"`)}, reason: bad},
		{name: "email-verified-casefold", token: token{claims: members{"email_verified": false, "Email_Verified": true}}, reason: bad},
		{name: "unknown-casefold", token: token{rawBody: body("", `,"team":1,"Team":2`)}, reason: bad},
		{name: "unknown-duplicate-key", token: token{rawBody: body("", `,"x":1,"x":1`)}, reason: bad},
		{name: "nested-duplicate-key", token: token{rawBody: body("", `,"x":{"y":[{"z":1,"z":2}]}`)}, reason: bad},
		{name: "nested-casefold-ok", token: token{rawBody: body("", `,"x":{"y":1,"Y":2,"iss":3}`)}},
		{name: "payload-invalid-utf8", token: token{rawBody: body("", ",\"x\":\"\xff\"")}, reason: bad},
		{name: "payload-invalid-utf8-key", token: token{rawBody: body("", ",\"x\xc3\":1")}, reason: bad},
		{name: "payload-lone-surrogate", token: token{rawBody: body("", `,"x":"\ud800"`)}, reason: bad},
		{name: "payload-lone-low-surrogate", token: token{rawBody: body("", `,"x":["\udc00\ud800"]`)}, reason: bad},
		{name: "payload-lone-surrogate-key", token: token{rawBody: body("", `,"\ud83d\u0041":1`)}, reason: bad},
		{name: "payload-surrogate-pair-ok", token: token{rawBody: body("", `,"x":"\ud83d\uDE00 \"\\u"`)}},
		{name: "payload-bom", token: token{rawBody: "\ufeff" + body("", "")}, reason: bad},
		{name: "payload-trailing-data", token: token{rawBody: body("", "") + `{"sub":"admin"}`}, reason: bad},
		{name: "payload-trailing-comma", token: token{rawBody: body("", ",")}, reason: bad},
		{name: "payload-comment", token: token{rawBody: "/**/" + body("", "")}, reason: bad},
		{name: "payload-array", token: token{rawBody: "[" + body("", "") + "]"}, reason: bad},
		{name: "payload-string", token: token{rawBody: `"token"`}, reason: bad},
		{name: "payload-null", token: token{rawBody: `null`}, reason: bad},
		{name: "payload-empty-object", token: token{rawBody: `{}`}, reason: audit.ReasonIssuerMismatch},
		{name: "payload-a-token", token: token{rawBody: token{}.signed()}, reason: bad},
		{name: "payload-nested-ok", token: token{rawBody: body("", nested(10))}},
		{name: "payload-nested-deep", token: token{rawBody: body("", nested(20))}, reason: bad},
		{name: "payload-nested-very-deep", token: token{rawBody: body("", `,"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000))}, reason: bad},
		{name: "payload-many-members", token: token{rawBody: body("", manyMembers(300))}, reason: bad},
		{name: "claim-sources-not-followed", token: token{rawBody: body("",
			`,"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"http://127.0.0.1:1/x"}}`)}},
		{name: "claim-sources-broken", token: token{rawBody: body("", `,"_claim_names":{"groups":"src1"}`)}, reason: bad},
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + `":1`)
	}
	return b.String()
}

// OIDC-6, OIDC-7 and OIDC-11: from whom, for whom, for which request.
func partyVerdicts() []verdict {
	iss, aud, non, bad := audit.ReasonIssuerMismatch, audit.ReasonAudienceMismatch, audit.ReasonNonceMismatch, audit.ReasonMalformed
	claim := func(name string, value any) token { return token{claims: members{name: value}} }
	siblings := func(e *oidc.Expect) { e.Audiences, e.AuthorizedParties = []string{"sibling"}, []string{"sibling"} }
	accessToken := func(e *oidc.Expect) { e.AccessToken = access }
	code := func(e *oidc.Expect) { e.Code = access }
	tenant := func(e *oidc.Expect) { e.Tenant = "t-1" }
	return []verdict{
		{name: "iss-other", token: claim("iss", "https://evil.example"), reason: iss},
		{name: "iss-missing", token: claim("iss", nil), reason: iss},
		{name: "iss-empty", token: claim("iss", ""), reason: iss},
		{name: "iss-trailing-slash", token: claim("iss", issuer+"/"), reason: iss},
		{name: "iss-case", token: claim("iss", "https://ID.example.com/realm"), reason: iss},
		{name: "iss-space", token: claim("iss", issuer+" "), reason: iss},
		{name: "iss-number", token: claim("iss", 1), reason: bad},
		{name: "iss-array", token: claim("iss", []string{issuer}), reason: bad},
		{name: "iss-google-without-scheme", token: claim("iss", "accounts.google.com"), reason: iss,
			expect: func(e *oidc.Expect) { e.Issuer = "https://accounts.google.com" }},
		{name: "iss-beats-expiry", token: token{claims: members{"iss": "https://evil.example", "exp": unix(-time.Hour)}}, reason: iss},
		{name: "tenant-tid", token: claim("tid", "t-1"), expect: tenant, want: func(id federation.Identity) bool { return id.Tenant == "t-1" }},
		{name: "tenant-hd", token: claim("hd", "t-1"), expect: tenant},
		{name: "tenant-other", token: claim("tid", "t-2"), expect: tenant, reason: iss},
		{name: "tenant-missing", expect: tenant, reason: iss},
		{name: "tenant-tid-beats-hd", token: token{claims: members{"tid": "t-2", "hd": "t-1"}}, expect: tenant, reason: iss},
		{name: "tenant-number", token: claim("tid", 1), expect: tenant, reason: iss},
		{name: "aud-string"},
		{name: "aud-array", token: claim("aud", []string{clientID})},
		{name: "aud-other", token: claim("aud", "other"), reason: aud},
		{name: "aud-missing", token: claim("aud", nil), reason: aud},
		{name: "aud-empty-string", token: claim("aud", ""), reason: aud},
		{name: "aud-empty-array", token: claim("aud", []string{}), reason: aud},
		{name: "aud-extra", token: claim("aud", []string{clientID, "other"}), reason: aud},
		{name: "aud-extra-first", token: claim("aud", []string{"other", clientID}), reason: aud},
		{name: "aud-extra-allowed", token: claim("aud", []string{"sibling", clientID}), expect: siblings},
		{name: "aud-only-allowed-extra", token: claim("aud", []string{"sibling"}), expect: siblings, reason: aud},
		{name: "aud-case", token: claim("aud", "WIKI"), reason: aud},
		{name: "aud-prefix", token: claim("aud", clientID+"2"), reason: aud},
		{name: "aud-space", token: claim("aud", clientID+" other"), reason: aud},
		{name: "aud-number", token: claim("aud", 7), reason: bad},
		{name: "aud-object", token: claim("aud", members{clientID: true}), reason: bad},
		{name: "aud-array-with-number", token: claim("aud", []any{clientID, 7}), reason: bad},
		{name: "aud-array-with-null", token: claim("aud", []any{clientID, nil}), reason: bad},
		{name: "aud-null", token: token{rawBody: strings.Replace(body("", ""), `"`+clientID+`"`, "null", 1)}, reason: bad},
		{name: "azp-same", token: claim("azp", clientID)},
		{name: "azp-other", token: claim("azp", "other"), reason: aud},
		{name: "azp-empty", token: claim("azp", ""), reason: aud},
		{name: "azp-allowed", token: claim("azp", "sibling"), expect: siblings},
		{name: "azp-other-with-array", token: token{claims: members{"azp": "other", "aud": []string{clientID}}}, reason: aud},
		{name: "azp-number", token: claim("azp", 1), reason: bad},
		{name: "azp-null", token: token{rawBody: body("", `,"azp":null`)}, reason: bad},
		{name: "nonce-wrong", token: claim("nonce", "other"), reason: non},
		{name: "nonce-missing", token: claim("nonce", nil), reason: non},
		{name: "nonce-empty", token: claim("nonce", ""), reason: non},
		{name: "nonce-prefix", token: claim("nonce", nonce[:10]), reason: non},
		{name: "nonce-longer", token: claim("nonce", nonce+"x"), reason: non},
		{name: "nonce-case", token: claim("nonce", strings.ToUpper(nonce)), reason: non},
		{name: "nonce-number", token: claim("nonce", 1), reason: bad},
		{name: "nonce-array", token: claim("nonce", []string{nonce}), reason: bad},
		{name: "nonce-not-asked", token: claim("nonce", nil), expect: func(e *oidc.Expect) { e.Nonce = nil }},
		{name: "at-hash-right", token: claim("at_hash", half(access)), expect: accessToken},
		{name: "at-hash-wrong", token: claim("at_hash", half("other")), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-padded", token: claim("at_hash", half(access)+"=="), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-empty", token: claim("at_hash", ""), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-missing", expect: accessToken, reason: bad},
		{name: "at-hash-number", token: claim("at_hash", 1), expect: accessToken, reason: bad},
		{name: "at-hash-not-asked", token: claim("at_hash", half("other"))},
		{name: "at-hash-eddsa-half-of-sha256", token: token{header: members{"alg": "EdDSA", "kid": "ed"}, claims: members{"at_hash": half(access)}},
			expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "c-hash-right", token: claim("c_hash", half(access)), expect: code},
		{name: "c-hash-wrong", token: claim("c_hash", half("other")), expect: code, reason: audit.ReasonSignatureInvalid},
		{name: "c-hash-missing", expect: code},
		{name: "jti-number", token: claim("jti", 1), reason: bad},
	}
}
