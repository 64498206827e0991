package oidctest

import (
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// body is the good payload as text with more M in front of it or behind.
func (in Setting) body(before, after string) string {
	good := `"iss":"` + in.Issuer + `","sub":"248289761001","aud":"` + in.ClientID + `","nonce":"` + in.Nonce +
		`","exp":` + in.seconds(10*time.Minute) + `,"iat":` + in.seconds(-10*time.Second)
	return "{" + before + good + after + "}"
}

// seconds is a moment as a token has it.
func (in Setting) seconds(offset time.Duration) string { return strconv.FormatInt(in.unix(offset), 10) }

// OIDC-4 and OIDC-5: what kind of token, and strict JSON.
func (in Setting) jsonCases() []draft {
	bad := audit.ReasonMalformed
	nested := func(n int) string { return `,"x":` + strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	return []draft{
		{name: "typ-absent", token: Token{Header: M{"typ": nil}}},
		{name: "typ-jwt-lowercase", token: Token{Header: M{"typ": "jwt"}}},
		{name: "typ-at-jwt", token: Token{Header: M{"typ": "at+jwt"}}, reason: bad},
		{name: "typ-application-at-jwt", token: Token{Header: M{"typ": "application/at+jwt"}}, reason: bad},
		{name: "typ-logout-jwt", token: Token{Header: M{"typ": "logout+jwt"}}, reason: bad},
		{name: "typ-secevent-jwt", token: Token{Header: M{"typ": "secevent+jwt"}}, reason: bad},
		{name: "typ-unknown", token: Token{Header: M{"typ": "JOSE"}}, reason: bad},
		{name: "logout-token", token: Token{Claims: M{"events": M{"http://schemas.openid.net/event/backchannel-logout": M{}}}}, reason: bad},
		{name: "events-null", token: Token{Body: in.body("", `,"events":null`)}, reason: bad},
		{name: "raw-body-ok", token: Token{Body: in.body("", "")}},
		{name: "raw-body-spaces-ok", token: Token{Body: " \n" + strings.ReplaceAll(in.body("", `,"x":[1 , {"y":[ ] } , "z"]`), ",", " ,\t") + "\r\n"}},
		{name: "iss-duplicate-key", token: Token{Body: in.body(`"iss":"https://evil.example",`, "")}, reason: bad},
		{name: "sub-duplicate-key", token: Token{Body: in.body("", `,"sub":"admin"`)}, reason: bad},
		{name: "sub-duplicate-same-value", token: Token{Body: in.body("", `,"sub":"248289761001"`)}, reason: bad},
		{name: "sub-duplicate-key-escaped", token: Token{Body: in.body("", `,"s\u0075b":"admin"`)}, reason: bad},
		{name: "iss-casefold-key", token: Token{Body: in.body("", `,"Iss":"https://evil.example"`)}, reason: bad},
		{name: "iss-casefold-key-alone", token: Token{Claims: M{"iss": nil, "ISS": in.Issuer}}, reason: bad},
		{name: "sub-casefold-long-s", token: Token{Body: in.body("", `,"`+"\u017f"+`ub":"admin"`)}, reason: bad},
		{name: "email-verified-casefold", token: Token{Claims: M{"email_verified": false, "Email_Verified": true}}, reason: bad},
		{name: "unknown-casefold", token: Token{Body: in.body("", `,"team":1,"Team":2`)}, reason: bad},
		{name: "unknown-duplicate-key", token: Token{Body: in.body("", `,"x":1,"x":1`)}, reason: bad},
		{name: "nested-duplicate-key", token: Token{Body: in.body("", `,"x":{"y":[{"z":1,"z":2}]}`)}, reason: bad},
		{name: "nested-casefold-ok", token: Token{Body: in.body("", `,"x":{"y":1,"Y":2,"iss":3}`)}},
		{name: "payload-invalid-utf8", token: Token{Body: in.body("", ",\"x\":\"\xff\"")}, reason: bad},
		{name: "payload-invalid-utf8-key", token: Token{Body: in.body("", ",\"x\xc3\":1")}, reason: bad},
		{name: "payload-lone-surrogate", token: Token{Body: in.body("", `,"x":"\ud800"`)}, reason: bad},
		{name: "payload-lone-low-surrogate", token: Token{Body: in.body("", `,"x":["\udc00\ud800"]`)}, reason: bad},
		{name: "payload-lone-surrogate-key", token: Token{Body: in.body("", `,"\ud83d\u0041":1`)}, reason: bad},
		{name: "payload-surrogate-pair-ok", token: Token{Body: in.body("", `,"x":"\ud83d\uDE00 \"\\u"`)}},
		{name: "payload-bom", token: Token{Body: "\ufeff" + in.body("", "")}, reason: bad},
		{name: "payload-trailing-data", token: Token{Body: in.body("", "") + `{"sub":"admin"}`}, reason: bad},
		{name: "payload-trailing-comma", token: Token{Body: in.body("", ",")}, reason: bad},
		{name: "payload-comment", token: Token{Body: "/**/" + in.body("", "")}, reason: bad},
		{name: "payload-array", token: Token{Body: "[" + in.body("", "") + "]"}, reason: bad},
		{name: "payload-string", token: Token{Body: `"token"`}, reason: bad},
		{name: "payload-null", token: Token{Body: `null`}, reason: bad},
		{name: "payload-empty-object", token: Token{Body: `{}`}, reason: audit.ReasonIssuerMismatch},
		{name: "payload-a-token", token: Token{Body: in.Sign(Token{})}, reason: bad},
		{name: "payload-nested-ok", token: Token{Body: in.body("", nested(10))}},
		{name: "payload-nested-deep", token: Token{Body: in.body("", nested(20))}, reason: bad},
		{name: "payload-nested-very-deep", token: Token{Body: in.body("", `,"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000))}, reason: bad},
		{name: "payload-many-M", token: Token{Body: in.body("", manyMembers(300))}, reason: bad},
		{name: "claim-sources-not-followed", token: Token{Body: in.body("",
			`,"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"http://127.0.0.1:1/x"}}`)}},
		{name: "claim-sources-broken", token: Token{Body: in.body("", `,"_claim_names":{"groups":"src1"}`)}, reason: bad},
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
func (in Setting) partyCases() []draft {
	iss, aud, non, bad := audit.ReasonIssuerMismatch, audit.ReasonAudienceMismatch, audit.ReasonNonceMismatch, audit.ReasonMalformed
	claim := func(name string, value any) Token { return Token{Claims: M{name: value}} }
	siblings := func(e *oidc.Expect) { e.Audiences, e.AuthorizedParties = []string{"sibling"}, []string{"sibling"} }
	accessToken := func(e *oidc.Expect) { e.AccessToken = in.AccessToken }
	code := func(e *oidc.Expect) { e.Code = in.AccessToken }
	tenant := func(e *oidc.Expect) { e.Tenant = "t-1" }
	return []draft{
		{name: "iss-other", token: claim("iss", "https://evil.example"), reason: iss},
		{name: "iss-missing", token: claim("iss", nil), reason: iss},
		{name: "iss-empty", token: claim("iss", ""), reason: iss},
		{name: "iss-trailing-slash", token: claim("iss", in.Issuer+"/"), reason: iss},
		{name: "iss-case", token: claim("iss", "https://ID.example.com/realm"), reason: iss},
		{name: "iss-space", token: claim("iss", in.Issuer+" "), reason: iss},
		{name: "iss-number", token: claim("iss", 1), reason: bad},
		{name: "iss-array", token: claim("iss", []string{in.Issuer}), reason: bad},
		{name: "iss-google-without-scheme", token: claim("iss", "accounts.google.com"), reason: iss,
			expect: func(e *oidc.Expect) { e.Issuer = "https://accounts.google.com" }},
		{name: "iss-beats-expiry", token: Token{Claims: M{"iss": "https://evil.example", "exp": in.unix(-time.Hour)}}, reason: iss},
		{name: "tenant-tid", token: claim("tid", "t-1"), expect: tenant, want: func(id federation.Identity) bool { return id.Tenant == "t-1" }},
		{name: "tenant-hd", token: claim("hd", "t-1"), expect: tenant},
		{name: "tenant-other", token: claim("tid", "t-2"), expect: tenant, reason: iss},
		{name: "tenant-missing", expect: tenant, reason: iss},
		{name: "tenant-tid-beats-hd", token: Token{Claims: M{"tid": "t-2", "hd": "t-1"}}, expect: tenant, reason: iss},
		{name: "tenant-number", token: claim("tid", 1), expect: tenant, reason: iss},
		{name: "aud-string"},
		{name: "aud-array", token: claim("aud", []string{in.ClientID})},
		{name: "aud-other", token: claim("aud", "other"), reason: aud},
		{name: "aud-missing", token: claim("aud", nil), reason: aud},
		{name: "aud-empty-string", token: claim("aud", ""), reason: aud},
		{name: "aud-empty-array", token: claim("aud", []string{}), reason: aud},
		{name: "aud-extra", token: claim("aud", []string{in.ClientID, "other"}), reason: aud},
		{name: "aud-extra-first", token: claim("aud", []string{"other", in.ClientID}), reason: aud},
		{name: "aud-extra-allowed", token: claim("aud", []string{"sibling", in.ClientID}), expect: siblings},
		{name: "aud-only-allowed-extra", token: claim("aud", []string{"sibling"}), expect: siblings, reason: aud},
		{name: "aud-case", token: claim("aud", "WIKI"), reason: aud},
		{name: "aud-prefix", token: claim("aud", in.ClientID+"2"), reason: aud},
		{name: "aud-space", token: claim("aud", in.ClientID+" other"), reason: aud},
		{name: "aud-number", token: claim("aud", 7), reason: bad},
		{name: "aud-object", token: claim("aud", M{in.ClientID: true}), reason: bad},
		{name: "aud-array-with-number", token: claim("aud", []any{in.ClientID, 7}), reason: bad},
		{name: "aud-array-with-null", token: claim("aud", []any{in.ClientID, nil}), reason: bad},
		{name: "aud-null", token: Token{Body: strings.Replace(in.body("", ""), `"`+in.ClientID+`"`, "null", 1)}, reason: bad},
		{name: "azp-same", token: claim("azp", in.ClientID)},
		{name: "azp-other", token: claim("azp", "other"), reason: aud},
		{name: "azp-empty", token: claim("azp", ""), reason: aud},
		{name: "azp-allowed", token: claim("azp", "sibling"), expect: siblings},
		{name: "azp-other-with-array", token: Token{Claims: M{"azp": "other", "aud": []string{in.ClientID}}}, reason: aud},
		{name: "azp-number", token: claim("azp", 1), reason: bad},
		{name: "azp-null", token: Token{Body: in.body("", `,"azp":null`)}, reason: bad},
		{name: "nonce-wrong", token: claim("nonce", "other"), reason: non},
		{name: "nonce-missing", token: claim("nonce", nil), reason: non},
		{name: "nonce-empty", token: claim("nonce", ""), reason: non},
		{name: "nonce-prefix", token: claim("nonce", in.Nonce[:10]), reason: non},
		{name: "nonce-longer", token: claim("nonce", in.Nonce+"x"), reason: non},
		{name: "nonce-case", token: claim("nonce", strings.ToUpper(in.Nonce)), reason: non},
		{name: "nonce-number", token: claim("nonce", 1), reason: bad},
		{name: "nonce-array", token: claim("nonce", []string{in.Nonce}), reason: bad},
		{name: "nonce-not-asked", token: claim("nonce", nil), expect: func(e *oidc.Expect) { e.Nonce = nil }},
		{name: "at-hash-right", token: claim("at_hash", Half(in.AccessToken)), expect: accessToken},
		{name: "at-hash-wrong", token: claim("at_hash", Half("other")), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-padded", token: claim("at_hash", Half(in.AccessToken)+"=="), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-empty", token: claim("at_hash", ""), expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "at-hash-missing", expect: accessToken, reason: bad},
		{name: "at-hash-number", token: claim("at_hash", 1), expect: accessToken, reason: bad},
		{name: "at-hash-not-asked", token: claim("at_hash", Half("other"))},
		{name: "at-hash-eddsa-half-of-sha256", token: Token{Header: M{"alg": "EdDSA", "kid": "ed"}, Claims: M{"at_hash": Half(in.AccessToken)}},
			expect: accessToken, reason: audit.ReasonSignatureInvalid},
		{name: "c-hash-right", token: claim("c_hash", Half(in.AccessToken)), expect: code},
		{name: "c-hash-wrong", token: claim("c_hash", Half("other")), expect: code, reason: audit.ReasonSignatureInvalid},
		{name: "c-hash-missing", expect: code},
		{name: "jti-number", token: claim("jti", 1), reason: bad},
	}
}
