package federation

import (
	"fmt"
	"log/slog"
	"time"
)

// Identity is who an identity provider says somebody is, after everything about its evidence was checked. Its key is
// (Issuer, ID), never the e-mail.
type Identity struct {
	Issuer        string // OIDC iss, or the entity id of a SAML identity provider
	ID            string // OIDC sub, or the NameID
	Format        string // of a NameID
	Tenant        string // tenant or hosted domain the provider names, such as Entra's tid or Google's hd
	Email         string // as the provider gave it
	EmailVerified bool   // the provider itself says, in so many words, that it has verified it
	Name          string // to show
	ACR           string // OIDC acr, SAML AuthnContextClassRef
	AMR           []string
	AuthTime      time.Time // when the person last gave a credential there; zero: not said
	Issued        time.Time
	Until         time.Time // from when on the evidence is too old to be shown again: how long its Uses are kept
	SessionEnds   time.Time // SAML SessionNotOnOrAfter; zero: not said
	Uses          []Use     // what it uses up; never empty for a token or an assertion
	Checks        []string  // what was checked, in order, in short stable words such as "signature"
	Unsolicited   bool      // nobody here asked for it
}

// Use names something that counts once, as a hash: nothing of a token or an assertion can be told from it.
type Use [32]byte

// Refusal is why evidence was not taken: one reason of the catalogue, and the detail for the record alone. It is an error.
type Refusal struct {
	Reason string // audit.Reason… of federation
	// Detail is for the event, which keeps it sealed, and for offline checks: at most MaxDetail bytes of printable text. It
	// never holds a token, code, assertion, nonce or secret.
	Detail string
}

// MaxDetail is the longest detail in bytes.
const MaxDetail = 512

// Refuse makes a Refusal; what the format makes is escaped and cut to fit.
func Refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: Text(fmt.Sprintf(format, args...), MaxDetail)}
}

// Error implements error.
func (r *Refusal) Error() string { return "federation: " + r.Reason + ": " + r.Detail }

// LogValue logs the reason alone: details are personal.
func (r *Refusal) LogValue() slog.Value { return slog.StringValue(r.Reason) }
