package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // OAEP of the year 2002 makes its mask with it, which needs no collision resistance
	_ "crypto/sha256"

	"github.com/beevik/etree"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

const (
	algorithmOAEP   = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	algorithmGCM128 = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	algorithmGCM256 = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
	algorithmCBC128 = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
	algorithmCBC256 = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	digestSHA1      = "http://www.w3.org/2000/09/xmldsig#sha1"
	digestSHA256    = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// block is how content is encrypted.
type block struct {
	key, shortest int // bytes of the key, and of the shortest ciphertext that can hold anything
	chained       bool
}

func blockOf(algorithm string) (block, bool) {
	switch algorithm {
	case algorithmGCM128:
		return block{key: 16, shortest: 29}, true
	case algorithmGCM256:
		return block{key: 32, shortest: 29}, true
	case algorithmCBC128:
		return block{key: 16, shortest: 32, chained: true}, true
	case algorithmCBC256:
		return block{key: 32, shortest: 32, chained: true}, true
	}
	return block{}, false
}

// sealed is an encrypted assertion taken apart.
type sealed struct {
	block
	hash         crypto.Hash
	key, content []byte
}

// unsealable is the one answer to everything that can go wrong once the private key was used: whoever sent it learns nothing
// from it about key or content.
func unsealable() *federation.Refusal {
	return malformed("the encrypted assertion could not be opened")
}

// open decrypts an encrypted assertion. Content in cipher block chaining, which anybody can change unseen, is looked at only in
// a response whose signature was verified.
func open(n *node, key *rsa.PrivateKey, verified bool) ([]byte, *federation.Refusal) {
	s, r := takeApart(n)
	if r != nil {
		return nil, r
	}
	if s.chained && !verified {
		return nil, federation.Refuse(audit.ReasonEncryptionNotAllowed, "AES-CBC is taken only inside a signed response")
	}
	if len(s.key) != key.Size() {
		return nil, unsealable()
	}
	content, err := key.Decrypt(nil, s.key, &rsa.OAEPOptions{Hash: s.hash, MGFHash: crypto.SHA1})
	if err != nil || len(content) != s.block.key {
		return nil, unsealable()
	}
	aesBlock, err := aes.NewCipher(content)
	if err != nil {
		return nil, unsealable()
	}
	if s.chained {
		return openCBC(aesBlock, s.content)
	}
	gcm, err := cipher.NewGCM(aesBlock)
	if err != nil {
		return nil, unsealable()
	}
	plain, err := gcm.Open(nil, s.content[:gcm.NonceSize()], s.content[gcm.NonceSize():], nil)
	if err != nil {
		return nil, unsealable()
	}
	return plain, nil
}

func openCBC(b cipher.Block, content []byte) ([]byte, *federation.Refusal) {
	plain := make([]byte, len(content)-aes.BlockSize)
	cipher.NewCBCDecrypter(b, content[:aes.BlockSize]).CryptBlocks(plain, content[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize || padding >= len(plain) {
		return nil, unsealable()
	}
	return plain[:len(plain)-padding], nil
}

// takeApart checks algorithms and lengths before any key is used.
func takeApart(n *node) (sealed, *federation.Refusal) {
	data := n.one(nsEncrypted, "EncryptedData")
	if data == nil {
		return sealed{}, malformed("the encrypted assertion has not one EncryptedData")
	}
	keys := n.all(nsEncrypted, "EncryptedKey")
	if info := data.first(nsSignature, "KeyInfo"); info != nil {
		keys = append(keys, info.all(nsEncrypted, "EncryptedKey")...)
	}
	if len(keys) != 1 {
		return sealed{}, malformed("the encrypted assertion has %d keys", len(keys))
	}
	algorithm, _ := encryption(data)
	var s sealed
	var known bool
	if s.block, known = blockOf(algorithm); !known {
		return sealed{}, refuseAlgorithm("encryption", algorithm)
	}
	wrap, method := encryption(keys[0])
	if wrap != algorithmOAEP {
		return sealed{}, refuseAlgorithm("key encryption", wrap)
	}
	var r *federation.Refusal
	if s.hash, r = oaepHash(method); r != nil {
		return sealed{}, r
	}
	var ok, okKey bool
	s.content, ok = cipherValue(data)
	s.key, okKey = cipherValue(keys[0])
	if !ok || !okKey || len(s.content) < s.shortest || s.chained && len(s.content)%aes.BlockSize != 0 {
		return sealed{}, malformed("the encrypted assertion has no ciphertext, or one of a length that cannot be")
	}
	return s, nil
}

// encryption returns the algorithm of an encrypted element, with the element that names it.
func encryption(n *node) (string, *node) {
	m := n.one(nsEncrypted, "EncryptionMethod")
	if m == nil {
		return "", nil
	}
	return m.attr("Algorithm"), m
}

// oaepHash reads the digest of OAEP, which is SHA-1 unless another is named. The method has no other parameters here.
func oaepHash(method *node) (crypto.Hash, *federation.Refusal) {
	if method == nil || len(method.kids) == 0 {
		return crypto.SHA1, nil
	}
	digest := method.kids[0]
	if len(method.kids) > 1 || !digest.is(nsSignature, "DigestMethod") {
		return 0, federation.Refuse(audit.ReasonAlgorithmNotAllowed, "the key encryption has a parameter that is not known")
	}
	switch a := digest.attr("Algorithm"); a {
	case digestSHA1:
		return crypto.SHA1, nil
	case digestSHA256:
		return crypto.SHA256, nil
	default:
		return 0, refuseAlgorithm("digest of the key encryption", a)
	}
}

func cipherValue(n *node) ([]byte, bool) {
	data := n.one(nsEncrypted, "CipherData")
	if data == nil || len(data.kids) != 1 || !data.kids[0].is(nsEncrypted, "CipherValue") {
		return nil, false
	}
	text, ok := data.kids[0].plain()
	if !ok {
		return nil, false
	}
	b, err := fromBase64(text)
	return b, err == nil
}

// replace puts a decrypted assertion into the response's tree where the encrypted one was, and returns the whole as bytes.
func replace(doc *etree.Document, plain []byte) ([]byte, error) {
	inner := etree.NewDocument()
	if err := inner.ReadFromBytes(plain); err != nil {
		return nil, err
	}
	root := doc.Root()
	old := childOf(root, "EncryptedAssertion")
	if old == nil || inner.Root() == nil {
		return nil, errRoots
	}
	at := old.Index()
	root.RemoveChildAt(at)
	root.InsertChildAt(at, inner.Root())
	return doc.WriteToBytes()
}
