package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// maxSubject is the longest sub OpenID Connect allows.
const maxSubject = 255

// judge holds what one token is checked with, and notes what was.
type judge struct {
	Expect
	now    time.Time
	token  *compact
	claims *claims
	done   []string
}

// verdict checks the claims, one question after the other, and ends with the first that is answered with no: what kind of
// token, from whom, for whom, when, for which request, about whom, how sure. The order is part of what reasons mean: a token of
// another issuer is ISSUER_MISMATCH even if it is expired too.
func (j *judge) verdict() *federation.Refusal {
	for _, check := range []func() *federation.Refusal{
		j.kind, j.issuer, j.tenant, j.audience, j.authorizedParty, j.expiry, j.issuedAt, j.notBefore,
		j.nonce, j.accessToken, j.code, j.subject, j.authentication,
	} {
		if refusal := check(); refusal != nil {
			return refusal
		}
	}
	return nil
}

// checked notes that name was really checked.
func (j *judge) checked(name string) { j.done = append(j.done, name) }

// kind keeps other signed tokens of the same issuer from being shown as ID tokens.
func (j *judge) kind() *federation.Refusal {
	if j.token.typ != "" && !strings.EqualFold(j.token.typ, "JWT") {
		return malformed("a token of type %q is no ID token", j.token.typ)
	}
	if j.claims.events {
		return malformed("a token with events is a logout token or a security event, no ID token")
	}
	j.checked("token_type")
	return nil
}

func (j *judge) issuer() *federation.Refusal {
	if iss := value(j.claims.iss); iss != j.Issuer {
		return federation.Refuse(audit.ReasonIssuerMismatch, "iss is %q, not %q", iss, j.Issuer)
	}
	j.checked("issuer")
	return nil
}

func (j *judge) tenant() *federation.Refusal {
	if j.Tenant == "" {
		return nil
	}
	if got := j.claims.tenant(); got != j.Tenant {
		return federation.Refuse(audit.ReasonIssuerMismatch, "the tenant is %q, not %q", got, j.Tenant)
	}
	j.checked("tenant")
	return nil
}

// tenant is what the provider calls the organization there: Entra's tid, Google's hd.
func (c *claims) tenant() string {
	if c.tid != "" {
		return c.tid
	}
	return c.hd
}

func (j *judge) audience() *federation.Refusal {
	if !slices.Contains(j.claims.aud, j.ClientID) {
		return federation.Refuse(audit.ReasonAudienceMismatch, "aud is %q, without %q", j.claims.aud, j.ClientID)
	}
	for _, aud := range j.claims.aud {
		if aud != j.ClientID && !slices.Contains(j.Audiences, aud) {
			return federation.Refuse(audit.ReasonAudienceMismatch, "aud also names %q, which is not allowed", aud)
		}
	}
	j.checked("audience")
	return nil
}

func (j *judge) authorizedParty() *federation.Refusal {
	if j.claims.azp == nil {
		return nil
	}
	if azp := *j.claims.azp; azp != j.ClientID && !slices.Contains(j.AuthorizedParties, azp) {
		return federation.Refuse(audit.ReasonAudienceMismatch, "azp is %q, not %q", azp, j.ClientID)
	}
	j.checked("authorized_party")
	return nil
}

// expiry: at exp and the skew a token is too old, a moment before it is not.
func (j *judge) expiry() *federation.Refusal {
	exp, iat := j.claims.exp, j.claims.iat
	if exp == nil || iat == nil {
		return malformed("no exp or no iat")
	}
	if !j.now.Before(exp.Add(j.Skew)) {
		return federation.Refuse(audit.ReasonExpired, "exp is %s, %s ago", stamp(*exp), j.now.Sub(*exp))
	}
	if life := exp.Sub(*iat); life > MaxLifetime {
		return malformed("it would live for %s, more than %s", life, MaxLifetime)
	}
	j.checked("expiry")
	return nil
}

func (j *judge) issuedAt() *federation.Refusal {
	iat := *j.claims.iat
	switch {
	case iat.After(j.now.Add(j.Skew)):
		return federation.Refuse(audit.ReasonNotYetValid, "iat is %s, in %s", stamp(iat), iat.Sub(j.now))
	case j.now.Sub(iat) > j.MaxTokenAge:
		return federation.Refuse(audit.ReasonExpired, "iat is %s, %s ago, more than %s", stamp(iat), j.now.Sub(iat), j.MaxTokenAge)
	}
	j.checked("issued_at")
	return nil
}

func (j *judge) notBefore() *federation.Refusal {
	nbf := j.claims.nbf
	if nbf == nil {
		return nil
	}
	if nbf.After(j.now.Add(j.Skew)) {
		return federation.Refuse(audit.ReasonNotYetValid, "nbf is %s, in %s", stamp(*nbf), nbf.Sub(j.now))
	}
	j.checked("not_before")
	return nil
}

func (j *judge) nonce() *federation.Refusal {
	if j.Nonce == nil {
		return nil
	}
	if j.claims.nonce == nil {
		return federation.Refuse(audit.ReasonNonceMismatch, "no nonce")
	}
	got := sha256.Sum256([]byte(*j.claims.nonce))
	if subtle.ConstantTimeCompare(got[:], j.Nonce[:]) != 1 {
		return federation.Refuse(audit.ReasonNonceMismatch, "the nonce is not the one that was sent")
	}
	j.checked("nonce")
	return nil
}

// accessToken: an access token that is not the one the provider signed for is as good as a forged one.
func (j *judge) accessToken() *federation.Refusal {
	switch {
	case j.AccessToken == "":
		return nil
	case j.claims.atHash == nil:
		return malformed("no at_hash, although there is an access token")
	case !j.covers(*j.claims.atHash, j.AccessToken):
		return federation.Refuse(audit.ReasonSignatureInvalid, "at_hash is not of this access token")
	}
	j.checked("access_token_hash")
	return nil
}

func (j *judge) code() *federation.Refusal {
	if j.Code == "" || j.claims.cHash == nil {
		return nil
	}
	if !j.covers(*j.claims.cHash, j.Code) {
		return federation.Refuse(audit.ReasonSignatureInvalid, "c_hash is not of this code")
	}
	j.checked("code_hash")
	return nil
}

// covers says whether hash is the left half of the hash of s, by the hash function of the token's algorithm.
func (j *judge) covers(hash, s string) bool {
	h := algorithms[j.token.alg].hash.New()
	h.Write([]byte(s))
	want := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:h.Size()/2])
	return subtle.ConstantTimeCompare([]byte(hash), []byte(want)) == 1
}

func (j *judge) subject() *federation.Refusal {
	sub := value(j.claims.sub)
	if sub == "" || len(sub) > maxSubject {
		return malformed("sub has %d bytes, not 1 to %d", len(sub), maxSubject)
	}
	if strings.IndexFunc(sub, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return malformed("sub is not of printable ASCII characters")
	}
	j.checked("subject")
	return nil
}

// authentication: 0 is what some providers say when they do not know.
func (j *judge) authentication() *federation.Refusal {
	at := j.claims.authTime
	if at == nil || at.Unix() == 0 {
		if j.MaxAge > 0 {
			return federation.Refuse(audit.ReasonAssuranceTooLow, "no auth_time")
		}
		return nil
	}
	if at.After(j.now.Add(j.Skew)) {
		return federation.Refuse(audit.ReasonNotYetValid, "auth_time is %s, in %s", stamp(*at), at.Sub(j.now))
	}
	if j.MaxAge == 0 {
		return nil
	}
	if age := j.now.Sub(*at); age > j.MaxAge+j.Skew {
		return federation.Refuse(audit.ReasonAssuranceTooLow, "auth_time is %s, %s ago, more than %s", stamp(*at), age, j.MaxAge)
	}
	j.checked("authentication_time")
	return nil
}

// value is the text of a claim; "" when it is not there.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
