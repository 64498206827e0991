package idptest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"fmt"
)

const contentKey = 16 // bytes: AES-128

// encrypted puts an assertion into an EncryptedAssertion: AES-128-GCM under a key that is encrypted by RSA-OAEP to the certificate.
func encrypted(assertion string, to *x509.Certificate) (string, error) {
	public, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return "", fmt.Errorf("the certificate has a key of type %T", to.PublicKey)
	}
	key, nonce := make([]byte, contentKey), make([]byte, 12)
	for _, b := range [][]byte{key, nonce} {
		if _, err := rand.Read(b); err != nil {
			return "", err
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil) // SHA-1 is what rsa-oaep-mgf1p means
	if err != nil {
		return "", err
	}
	value := base64.StdEncoding.EncodeToString
	return `<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">` +
		`<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element">` +
		`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"></xenc:EncryptionMethod>` +
		`<ds:KeyInfo xmlns:ds="` + xmldsig + `"><xenc:EncryptedKey>` +
		`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p">` +
		`<ds:DigestMethod Algorithm="` + xmldsig + `sha1"></ds:DigestMethod></xenc:EncryptionMethod>` +
		`<xenc:CipherData><xenc:CipherValue>` + value(wrapped) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>` +
		`<xenc:CipherData><xenc:CipherValue>` + value(gcm.Seal(nonce, nonce, []byte(assertion), nil)) +
		`</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`, nil
}
