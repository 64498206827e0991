package policy

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"

	"github.com/postern-audit/postern/internal/errs"
)

// Limits of keys and certificates.
const (
	MaxCertificate  = 8 << 10  // bytes of DER
	MaxPrivateKey   = 16 << 10 // bytes of PEM
	MinClientSecret = 8
	MaxClientSecret = 1024
	minRSA          = 2048
)

const (
	reasonCertificate = "CERTIFICATE_INVALID"
	reasonPrivateKey  = "PRIVATE_KEY_INVALID"
	pemCertificate    = "CERTIFICATE"
)

// ParseCertificate reads one certificate from PEM and returns its DER, checked as CheckCertificate does. The error says
// nothing of the text: it may be a private key by mistake.
func ParseCertificate(text []byte) ([]byte, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errs.New(errs.Invalid, reasonCertificate, "no certificate in PEM form")
	case block.Type != pemCertificate:
		return nil, errs.New(errs.Invalid, reasonCertificate, "PEM of something that is no certificate")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errs.New(errs.Invalid, reasonCertificate, "more than one certificate, or text behind it")
	}
	return block.Bytes, CheckCertificate(block.Bytes)
}

// CheckCertificate refuses what is no certificate, and keys nobody should trust. It does not look at the time: a certificate of
// an identity provider holds a key, and whether it is still to be used is for the provider to say.
func CheckCertificate(der []byte) error {
	if len(der) > MaxCertificate {
		return errs.New(errs.Invalid, reasonCertificate, "a certificate of more than 8 KiB")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return errs.Wrap(err, errs.Invalid, reasonCertificate, "not an X.509 certificate")
	}
	if what := weak(c.PublicKey, false); what != "" {
		return errs.New(errs.Invalid, reasonCertificate, "a certificate with "+what)
	}
	return nil
}

// Fingerprint names a certificate: SHA-256 of its DER, in lower-case hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// CheckSecret refuses what cannot be a secret of this kind. Errors say nothing of the secret itself.
func (k SecretKind) CheckSecret(secret []byte) error {
	switch k {
	case SecretClient:
		return checkClientSecret(secret)
	case SecretPrivateKey, SecretSAMLKey:
		return checkPrivateKey(secret, k == SecretSAMLKey)
	case SecretNone:
	}
	return errs.New(errs.FailedPrecondition, "CONNECTION_TAKES_NO_SECRET", "this connection has no use for a secret")
}

func checkClientSecret(secret []byte) error {
	if len(secret) < MinClientSecret || len(secret) > MaxClientSecret {
		return errs.New(errs.Invalid, "CLIENT_SECRET_INVALID", "a client secret has 8 to 1024 bytes")
	}
	for _, b := range secret {
		if b < 0x20 || b == 0x7f {
			return errs.New(errs.Invalid, "CLIENT_SECRET_INVALID", "a client secret is one line without control characters")
		}
	}
	return nil
}

// checkPrivateKey reads PEM with exactly one private key and, where it is for SAML, exactly one certificate of it.
func checkPrivateKey(text []byte, saml bool) error {
	if len(text) > MaxPrivateKey {
		return badKey("more than 16 KiB")
	}
	var key crypto.Signer
	var certificate *x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return badKey("text that is no PEM")
			}
			break
		}
		switch {
		case block.Type == pemCertificate && saml && certificate == nil:
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return badKey("a certificate that cannot be read")
			}
			certificate = c
		case block.Type == pemCertificate:
			return badKey("a certificate that has no use here")
		case block.Type == "EC PARAMETERS": // some tools write the curve in front of the key, which names it as well
		case key != nil:
			return badKey("more than one private key")
		default:
			if key = privateKey(block.Bytes); key == nil {
				return badKey("no private key of PKCS #8, PKCS #1 or SEC 1 without passphrase")
			}
		}
	}
	switch {
	case key == nil:
		return badKey("no private key in PEM form")
	case weak(key.Public(), !saml) != "":
		return badKey(weak(key.Public(), !saml))
	case saml && certificate == nil:
		return badKey("no certificate beside the private key")
	case saml && !equalKeys(certificate.PublicKey, key.Public()):
		return badKey("a certificate of another key")
	}
	return nil
}

func badKey(what string) error {
	return errs.New(errs.Invalid, reasonPrivateKey, "the private key cannot be used: "+what)
}

func privateKey(der []byte) crypto.Signer {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		s, _ := k.(crypto.Signer)
		return s
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// weak says why a public key is not to be used, "" when it is.
func weak(key any, ed bool) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return "an RSA key of less than 2048 bits"
		}
		return ""
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return ""
		}
		return "an ECDSA key on another curve than P-256, P-384 and P-521"
	case ed25519.PublicKey:
		if ed {
			return ""
		}
	}
	return "a key of a kind that is not used here"
}

func equalKeys(a, b any) bool {
	k, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
