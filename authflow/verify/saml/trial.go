package saml

import (
	"strings"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// trial is a response under examination.
type trial struct {
	Expect
	verifier
	reply     reply // as screened; once its signature is verified, as signed
	signed    *node // the response as signed, nil when it is not
	assertion *node // the assertion as signed by itself, nil when it is not
	opened    *node // what an encrypted assertion turned out to be
	vetoed    bool  // the library refused what we had verified ourselves
	checks    []string
}

// failed is about a response that says the provider did not do it. If it is signed the signature must be right.
func (t *trial) failed(raw []byte) *federation.Refusal {
	if t.reply.signed {
		doc, err := parse(raw)
		if err != nil {
			return malformed("the document: %v", errSyntax)
		}
		if r := t.proveResponse(doc.Root()); r != nil {
			return r
		}
	}
	s := t.reply.status
	said := strings.Join(strings.Fields(s.code+" "+s.second+" "+s.message), " ")
	return federation.Refuse(audit.ReasonIDPError, "%s", said)
}

// plain has the library look at the response; the hook collects what the signatures cover. Where the library refuses, the
// signatures are verified without it, so that the first thing wrong is the reason.
func (t *trial) plain(raw []byte, root *node) *federation.Refusal {
	if _, r := readAssertion(t.reply.assertion); r != nil {
		return r
	}
	if r := t.countable(root, t.reply.assertion); r != nil {
		return r
	}
	h := &hook{trial: t}
	if t.ask(raw, h) {
		return t.proveAssertion(h.inner)
	}
	t.signed, t.assertion, t.vetoed = nil, nil, true
	if h.refusal != nil {
		return h.refusal
	}
	doc, err := parse(raw)
	if err != nil {
		return malformed("the document: %v", errSyntax)
	}
	if t.reply.signed {
		return t.proveResponse(doc.Root())
	}
	return t.proveAssertion(childOf(doc.Root(), "Assertion"))
}

// maxSigned is how many elements the library looks at in something signed. Given more it panics.
const maxSigned = 1000

// countable refuses before the library panics. Elements count in what is signed: the assertion, or the response with it.
func (t *trial) countable(root, assertion *node) *federation.Refusal {
	n := assertion.count()
	if root.first(nsSignature, "Signature") != nil {
		n = root.count()
		if assertion == t.opened {
			n += assertion.count()
		}
	}
	if n > maxSigned {
		return malformed("what is signed has more than %d elements", maxSigned)
	}
	return nil
}

// encrypted verifies the signature around the encrypted assertion, opens it, and has the library look at the response with the
// assertion in its place.
func (t *trial) encrypted(raw []byte, root *node) *federation.Refusal {
	key := t.Decrypt.opens()
	if key == nil {
		return federation.Refuse(audit.ReasonEncryptionNotAllowed, "the assertion is encrypted")
	}
	doc, err := parse(raw)
	if err != nil {
		return malformed("the document: %v", errSyntax)
	}
	if t.reply.signed {
		if r := t.proveResponse(doc.Root()); r != nil {
			return r
		}
	}
	plain, r := open(t.reply.encrypted, key, t.signed != nil)
	if r != nil {
		return r
	}
	if t.opened, r = t.screenOpened(plain); r != nil {
		return r
	}
	if r := t.countable(root, t.opened); r != nil {
		return r
	}
	whole, err := replace(doc, plain)
	if err != nil {
		return unsealable()
	}
	h := &hook{trial: t, outer: true}
	if doc, err = parse(whole); err != nil {
		return unsealable()
	}
	if t.vetoed = !t.ask(whole, h); t.assertion == nil {
		return t.proveAssertion(childOf(doc.Root(), "Assertion"))
	}
	return nil
}

// screenOpened does with a decrypted assertion what was done with the response.
func (t *trial) screenOpened(plain []byte) (*node, *federation.Refusal) {
	n, err := screen(plain, bounds{bytes: MaxResponse, elements: maxElements})
	if err != nil || !n.is(nsAssertion, "Assertion") || n.attr("ID") == t.reply.id {
		return nil, unsealable()
	}
	around := &node{space: nsProtocol, local: "Response", kids: []*node{n}}
	if r := places(around); r != nil {
		return nil, r
	}
	if _, r := readAssertion(n); r != nil {
		return nil, r
	}
	return n, nil
}

func parse(raw []byte) (*etree.Document, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, err
	}
	if doc.Root() == nil {
		return nil, errRoots
	}
	return doc, nil
}

// proveResponse verifies the signature of the response, and of the assertion in it if that has one. From then on the response
// is what was signed.
func (t *trial) proveResponse(root *etree.Element) *federation.Refusal {
	alone, r := detach(root)
	if r != nil {
		return r
	}
	if r := t.takeResponse(alone); r != nil {
		return r
	}
	return t.proveAssertion(childOf(alone, "Assertion"))
}

// takeResponse verifies the signature of a response that stands for itself.
func (t *trial) takeResponse(alone *etree.Element) (r *federation.Refusal) {
	if t.signed, r = t.verify(alone); r != nil {
		return r
	}
	t.reply, r = readReply(t.signed)
	return r
}

// proveAssertion verifies the signature of an assertion, if there is one and it has one.
func (t *trial) proveAssertion(el *etree.Element) *federation.Refusal {
	if el == nil || childOf(el, dsig.SignatureTag) == nil {
		return nil
	}
	alone, r := detach(el)
	if r != nil {
		return r
	}
	t.assertion, r = t.verify(alone)
	return r
}
