// Package vault keeps the secrets of second factors and looks at codes with them, and keeps the secrets of connections.
//
// Purpose: implement authflow.Verifier and authflow.Secrets over the organizations' keys and authflow/verify/totp, and seal what
// connections prove themselves with. Invariant: a secret leaves this package sealed for one credential or connection of one
// organization, or once, to its holder, as authflow.HandOut, or to whoever speaks with a provider; a recovery
// code leaves it as keyed hash of one subject, or once to its holder. It must never log, and no error of it holds any
// part of a secret. First file to read: this one.
package vault

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/verify/totp"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// What is sealed or hashed for. Stored: never change one.
const (
	recordTotp      = "totp\x00"
	recordCodes     = "recovery codes\x00"
	purposeRecovery = "recovery code"
)

// Cipher seals with the key of an organization. seal.Keyring is one.
type Cipher interface {
	EncryptSecret(organizationUID, recordID string, plain []byte) ([]byte, error)
	DecryptSecret(organizationUID, recordID string, sealed []byte) ([]byte, error)
}

// Names makes keyed hashes. seal.Namer is one.
type Names interface {
	Name(purpose string, parts ...[]byte) [32]byte
}

// Vault implements authflow.Verifier and authflow.Secrets. Safe for concurrent use.
type Vault struct {
	cipher Cipher
	names  Names
	window int // steps before and after the present one that are accepted
}

var (
	_ authflow.Verifier = (*Vault)(nil)
	_ authflow.Secrets  = (*Vault)(nil)
	_ Cipher            = (*seal.Keyring)(nil)
	_ Names             = (*seal.Namer)(nil)
)

// New returns a vault. Codes of the time step before and the one after are accepted too.
func New(c Cipher, n Names) *Vault { return &Vault{cipher: c, names: n, window: totp.MaxWindow} }

// Shaped implements authflow.Verifier.
func (*Vault) Shaped(code string) bool { return totp.Shaped(code) }

// Totp implements authflow.Verifier. The work is the same whatever the credential and the length of the code.
func (v *Vault) Totp(organizationUID string, c factor.Credential, code string, now time.Time) (factor.CheckFunc, error) {
	if c.IsZero() || len(code) != c.Digits {
		p := totp.Default()
		p.Digits = len(code)
		return refusing(totp.For(nil, p, code, now), !c.IsZero()), nil
	}
	plain, err := v.cipher.DecryptSecret(organizationUID, recordTotp+c.UID, c.Sealed)
	if err != nil {
		return nil, err
	}
	return totp.For(plain, v.params(c), code, now), nil
}

// refusing does the work of a check on no secret, and says why it was none: nobody is enrolled, or the code has another length
// than those of the credential.
func refusing(check factor.CheckFunc, enrolled bool) factor.CheckFunc {
	return func(lastStep int64) (int64, string) {
		step, reason := check(lastStep)
		if enrolled {
			return 0, audit.ReasonMalformed
		}
		return step, reason
	}
}

func (v *Vault) params(c factor.Credential) totp.Params {
	return totp.Params{Algorithm: c.Algorithm, Digits: c.Digits, Period: c.Period, Back: v.window, Ahead: v.window}
}

// Recovery implements authflow.Verifier.
func (v *Vault) Recovery(organizationUID string, subject policy.AccountKey) factor.Hasher {
	return func(canonical string) factor.Hash {
		return factor.Hash(seal.First16(v.names.Name(purposeRecovery, []byte(organizationUID), subject[:], []byte(canonical))))
	}
}

// New implements authflow.Secrets.
func (v *Vault) New(organizationUID string, c factor.Credential) ([]byte, error) {
	s, err := totp.NewSecret(rand.Reader, c.Algorithm)
	if err != nil {
		return nil, err
	}
	return v.seal(organizationUID, c, s)
}

// Take implements authflow.Secrets.
func (v *Vault) Take(organizationUID string, c factor.Credential, base32 string) ([]byte, error) {
	s, err := totp.ParseBase32(base32)
	if err != nil {
		return nil, err
	}
	if err := totp.CheckStrength(s); err != nil {
		return nil, err
	}
	return v.seal(organizationUID, c, s)
}

func (v *Vault) seal(organizationUID string, c factor.Credential, s secret.Bytes) ([]byte, error) {
	if c.UID == "" {
		return nil, errs.New(errs.Internal, "SEAL_FAILED", "a secret is sealed for a credential")
	}
	return v.cipher.EncryptSecret(organizationUID, recordTotp+c.UID, s.Reveal())
}

// HandOut implements authflow.Secrets.
func (v *Vault) HandOut(organizationUID string, c factor.Credential, issuer, label string) (authflow.HandOut, error) {
	plain, err := v.cipher.DecryptSecret(organizationUID, recordTotp+c.UID, c.Sealed)
	if err != nil {
		return authflow.HandOut{}, err
	}
	s := secret.NewBytes(plain)
	uri, err := totp.URI(issuer, label, s, v.params(c))
	if err != nil {
		return authflow.HandOut{}, err
	}
	qr, err := totp.QR(uri)
	if err != nil {
		return authflow.HandOut{}, err
	}
	return authflow.HandOut{URI: uri, Secret: totp.Base32(s).Reveal(), QR: qr}, nil
}

// RecoveryCodes implements authflow.Secrets.
func (v *Vault) RecoveryCodes(organizationUID string, subject policy.AccountKey) ([]string, []factor.Hash, error) {
	return factor.NewRecoveryCodes(rand.Reader, v.Recovery(organizationUID, subject))
}

// SealCodes implements authflow.Secrets.
func (v *Vault) SealCodes(organizationUID, name string, codes []string) ([]byte, error) {
	return v.cipher.EncryptSecret(organizationUID, recordCodes+name, []byte(strings.Join(codes, "\n")))
}

// OpenCodes implements authflow.Secrets.
func (v *Vault) OpenCodes(organizationUID, name string, sealed []byte) ([]string, error) {
	plain, err := v.cipher.DecryptSecret(organizationUID, recordCodes+name, sealed)
	if err != nil {
		return nil, err
	}
	return strings.Split(string(plain), "\n"), nil
}
