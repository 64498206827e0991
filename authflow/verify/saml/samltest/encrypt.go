package samltest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"strings"
)

// The algorithms tests encrypt with.
const (
	OAEP   = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	RSA15  = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
	GCM128 = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	GCM256 = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
	CBC128 = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
	CBC256 = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	DES3   = "http://www.w3.org/2001/04/xmlenc#tripledes-cbc"
)

// Encryption says how an assertion is encrypted. What is empty is as it should be.
type Encryption struct {
	Block, Wrap string
	OAEPDigest  string              // of the key encryption; empty: not named, which is SHA-1
	Sibling     bool                // the key stands beside the data, not in it
	Plain       *string             // instead of the assertion
	Content     func([]byte) []byte // changes the ciphertext
	Key         func([]byte) []byte // changes the encrypted key
	Finish      func(encrypted string) string
}

// encrypt returns an EncryptedAssertion.
func (w *World) encrypt(assertion string, e *Encryption) string {
	w.t.Helper()
	block, wrap := or(e.Block, GCM128), or(e.Wrap, OAEP)
	size := 16
	if block == GCM256 || block == CBC256 {
		size = 32
	}
	key := make([]byte, size)
	if _, err := rand.Read(key); err != nil {
		w.t.Fatal(err)
	}
	plain := []byte(assertion)
	if e.Plain != nil {
		plain = []byte(*e.Plain)
	}
	content := w.content(block, key, plain)
	if e.Content != nil {
		content = e.Content(content)
	}
	wrapped := w.wrap(wrap, e.OAEPDigest, key)
	if e.Key != nil {
		wrapped = e.Key(wrapped)
	}
	digest := ""
	if e.OAEPDigest != "" {
		digest = `<ds:DigestMethod xmlns:ds="` + signatures + `" Algorithm="` + e.OAEPDigest + `"/>`
	}
	encryptedKey := `<xenc:EncryptedKey xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"><xenc:EncryptionMethod Algorithm="` + wrap + `">` + digest +
		`</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>` + encode(wrapped) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>`
	inside, beside := `<ds:KeyInfo xmlns:ds="`+signatures+`">`+encryptedKey+`</ds:KeyInfo>`, ""
	if e.Sibling {
		inside, beside = "", encryptedKey
	}
	text := `<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" ` +
		`Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="` + block + `"/>` + inside +
		`<xenc:CipherData><xenc:CipherValue>` + encode(content) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>` + beside +
		`</saml:EncryptedAssertion>`
	if e.Finish != nil {
		text = e.Finish(text)
	}
	return text
}

func (w *World) content(algorithm string, key, plain []byte) []byte {
	b, err := aes.NewCipher(key)
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.HasSuffix(algorithm, "gcm") {
		iv := make([]byte, aes.BlockSize)
		pad := aes.BlockSize - len(plain)%aes.BlockSize
		plain = append(plain, make([]byte, pad)...)
		plain[len(plain)-1] = byte(pad)
		out := make([]byte, len(plain))
		cipher.NewCBCEncrypter(b, iv).CryptBlocks(out, plain)
		return append(iv, out...)
	}
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		w.t.Fatal(err)
	}
	nonce := make([]byte, gcm.NonceSize())
	return append(nonce, gcm.Seal(nil, nonce, plain, nil)...)
}

func (w *World) wrap(algorithm, digest string, key []byte) []byte {
	public, ok := w.sp.Key.Public().(*rsa.PublicKey)
	if !ok {
		w.t.Fatal("our key is not RSA")
	}
	var out []byte
	var err error
	if algorithm == RSA15 {
		out, err = rsa.EncryptPKCS1v15(rand.Reader, public, key) //nolint:staticcheck // it must be refused, whoever may still use it
	} else {
		hash := crypto.SHA1
		if digest != "" {
			hash = hashOf(digest)
		}
		out, err = rsa.EncryptOAEPWithOptions(rand.Reader, public, key, &rsa.OAEPOptions{Hash: hash, MGFHash: crypto.SHA1})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
