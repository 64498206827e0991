package document

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is what a node is.
type kind uint8

const (
	isNull kind = iota
	isText
	isBool
	isNumber
	isList
	isTable
)

var kindNames = [...]string{"nothing", "text", "true or false", "a number", "a list", "a table"}

// node is a value of the document with its place.
type node struct {
	place
	kind    kind
	text    string // of a scalar, as written
	items   []*node
	entries []entry
}

// entry is one key of a table.
type entry struct {
	place
	key   string
	value *node
}

func (n *node) find(key string) *node {
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// emptyFix is what helps an empty document.
const emptyFix = "begin with organization: ID"

// scan turns text into nodes. What it returns is at most maxDepth deep and has no anchors, aliases, tags or merges.
func scan(b []byte) (*node, *Problem) {
	if len(b) > MaxBytes {
		return nil, &Problem{Text: "the document has more than 1 MiB", Fix: "claim accounts in several documents"}
	}
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > maxBrackets {
		return nil, &Problem{Line: 1, Column: 1, Text: "nested too deeply, or too many lists and tables", Fix: "split the document"}
	}
	if p := checkText(b); p != nil {
		return nil, p
	}
	tokens := lexer.Tokenize(string(b))
	if p := checkTokens(tokens); p != nil {
		return nil, p
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err)
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			return nil, problemAt(d.Body.GetToken(), "a second document begins", "apply one document at a time")
		}
		body = d.Body
	}
	if body == nil {
		return nil, &Problem{Line: 1, Column: 1, Text: "the document is empty", Fix: emptyFix}
	}
	return convert(body, 0)
}

// checkText refuses what is no text, with the line it stands in.
func checkText(b []byte) *Problem {
	line := 1
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Problem{Line: line, Column: 1, Text: "not UTF-8", Fix: "save the document as UTF-8"}
		case r == '\n':
			line++
		case r < ' ' && r != '\t' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0, r == '\ufeff' && i > 0, r == '\u2028', r == '\u2029':
			return &Problem{Line: line, Column: 1, Text: "a control character", Fix: "remove it"}
		}
		i += size
	}
	return nil
}

// checkTokens bounds depth before anything recursive runs, and refuses the parts of YAML that documents have no use for.
func checkTokens(tokens token.Tokens) *Problem {
	if len(tokens) > maxTokens {
		return &Problem{Text: "the document has too many values", Fix: "split it"}
	}
	flow, line, onLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
			if flow == 0 && t.Position.Column > maxColumn && t.Type != token.CommentType {
				return problemAt(t, "a line begins too far right", "indent less")
			}
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return problemAt(t, "anchors, aliases and merges are not accepted", "write the value out; quote text that begins with & or *")
		case token.TagType, token.DirectiveType, token.MappingKeyType:
			return problemAt(t, "tags, directives and complex keys are not accepted", "write plain keys and values; quote text that begins with !, % or ?")
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingValueType:
			if flow == 0 {
				onLine++
			}
		default:
		}
		if flow > maxDepth || onLine > maxDepth {
			return problemAt(t, "nested too deeply", "documents are at most 16 levels deep")
		}
	}
	return nil
}

func problemAt(t *token.Token, text, fix string) *Problem {
	p := &Problem{Text: text, Fix: fix}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	return p
}

// syntaxProblem shows the parser's own message but not the source around it.
func syntaxProblem(err error) *Problem {
	var e yaml.Error
	if !errors.As(err, &e) {
		return &Problem{Text: "not YAML or JSON", Fix: "check the syntax"}
	}
	message := e.GetMessage()
	if cut := strings.IndexByte(message, '\n'); cut >= 0 {
		message = message[:cut]
	}
	return problemAt(e.GetToken(), "not YAML or JSON: "+message, "check quotes, colons, brackets and indentation here")
}

// convert copies the parser's tree.
func convert(n ast.Node, depth int) (*node, *Problem) {
	t := n.GetToken()
	if depth > maxDepth {
		return nil, problemAt(t, "nested too deeply", "documents are at most 16 levels deep")
	}
	out := &node{place: place{t.Position.Line, t.Position.Column}}
	switch v := n.(type) {
	case *ast.MappingNode:
		out.kind = isTable
		return out, out.table(v.Values, depth)
	case *ast.MappingValueNode:
		out.kind = isTable
		return out, out.table([]*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		out.kind = isList
		for _, item := range v.Values {
			converted, p := convert(item, depth+1)
			if p != nil {
				return nil, p
			}
			out.items = append(out.items, converted)
		}
		return out, nil
	case *ast.StringNode:
		out.kind, out.text = isText, v.Value
	case *ast.LiteralNode:
		out.kind, out.text = isText, v.Value.Value
	case *ast.BoolNode:
		out.kind, out.text = isBool, t.Value
	case *ast.NullNode:
		out.kind = isNull
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = isNumber, t.Value
	default:
		return nil, problemAt(t, "this form is not accepted", "write plain keys and values")
	}
	return out, nil
}

func (n *node) table(values []*ast.MappingValueNode, depth int) *Problem {
	for _, v := range values {
		t := v.Key.GetToken()
		value, p := convert(v.Value, depth+1)
		if p != nil {
			return p
		}
		if value.kind == isNull || value.kind == isTable || value.kind == isList {
			value.place = place{t.Position.Line, t.Position.Column} // the parser points at a colon, bracket or first child
		}
		key := t.Value
		if s, ok := v.Key.(*ast.StringNode); ok {
			key = s.Value
		}
		n.entries = append(n.entries, entry{place: place{t.Position.Line, t.Position.Column}, key: key, value: value})
	}
	if len(n.entries) > 0 {
		n.place = n.entries[0].place
	}
	return nil
}
