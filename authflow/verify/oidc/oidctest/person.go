package oidctest

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
)

// OIDC-8: times, to the second.
func (in Setting) timeCases() []draft {
	old, early, bad, weak := audit.ReasonExpired, audit.ReasonNotYetValid, audit.ReasonMalformed, audit.ReasonAssuranceTooLow
	at := func(claim string, offset time.Duration) Token { return Token{Claims: M{claim: in.unix(offset)}} }
	as := func(claim, text string) Token { return Token{Claims: M{claim: json.RawMessage(text)}} }
	maxAge := func(e *oidc.Expect) { e.MaxAge = 5 * time.Minute }
	noSkew := func(e *oidc.Expect) { e.Skew = time.Nanosecond }
	life := func(d time.Duration) Token {
		return Token{Claims: M{"iat": in.unix(-time.Minute), "exp": in.unix(d - time.Minute)}}
	}
	s := time.Second
	return []draft{
		{name: "exp-now", token: at("exp", 0)},
		{name: "exp-within-skew", token: at("exp", -59*s)},
		{name: "exp-at-skew", token: at("exp", -60*s), reason: old},
		{name: "exp-past", token: at("exp", -time.Hour), reason: old},
		{name: "exp-past-small-skew", token: at("exp", -1*s), expect: noSkew, reason: old},
		{name: "exp-zero", token: as("exp", "0"), reason: old},
		{name: "exp-missing", token: Token{Claims: M{"exp": nil}}, reason: bad},
		{name: "exp-null", token: as("exp", "null"), reason: bad},
		{name: "exp-string", token: as("exp", `"`+in.seconds(time.Minute)+`"`), reason: bad},
		{name: "exp-true", token: as("exp", "true"), reason: bad},
		{name: "exp-array", token: as("exp", "["+in.seconds(time.Minute)+"]"), reason: bad},
		{name: "exp-float", token: as("exp", in.seconds(time.Minute)+".9")},
		{name: "exp-exponent", token: as("exp", strconv.FormatFloat(float64(in.unix(time.Minute)), 'E', -1, 64))},
		{name: "exp-negative", token: as("exp", "-"+in.seconds(time.Minute)), reason: bad},
		{name: "exp-negative-float", token: as("exp", "-0.5"), reason: bad},
		{name: "exp-overflow", token: as("exp", "9223372036854775808"), reason: bad},
		{name: "exp-max-int", token: as("exp", "9223372036854775807"), reason: bad},
		{name: "exp-huge-exponent", token: as("exp", "1e400"), reason: bad},
		{name: "exp-large-exponent", token: as("exp", "1e30"), reason: bad},
		{name: "exp-milliseconds", token: as("exp", in.seconds(time.Minute)+"000"), reason: bad},
		{name: "exp-lifetime-24h", token: life(24 * time.Hour)},
		{name: "exp-lifetime-longer", token: life(24*time.Hour + s), reason: bad},
		{name: "exp-ten-years", token: at("exp", 10*365*24*time.Hour), reason: bad},
		{name: "iat-missing", token: Token{Claims: M{"iat": nil}}, reason: bad},
		{name: "iat-string", token: as("iat", `"`+in.seconds(-time.Minute)+`"`), reason: bad},
		{name: "iat-at-skew", token: at("iat", 60*s)},
		{name: "iat-future", token: at("iat", 61*s), reason: early},
		{name: "iat-future-small-skew", token: at("iat", 1*s), expect: noSkew, reason: early},
		{name: "iat-ten-minutes", token: at("iat", -10*time.Minute)},
		{name: "iat-old", token: at("iat", -10*time.Minute-s), reason: old},
		{name: "iat-old-allowed", token: at("iat", -time.Hour), expect: func(e *oidc.Expect) { e.MaxTokenAge = time.Hour }},
		{name: "iat-older-than-allowed", token: at("iat", -time.Hour-s), expect: func(e *oidc.Expect) { e.MaxTokenAge = time.Hour }, reason: old},
		{name: "iat-negative", token: as("iat", "-1"), reason: bad},
		{name: "nbf-now", token: at("nbf", 0)},
		{name: "nbf-at-skew", token: at("nbf", 60*s)},
		{name: "nbf-future", token: at("nbf", 61*s), reason: early},
		{name: "nbf-future-within-library-leeway", token: at("nbf", 4*time.Minute), reason: early},
		{name: "nbf-string", token: as("nbf", `"1"`), reason: bad},
		{name: "nbf-null", token: as("nbf", "null"), reason: bad},
		{name: "auth-time-fresh", token: at("auth_time", -5*time.Minute), expect: maxAge,
			want: func(id federation.Identity) bool { return id.AuthTime.Equal(in.Now.Add(-5 * time.Minute)) }},
		{name: "auth-time-at-skew", token: at("auth_time", -6*time.Minute), expect: maxAge},
		{name: "auth-time-old", token: at("auth_time", -6*time.Minute-s), expect: maxAge, reason: weak},
		{name: "auth-time-missing", expect: maxAge, reason: weak},
		{name: "auth-time-null", token: as("auth_time", "null"), expect: maxAge, reason: weak},
		{name: "auth-time-zero", token: as("auth_time", "0"), expect: maxAge, reason: weak},
		{name: "auth-time-zero-not-asked", token: as("auth_time", "0"), want: func(id federation.Identity) bool { return id.AuthTime.IsZero() }},
		{name: "auth-time-old-not-asked", token: at("auth_time", -time.Hour)},
		{name: "auth-time-future", token: at("auth_time", 61*s), reason: early},
		{name: "auth-time-string", token: as("auth_time", `"`+in.seconds(-time.Minute)+`"`), expect: maxAge, reason: bad},
	}
}

// OIDC-9 and OIDC-10: who.
func (in Setting) personCases() []draft {
	bad := audit.ReasonMalformed
	claim := func(name string, value any) Token { return Token{Claims: M{name: value}} }
	mail := func(address string, verified bool) func(federation.Identity) bool {
		return func(id federation.Identity) bool { return id.Email == address && id.EmailVerified == verified }
	}
	const jane = "jane@example.com"
	long := strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 120) + "example.com"
	return []draft{
		{name: "sub-missing", token: claim("sub", nil), reason: bad},
		{name: "sub-empty", token: claim("sub", ""), reason: bad},
		{name: "sub-255", token: claim("sub", strings.Repeat("s", 255))},
		{name: "sub-256", token: claim("sub", strings.Repeat("s", 256)), reason: bad},
		{name: "sub-non-ascii", token: claim("sub", "jané"), reason: bad},
		{name: "sub-control", token: claim("sub", "jane\x00"), reason: bad},
		{name: "sub-newline", token: claim("sub", "jane\n"), reason: bad},
		{name: "sub-number", token: claim("sub", 248289761001), reason: bad},
		{name: "sub-null", token: Token{Body: strings.Replace(in.body("", ""), `"248289761001"`, "null", 1)}, reason: bad},
		{name: "sub-array", token: claim("sub", []string{"x"}), reason: bad},
		{name: "sub-escaped", token: Token{Body: strings.Replace(in.body("", ""), `"248289761001"`, `"\u0061|b\/c"`, 1)},
			want: func(id federation.Identity) bool { return id.ID == "a|b/c" }},
		{name: "email-verified", want: mail(jane, true)},
		{name: "email-unverified", token: claim("email_verified", false), want: mail(jane, false)},
		{name: "email-verified-missing", token: claim("email_verified", nil), want: mail(jane, false)},
		{name: "email-verified-string", token: claim("email_verified", "true"), want: mail(jane, false)},
		{name: "email-verified-number", token: claim("email_verified", 1), want: mail(jane, false)},
		{name: "email-verified-array", token: claim("email_verified", []bool{true}), want: mail(jane, false)},
		{name: "email-missing", token: claim("email", nil), want: mail("", false)},
		{name: "email-empty", token: claim("email", ""), want: mail("", false)},
		{name: "email-number", token: claim("email", 1), want: mail("", false)},
		{name: "email-array", token: claim("email", []string{jane}), want: mail("", false)},
		{name: "email-garbage", token: claim("email", "jane at example"), want: mail("", false)},
		{name: "email-two-at", token: claim("email", "jane@example.com@evil.example"), want: mail("", false)},
		{name: "email-newline", token: claim("email", jane+"\nBcc: x@evil.example"), want: mail("", false)},
		{name: "email-too-long", token: claim("email", long), want: mail("", false)},
		{name: "email-too-long-as-written", token: claim("email", "jane@"+strings.Repeat("ｅ", 60)+"."+strings.Repeat("ｅ", 60)+".com"), want: mail("", false)},
		{name: "email-case-kept", token: claim("email", "Jane@Example.COM"), want: mail("Jane@Example.COM", true)},
		{name: "name-cut", token: claim("name", strings.Repeat("é", 300)),
			want: func(id federation.Identity) bool { return id.Name == strings.Repeat("é", 128) }},
		{name: "name-escaped", token: claim("name", "a\x1b[31m"), want: func(id federation.Identity) bool { return id.Name == `a\x1b[31m` }},
		{name: "name-number", token: claim("name", 1), want: func(id federation.Identity) bool { return id.Name == "" }},
		{name: "acr-too-long-left-out", token: claim("acr", strings.Repeat("a", 257)), want: func(id federation.Identity) bool { return id.ACR == "" }},
		{name: "acr-longest", token: claim("acr", strings.Repeat("a", 256)), want: func(id federation.Identity) bool { return len(id.ACR) == 256 }},
		{name: "acr-number", token: claim("acr", 1), want: func(id federation.Identity) bool { return id.ACR == "" }},
		{name: "amr-bounded", token: claim("amr", append([]string{strings.Repeat("m", 65), ""}, strings.Split(strings.Repeat("otp,", 40), ",")...)),
			want: func(id federation.Identity) bool { return len(id.AMR) == 16 && id.AMR[0] == "otp" }},
		{name: "amr-text", token: claim("amr", "mfa"), want: func(id federation.Identity) bool { return id.AMR == nil }},
		{name: "amr-mixed", token: claim("amr", []any{"mfa", 1}), want: func(id federation.Identity) bool { return id.AMR == nil }},
	}
}
