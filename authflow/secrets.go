package authflow

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/policy"
)

// Verifier looks at codes of second factors. An adapter has the keys and the algorithm: no secret ever comes in here.
type Verifier interface {
	// Shaped reports whether something typed could be a code of some authenticator at all.
	Shaped(code string) bool
	// Totp returns the check of a code against the secret of a credential; a zero credential is checked against a dummy, with
	// the same work. An error means the secret could not be opened, and nothing was checked.
	Totp(organizationUID string, c factor.Credential, code string, now time.Time) (factor.CheckFunc, error)
	// Recovery returns the keyed hash of a subject's recovery codes.
	Recovery(organizationUID string, subject policy.AccountKey) factor.Hasher
}

// Secrets makes, takes in and hands out the secrets of second factors, sealed with the key of their organization.
type Secrets interface {
	// New makes a secret for a credential (its UID and Algorithm) and returns it sealed.
	New(organizationUID string, c factor.Credential) ([]byte, error)
	// Take seals an existing secret, given in base32, for a credential. SECRET_INVALID and SECRET_TOO_WEAK refuse it.
	Take(organizationUID string, c factor.Credential, base32 string) ([]byte, error)
	// HandOut opens a credential's secret for its holder. Issuer and label are what the app shows.
	HandOut(organizationUID string, c factor.Credential, issuer, label string) (HandOut, error)
	// RecoveryCodes makes recovery codes of a subject and returns them with their hashes.
	RecoveryCodes(organizationUID string, subject policy.AccountKey) ([]string, []factor.Hash, error)
	// SealCodes seals recovery codes under a name, so that a repeated call gets the same ones; OpenCodes is the reverse.
	SealCodes(organizationUID, name string, codes []string) ([]byte, error)
	OpenCodes(organizationUID, name string, sealed []byte) ([]string, error)
}

// HandOut is a secret as its holder gets it, once. However it is printed or logged, nothing of it shows.
type HandOut struct {
	URI    string // otpauth://
	Secret string // base32
	QR     []byte // the URI as a PNG
}

const hidden = "[secret]"

// String returns a mark.
func (HandOut) String() string { return hidden }

// GoString returns a mark.
func (HandOut) GoString() string { return hidden }

// Format writes a mark, whatever the verb.
func (HandOut) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns a mark.
func (HandOut) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns a mark.
func (HandOut) MarshalText() ([]byte, error) { return []byte(hidden), nil }
