package samltest

import (
	"strings"

	"github.com/postern-audit/postern/audit"
)

const notEncrypted = audit.ReasonEncryptionNotAllowed

// sealed adds a case with an encrypted assertion, and our key to open it.
func (s *suite) sealed(name, want string, e Encryption, more ...func(*Case)) {
	s.w.t.Helper()
	s.draft("enc-"+name, want, func(d *Draft) { d.Encrypt = &e }, append([]func(*Case){s.decrypting}, more...)...)
}

// sealedIn is sealed in a signed response.
func (s *suite) sealedIn(name, want string, e Encryption, more ...func(*Case)) {
	s.w.t.Helper()
	s.draft("enc-"+name, want, func(d *Draft) {
		d.Encrypt = &e
		signResponse(d)
	}, append([]func(*Case){s.decrypting}, more...)...)
}

func (s *suite) encrypted() {
	without := func(c *Case) { c.Expect.Decrypt = nil }
	s.sealed("not-allowed", notEncrypted, Encryption{}, without)
	s.sealedIn("not-allowed-in-signed-response", notEncrypted, Encryption{}, without)
	s.sealed("ok-gcm128", "", Encryption{})
	s.sealed("ok-key-beside", "", Encryption{Sibling: true})
	s.sealed("ok-gcm256", "", Encryption{Block: GCM256}, beyond("it has no AES-256 in Galois counter mode"))
	s.sealed("ok-oaep-sha1-named", "", Encryption{OAEPDigest: SHA1})
	s.sealed("ok-oaep-sha256", "", Encryption{OAEPDigest: SHA256}, beyond("it knows SHA-256 of the key encryption by a wrong name"))
	s.sealedIn("ok-gcm128-in-signed-response", "", Encryption{})
	s.sealedIn("ok-cbc128-in-signed-response", "", Encryption{Block: CBC128})
	s.sealedIn("ok-cbc256-in-signed-response", "", Encryption{Block: CBC256})
	s.draft("enc-ok-response-signed-only-when-allowed", "", func(d *Draft) {
		d.Encrypt = &Encryption{}
		signOnlyResponse(d)
	}, s.decrypting, responseOnly)
	s.draft("enc-response-signed-only-when-not-allowed", badSignature, func(d *Draft) {
		d.Encrypt = &Encryption{}
		signOnlyResponse(d)
	}, s.decrypting)
	s.draft("enc-unsigned", badSignature, func(d *Draft) { d.Encrypt, d.Sign = &Encryption{}, nil }, s.decrypting, responseOnly)
	s.draft("enc-attacker-key", badSignature, func(d *Draft) {
		d.Encrypt = &Encryption{}
		d.Sign.By = s.w.Attacker
	}, s.decrypting)
	s.draft("enc-forged", badSignature, func(d *Draft) {
		d.Encrypt = &Encryption{}
		d.Wrap = forged
	}, s.decrypting)
	s.draft("enc-forged-in-signed-response", badSignature, func(d *Draft) {
		d.Encrypt = &Encryption{}
		d.Wrap = forged
		signResponse(d)
	}, s.decrypting, responseOnly)
	s.draft("enc-response-badsig", badSignature, func(d *Draft) {
		d.Encrypt = &Encryption{}
		d.SignResponse = &Signing{By: s.w.Attacker}
	}, s.decrypting)
	s.draft("enc-audience-wrong", badAudience, func(d *Draft) {
		d.Change(">"+SP+"<", ">https://other.example.org<")
		d.Encrypt = &Encryption{}
	}, s.decrypting)
	s.draft("enc-destination-other", badRecipient, func(d *Draft) {
		d.Change(`Destination="`+ACS, `Destination="https://other.example.org/acs`)
		d.Encrypt = &Encryption{}
	}, s.decrypting)
	s.draft("enc-no-subject", malformed, func(d *Draft) { d.Subject, d.Encrypt = "", &Encryption{} }, s.decrypting)
	s.draft("enc-no-conditions", malformed, func(d *Draft) { d.Conditions, d.Encrypt = "", &Encryption{} }, s.decrypting)
	s.draft("enc-encryptedid", notEncrypted, func(d *Draft) {
		d.Change("<saml:NameID", "<saml:EncryptedID/><saml:NameID")
		d.Encrypt = &Encryption{}
	}, s.decrypting)
	s.sealed("rsa-1-5", badAlgorithm, Encryption{Wrap: RSA15})
	s.sealedIn("rsa-1-5-in-signed-response", badAlgorithm, Encryption{Wrap: RSA15})
	s.sealed("3des", badAlgorithm, Encryption{Block: DES3})
	s.sealedIn("3des-in-signed-response", badAlgorithm, Encryption{Block: DES3})
	s.sealed("cbc-in-unsigned-response", notEncrypted, Encryption{Block: CBC128})
	s.sealed("oaep-digest-unknown", badAlgorithm, Encryption{OAEPDigest: "http://www.w3.org/2001/04/xmldsig-more#md5"})
	s.sealed("block-unknown", badAlgorithm, Encryption{Block: "urn:x"})
}

// brokenEncryption are the messages that bring bare decryption down, and those that would use it as an oracle.
func (s *suite) brokenEncryption() {
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:min(n, len(b))] } }
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	drop := func(old, changed string) func(string) string {
		return func(t string) string {
			if !strings.Contains(t, old) {
				s.w.t.Fatalf("the encrypted assertion has no %q", old)
			}
			return strings.ReplaceAll(t, old, changed)
		}
	}
	s.sealedIn("cbc-partial-block", malformed, Encryption{Block: CBC128, Content: cut(40)})
	s.sealedIn("cbc-iv-only", malformed, Encryption{Block: CBC128, Content: cut(16)})
	s.sealedIn("cbc-shorter-than-iv", malformed, Encryption{Block: CBC128, Content: cut(5)})
	s.sealedIn("cbc-bad-padding", malformed, Encryption{Block: CBC128, Content: func(b []byte) []byte { return append(b[:16:16], make([]byte, 16)...) }})
	s.sealedIn("cbc-empty-plaintext", malformed, Encryption{Block: CBC128, Plain: text("")})
	s.sealed("gcm-short", malformed, Encryption{Content: cut(11)})
	s.sealed("gcm-nonce-only", malformed, Encryption{Content: cut(12)})
	s.sealed("gcm-tag-only", malformed, Encryption{Content: cut(28)})
	s.sealed("gcm-changed", malformed, Encryption{Content: flip})
	s.sealed("gcm-cut-off", malformed, Encryption{Content: cut(60)})
	s.sealed("empty-plaintext", malformed, Encryption{Plain: text("")})
	s.sealed("white-space-plaintext", malformed, Encryption{Plain: text(" \n")})
	s.sealed("ciphertext-empty", malformed, Encryption{Content: cut(0)})
	s.sealed("key-empty", malformed, Encryption{Key: cut(0)})
	s.sealed("key-short", malformed, Encryption{Key: cut(100)})
	s.sealed("key-changed", malformed, Encryption{Key: flip})
	s.sealed("key-missing", malformed, Encryption{Finish: drop("xenc:EncryptedKey", "xenc:OtherKey")})
	s.sealed("key-twice", malformed, Encryption{Finish: func(t string) string {
		_, rest, _ := strings.Cut(t, "<xenc:EncryptedKey")
		key, _, _ := strings.Cut(rest, "</xenc:EncryptedKey>")
		return into(t, "</saml:EncryptedAssertion>", "<xenc:EncryptedKey"+key+"</xenc:EncryptedKey>")
	}})
	s.sealed("data-missing", malformed, Encryption{Finish: func(string) string { return "<saml:EncryptedAssertion/>" }})
	s.sealed("data-of-other-namespace", malformed, Encryption{Finish: drop("xmlenc#\"", "xmlenc-other#\"")})
	s.sealed("method-missing", badAlgorithm, Encryption{Finish: drop("xenc:EncryptionMethod", "xenc:Other")})
	s.sealed("cipher-missing", malformed, Encryption{Finish: drop("xenc:CipherData", "xenc:Other")})
	s.sealed("cipher-reference", malformed, Encryption{Finish: drop("xenc:CipherValue", "xenc:CipherReference")})
	s.sealed("cipher-no-base64", malformed, Encryption{Finish: drop("<xenc:CipherValue>", "<xenc:CipherValue>*")})
	s.sealed("wrong-key-size", malformed, Encryption{Finish: drop(GCM128, GCM256)})
	s.sealed("oversized", malformed, Encryption{Plain: text(strings.Repeat("<a/>", 80<<10))})
	s.sealed("plaintext-is-no-xml", malformed, Encryption{Plain: text("hello hello hello")})
	s.sealed("plaintext-is-no-assertion", malformed, Encryption{Plain: text("<a>hello</a>")})
	s.sealed("plaintext-is-a-response", malformed, Encryption{Plain: text(s.w.Draft().Response())})
	s.sealed("plaintext-is-two-assertions", malformed, Encryption{Plain: text(s.w.Draft().Assertion() + s.w.Draft().Assertion())})
	s.sealed("plaintext-with-doctype", malformed, Encryption{Plain: text("<!DOCTYPE x>" + s.w.Draft().Assertion())})
	s.sealed("plaintext-with-comment", malformed, Encryption{Plain: text(strings.Replace(s.w.Draft().Assertion(), "@example", "<!-- -->@example", 1))})
	s.sealed("plaintext-too-deep", malformed, Encryption{Plain: text(strings.Repeat("<a>", 50) + strings.Repeat("</a>", 50))})
	s.sealed("plaintext-with-id-of-response", malformed, Encryption{Plain: text(strings.ReplaceAll(s.w.Draft().Assertion(), "_assertion-1", "_response-1"))})
	s.sealed("plaintext-wraps", malformed, Encryption{Plain: text(into(forged(unsigned(renamed(s.w.Draft().Assertion()))), "</saml:Assertion>", s.w.Draft().Assertion()))})
}
