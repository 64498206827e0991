package saml

import (
	"errors"
	"strings"

	"github.com/beevik/etree"
)

// The namespaces that mean something here.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
	nsEncrypted = "http://www.w3.org/2001/04/xmlenc#"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS     = "http://www.w3.org/2000/xmlns/"
)

// node is an element with its name resolved.
type node struct {
	space, local string // namespace and name without prefix
	attrs        []attr // all but declarations of namespaces
	kids         []*node
	text         string // all character data directly inside
}

type attr struct{ space, local, value string }

// is says whether the element has this name.
func (n *node) is(space, local string) bool { return n.local == local && n.space == space }

// attr returns the value of an attribute without namespace, empty when there is none.
func (n *node) attr(local string) string {
	v, _ := n.lookup(local)
	return v
}

func (n *node) lookup(local string) (string, bool) {
	for i := range n.attrs {
		if n.attrs[i].local == local && n.attrs[i].space == "" {
			return n.attrs[i].value, true
		}
	}
	return "", false
}

// all returns the children of this name.
func (n *node) all(space, local string) []*node {
	var found []*node
	for _, k := range n.kids {
		if k.is(space, local) {
			found = append(found, k)
		}
	}
	return found
}

// one returns the only child of this name, nil when there is none or more than one.
func (n *node) one(space, local string) *node {
	if found := n.all(space, local); len(found) == 1 {
		return found[0]
	}
	return nil
}

// first returns the first child of this name, nil when there is none.
func (n *node) first(space, local string) *node {
	for _, k := range n.kids {
		if k.is(space, local) {
			return k
		}
	}
	return nil
}

// count returns how many elements n is.
func (n *node) count() int {
	sum := 1
	for _, k := range n.kids {
		sum += k.count()
	}
	return sum
}

// plain returns the text of an element that holds nothing but text.
func (n *node) plain() (string, bool) { return n.text, len(n.kids) == 0 }

// scope is the namespace declarations that are in force, the innermost last.
type scope struct{ prefix, uri []string }

var errNamespace = errors.New("a namespace is declared or used as it must not be")

// declare adds what an attribute declares, if it declares anything.
func (s *scope) declare(space, local, value string) (bool, error) {
	var prefix string
	switch {
	case space == "xmlns":
		prefix = local
	case space == "" && local == "xmlns":
	default:
		return false, nil
	}
	if prefix == "xml" && value != nsXML || prefix == "xmlns" || value == nsXMLNS || prefix != "xml" && value == nsXML ||
		prefix != "" && value == "" {
		return true, errNamespace
	}
	s.prefix, s.uri = append(s.prefix, prefix), append(s.uri, value)
	return true, nil
}

// resolve returns the namespace of a prefix.
func (s *scope) resolve(prefix string) (string, error) {
	for i := len(s.prefix) - 1; i >= 0; i-- {
		if s.prefix[i] == prefix {
			return s.uri[i], nil
		}
	}
	switch prefix {
	case "":
		return "", nil
	case "xml":
		return nsXML, nil
	}
	return "", errNamespace
}

// leave forgets all declarations but the first n.
func (s *scope) leave(n int) { s.prefix, s.uri = s.prefix[:n], s.uri[:n] }

// fromElement reads an element of the library's tree, with the declarations of the elements around it. Such a tree was made from
// bytes that were screened or from what a signature covers.
func fromElement(el *etree.Element, around ...*etree.Element) (*node, error) {
	var s scope
	for _, a := range around {
		for _, at := range a.Attr {
			if _, err := s.declare(at.Space, at.Key, at.Value); err != nil {
				return nil, err
			}
		}
	}
	return s.read(el, 0)
}

func (s *scope) read(el *etree.Element, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	outside := len(s.prefix)
	defer s.leave(outside)
	n := &node{local: el.Tag}
	for _, a := range el.Attr {
		declares, err := s.declare(a.Space, a.Key, a.Value)
		if err != nil {
			return nil, err
		}
		if !declares {
			n.attrs = append(n.attrs, attr{space: a.Space, local: a.Key, value: a.Value})
		}
	}
	var err error
	if n.space, err = s.resolve(el.Space); err != nil {
		return nil, err
	}
	if err := s.resolveAttributes(n); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, token := range el.Child {
		switch t := token.(type) {
		case *etree.CharData:
			text.WriteString(t.Data)
		case *etree.Element:
			kid, err := s.read(t, depth+1)
			if err != nil {
				return nil, err
			}
			n.kids = append(n.kids, kid)
		default:
			return nil, errMarkup
		}
	}
	n.text = text.String()
	return n, nil
}

// resolveAttributes puts namespaces where n has prefixes.
func (s *scope) resolveAttributes(n *node) error {
	for i := range n.attrs {
		if n.attrs[i].space == "" {
			continue
		}
		uri, err := s.resolve(n.attrs[i].space)
		if err != nil {
			return err
		}
		n.attrs[i].space = uri
	}
	return nil
}
