package saml

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// minRSA is the shortest RSA key of ours in bits.
const minRSA = 2048

// Key is the service provider's private key with its certificate. It signs requests, and if it is an RSA key it opens encrypted
// assertions. It never shows the private key.
type Key struct {
	signer      crypto.Signer
	certificate *x509.Certificate
}

// ParseKey reads a private key, RSA of 2048 bits or more or ECDSA, and its certificate from one PEM text.
func ParseKey(text []byte) (*Key, error) {
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, errors.New("saml: the PEM text does not hold a private key with its certificate")
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, errors.New("saml: the certificate cannot be read")
	}
	switch k := pair.PrivateKey.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < minRSA {
			return nil, errors.New("saml: the RSA key is shorter than 2048 bits")
		}
		return &Key{signer: k, certificate: cert}, nil
	case *ecdsa.PrivateKey:
		return &Key{signer: k, certificate: cert}, nil
	}
	return nil, errors.New("saml: the private key is neither RSA nor ECDSA")
}

// Certificate returns the certificate, for our own metadata.
func (k *Key) Certificate() *x509.Certificate { return k.certificate }

// opens returns the key for encrypted assertions, nil when it is none.
func (k *Key) opens() *rsa.PrivateKey {
	if k == nil {
		return nil
	}
	key, _ := k.signer.(*rsa.PrivateKey)
	return key
}

// Format implements fmt.Formatter without the key, whatever the verb.
func (*Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "saml.Key") }

// LogValue implements slog.LogValuer without the key.
func (*Key) LogValue() slog.Value { return slog.StringValue("saml.Key") }
