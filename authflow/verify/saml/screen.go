package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxResponse is the longest response in bytes, decoded.
const MaxResponse = 256 << 10

const (
	maxDepth      = 32
	maxAttributes = 64  // of one element
	maxNamespaces = 128 // declared at one place
	maxElements   = 2000
)

// bounds is what a document may have.
type bounds struct{ bytes, elements int }

var errDeep = errors.New("it is nested too deeply")

var errMarkup = errors.New("it holds a comment, a directive or a processing instruction")

var (
	errEmpty      = errors.New("it is empty")
	errLong       = errors.New("it is too long")
	errEncoding   = errors.New("it is no UTF-8, or begins with a byte order mark")
	errElements   = errors.New("it has too many elements")
	errAttributes = errors.New("an element has too many attributes, or one of them twice")
	errName       = errors.New("a name has a colon where none may be")
	errTags       = errors.New("a tag is not closed by its own")
	errRoots      = errors.New("it is not one element with nothing around it")
	errID         = errors.New("an id is given twice, or as an attribute of another namespace")
	errSyntax     = errors.New("it is not well-formed")
)

// screener reads a document token by token. It is the first to see the bytes, so it trusts nothing: not even that tags match.
type screener struct {
	bounds
	dec      *xml.Decoder
	scope    scope
	root     *node
	open     []opened
	ids      map[string]struct{}
	elements int
}

type opened struct {
	node  *node
	name  xml.Name // as written
	text  []byte
	scope int
}

// screen reads a document in one pass and refuses whatever two readers could understand differently: directives, comments,
// processing instructions, a second root, names with stray colons, namespaces bound strangely, ids that are not unique. Its
// errors hold nothing of the document.
func screen(doc []byte, b bounds) (*node, error) {
	switch {
	case len(doc) == 0:
		return nil, errEmpty
	case len(doc) > b.bytes:
		return nil, errLong
	case !utf8.Valid(doc) || bytes.HasPrefix(doc, []byte("\ufeff")):
		return nil, errEncoding
	}
	s := screener{bounds: b, dec: xml.NewDecoder(bytes.NewReader(doc)), ids: map[string]struct{}{}}
	for first := true; ; first = false {
		token, err := s.dec.RawToken()
		switch {
		case errors.Is(err, io.EOF) && s.root != nil && len(s.open) == 0:
			return s.root, nil
		case errors.Is(err, io.EOF):
			return nil, errRoots
		case err != nil:
			return nil, errSyntax
		}
		if err := s.token(token, first); err != nil {
			return nil, err
		}
	}
}

func (s *screener) token(token xml.Token, first bool) error {
	switch t := token.(type) {
	case xml.StartElement:
		return s.start(t)
	case xml.EndElement:
		return s.end(t)
	case xml.CharData:
		return s.data(t)
	case xml.ProcInst:
		if first && t.Target == "xml" {
			return nil
		}
	}
	return errMarkup
}

func (s *screener) start(t xml.StartElement) error {
	switch s.elements++; {
	case s.elements > s.bounds.elements:
		return errElements
	case len(s.open) >= maxDepth:
		return errDeep
	case len(s.open) == 0 && s.root != nil:
		return errRoots
	case len(t.Attr) > maxAttributes:
		return errAttributes
	case strings.Contains(t.Name.Local, ":"):
		return errName
	}
	outside := len(s.scope.prefix)
	n := &node{local: t.Name.Local}
	for _, a := range t.Attr {
		if strings.Contains(a.Name.Local, ":") {
			return errName
		}
		declares, err := s.scope.declare(a.Name.Space, a.Name.Local, a.Value)
		if err != nil {
			return err
		}
		if !declares {
			n.attrs = append(n.attrs, attr{space: a.Name.Space, local: a.Name.Local, value: a.Value})
		}
	}
	if len(s.scope.prefix) > maxNamespaces || declaredTwice(s.scope.prefix[outside:]) {
		return errNamespace
	}
	var err error
	if n.space, err = s.scope.resolve(t.Name.Space); err != nil {
		return err
	}
	if err := s.scope.resolveAttributes(n); err != nil {
		return err
	}
	if err := s.attributes(n); err != nil {
		return err
	}
	if len(s.open) > 0 {
		parent := s.open[len(s.open)-1].node
		parent.kids = append(parent.kids, n)
	} else {
		s.root = n
	}
	s.open = append(s.open, opened{node: n, name: t.Name, scope: outside})
	return nil
}

func declaredTwice(prefixes []string) bool {
	for i := range prefixes {
		for j := range i {
			if prefixes[i] == prefixes[j] {
				return true
			}
		}
	}
	return false
}

// attributes refuses attributes that one reader takes for another: the same name in two namespaces, and ids that are not unique.
func (s *screener) attributes(n *node) error {
	for i := range n.attrs {
		a := &n.attrs[i]
		for j := range i {
			if b := &n.attrs[j]; a.local == b.local && (a.space == b.space || a.space == "" || b.space == "") {
				return errAttributes
			}
		}
		if !strings.EqualFold(a.local, "id") {
			continue
		}
		if _, taken := s.ids[a.value]; taken || a.space != "" {
			return errID
		}
		s.ids[a.value] = struct{}{}
	}
	return nil
}

func (s *screener) end(t xml.EndElement) error {
	if len(s.open) == 0 || s.open[len(s.open)-1].name != t.Name {
		return errTags
	}
	last := &s.open[len(s.open)-1]
	last.node.text = string(last.text)
	s.scope.leave(last.scope)
	s.open = s.open[:len(s.open)-1]
	return nil
}

func (s *screener) data(t xml.CharData) error {
	if len(s.open) > 0 {
		last := &s.open[len(s.open)-1]
		last.text = append(last.text, t...)
		return nil
	}
	if len(bytes.Trim(t, " \t\r\n")) > 0 {
		return errRoots
	}
	return nil
}
