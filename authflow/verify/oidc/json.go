package oidc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of JSON objects.
const (
	maxDepth   = 16
	maxMembers = 256
	// usualMembers is room for those of a usual token; objects in it have fewer.
	usualMembers = 16
)

// member is one member of a JSON object, its value as it stands there.
type member struct {
	name  string
	value []byte
}

// object reads one JSON object and nothing around it, more strictly than encoding/json: no member twice, at any depth, no two
// members of the object itself that differ only by case, no invalid UTF-8, no half of a surrogate pair, bounded depth and size.
// Readers that fold case or let the last member win read the same from what is left.
func object(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	s := scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	members, err := s.object(1)
	if err != nil {
		return nil, err
	}
	for i, m := range members {
		for _, other := range members[:i] {
			if strings.EqualFold(m.name, other.name) {
				return nil, fmt.Errorf("member %q and %q", other.name, m.name)
			}
		}
	}
	return members, nil
}

// folded finds a member that a reader who folds case would take for one of names, and is none.
func folded(members []member, names []string) (string, bool) {
	for _, m := range members {
		for _, name := range names {
			if len(m.name) <= 2*len(name) && m.name != name && strings.EqualFold(m.name, name) {
				return m.name, true
			}
		}
	}
	return "", false
}

// scanner walks over text json.Valid has accepted. It checks what that does not.
type scanner struct {
	data []byte
	at   int
}

// peek is the next byte; 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.data) && strings.IndexByte(" \t\r\n", s.data[s.at]) >= 0 {
		s.at++
	}
}

// past steps over one byte and space on both sides.
func (s *scanner) past() {
	s.space()
	s.at++
	s.space()
}

// object reads an object whose brace is next.
func (s *scanner) object(depth int) ([]member, error) {
	members := make([]member, 0, usualMembers/depth)
	if depth > maxDepth {
		return nil, errDeep
	}
	for s.past(); s.peek() != '}'; {
		name, err := s.text()
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.name == name {
				return nil, fmt.Errorf("member %q twice", name)
			}
		}
		if len(members) == maxMembers {
			return nil, errors.New("too many members")
		}
		s.past() // the colon
		from := s.at
		if err := s.value(depth); err != nil {
			return nil, err
		}
		members = append(members, member{name, s.data[from:s.at]})
		s.space()
		if s.peek() == ',' {
			s.past()
		}
	}
	s.at++
	return members, nil
}

// value steps over a value.
func (s *scanner) value(depth int) error {
	switch s.peek() {
	case '{':
		_, err := s.object(depth + 1)
		return err
	case '[':
		return s.array(depth + 1)
	case '"':
		if quoted, escaped := s.quoted(); escaped && !paired(quoted) {
			return errSurrogate
		}
		return nil
	case 0:
		return errEnd
	}
	for s.at < len(s.data) && strings.IndexByte(",]} \t\r\n", s.data[s.at]) < 0 {
		s.at++
	}
	return nil
}

// What the scanner finds wrong.
var (
	errSurrogate = errors.New("half of a surrogate pair")
	errDeep      = errors.New("JSON nested too deeply")
	errEnd       = errors.New("JSON ends too early")
)

func (s *scanner) array(depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	for s.past(); s.peek() != ']'; {
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		if s.peek() == ',' {
			s.past()
		}
	}
	s.at++
	return nil
}

// quoted steps over a string and returns it with its quotes, and whether it has escapes.
func (s *scanner) quoted() (quoted []byte, escaped bool) {
	from := s.at
	for s.at++; s.at < len(s.data) && s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			escaped = true
			s.at++
		}
	}
	s.at = min(s.at+1, len(s.data))
	return s.data[from:s.at], escaped
}

// text reads a string.
func (s *scanner) text() (string, error) {
	if s.peek() != '"' {
		return "", errEnd
	}
	quoted, escaped := s.quoted()
	if escaped && !paired(quoted) {
		return "", errSurrogate
	}
	text, ok := unquote(quoted)
	if !ok {
		return "", errEnd
	}
	return text, nil
}

// unquote is the text of a JSON string; false for any other value.
func unquote(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err == nil
}

// paired says whether all \u escapes of surrogates come in pairs: encoding/json would put another character in their place.
func paired(quoted []byte) bool {
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		i++
		if quoted[i] != 'u' {
			continue
		}
		first := escape(quoted[i-1:])
		i += 4
		if !utf16.IsSurrogate(first) {
			continue
		}
		if utf16.DecodeRune(first, escape(quoted[i+1:])) == utf8.RuneError {
			return false
		}
		i += 6
	}
	return true
}

// escape is the code unit of a \uXXXX at the start of b; -1 when there is none.
func escape(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var unit [2]byte
	if _, err := hex.Decode(unit[:], b[2:6]); err != nil {
		return -1
	}
	return rune(unit[0])<<8 | rune(unit[1])
}
