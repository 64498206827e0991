package document

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// reader collects problems and places while it walks the nodes.
type reader struct {
	problems     Problems
	places       map[string]place
	readMetadata MetadataReader // nil: there is none
}

// fields says what reads the value of each key of a table.
type fields map[string]func(n *node, path string)

func (r *reader) problem(at place, path, text, fix string) {
	r.problems = append(r.problems, Problem{Line: at.line, Column: at.column, Path: path, Text: text, Fix: fix})
}

// refused reports a value that a parser of package policy or audit refused.
func (r *reader) refused(n *node, path string, err error, fix string) {
	text := "not accepted"
	if e := errs.As(err); e != nil {
		text = e.Public
	}
	r.problem(n.place, path, text, fix)
}

// table reads a table: unknown and repeated keys are problems.
func (r *reader) table(n *node, path string, f fields) {
	r.places[path] = n.place
	if !r.want(n, path, isTable, "write key: value pairs") {
		return
	}
	for i, e := range n.entries {
		at := join(path, e.key)
		read, known := f[e.key]
		if !known {
			r.problem(e.place, at, "unknown key", "known keys here are "+keys(f))
			continue
		}
		if slices.ContainsFunc(n.entries[:i], func(o entry) bool { return o.key == e.key }) {
			r.problem(e.place, at, "this key is there already", "write each key once")
			continue
		}
		r.places[at] = e.place
		if e.value.kind == isNull {
			r.problem(e.place, at, "has no value", "write a value, or remove the key; [] is an empty list")
			continue
		}
		read(e.value, at)
	}
}

// list reads each item of a list.
func (r *reader) list(n *node, path string, read func(n *node, path string)) {
	if !r.want(n, path, isList, "write one item a line, each after a dash") {
		return
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.places[at] = item.place
		read(item, at)
	}
}

// some is list for lists that must not be empty.
func (r *reader) some(n *node, path string, read func(n *node, path string)) {
	if n.kind == isList && len(n.items) == 0 {
		r.problem(n.place, path, "an empty list", "name at least one value, or remove the key")
		return
	}
	r.list(n, path, read)
}

func (r *reader) want(n *node, path string, k kind, fix string) bool {
	if n.kind != k {
		r.problem(n.place, path, "this is "+kindNames[n.kind]+" where "+kindNames[k]+" belongs", fix)
		return false
	}
	return true
}

func (r *reader) text(n *node, path string) string {
	if n.kind == isNumber || n.kind == isBool {
		r.problem(n.place, path, "this is "+kindNames[n.kind]+" where text belongs", "put it in quotes")
		return ""
	}
	if !r.want(n, path, isText, "write text") {
		return ""
	}
	if strings.TrimSpace(n.text) == "" {
		r.problem(n.place, path, "empty text", "write a value, or remove the key")
	}
	return n.text
}

func (r *reader) boolean(n *node, path string) bool {
	return r.want(n, path, isBool, "write true or false") && strings.EqualFold(n.text, "true")
}

func (r *reader) id(n *node, path string) string {
	s := r.text(n, path)
	if s != "" && !policy.ValidID(s) {
		r.problem(n.place, path, "not an id", "use 1 to 63 of a-z, 0-9 and inner hyphens")
	}
	return s
}

// choice reads one of a few words, in any case.
func choice[T any](r *reader, n *node, path string, words []string, values []T) (chosen T) {
	s := r.text(n, path)
	for i, w := range words {
		if strings.EqualFold(s, w) {
			return values[i]
		}
	}
	if s != "" {
		r.problem(n.place, path, "unknown value", "write "+strings.Join(words, " or "))
	}
	return chosen
}

// duration reads 90m, 12h, 7d or 1d12h: whole numbers with d, h, m or s, largest first.
func (r *reader) duration(n *node, path string) time.Duration {
	const fix = "write it as 12h or 7d, or remove the key"
	if n.kind == isNumber {
		r.problem(n.place, path, "a duration without unit", fix)
		return 0
	}
	s := r.text(n, path)
	if s == "" {
		return 0
	}
	d, ok := ParseDuration(s)
	switch {
	case !ok:
		r.problem(n.place, path, "not a duration", fix)
	case d == 0:
		r.problem(n.place, path, "a duration of zero", "remove the key: what is absent is not demanded")
	case d > policy.MaxDuration:
		r.problem(n.place, path, "more than 400 days", fix)
	}
	return d
}

// ParseDuration reads the durations of documents.
//
//	duration = 1*( number unit )     each unit at most once, in the order d, h, m, s
func ParseDuration(s string) (time.Duration, bool) {
	units := []struct {
		letter byte
		length time.Duration
	}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}
	var total time.Duration
	next := 0
	for s != "" {
		digits := 0
		for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
			digits++
		}
		if digits == 0 || digits > 7 || digits == len(s) {
			return 0, false
		}
		n := time.Duration(0)
		for _, c := range []byte(s[:digits]) {
			n = n*10 + time.Duration(c-'0')
		}
		for next < len(units) && units[next].letter != s[digits] {
			next++
		}
		if next == len(units) {
			return 0, false
		}
		total += n * units[next].length
		next++
		s = s[digits+1:]
	}
	return total, total > 0 || next > 0
}

func (r *reader) time(n *node, path string) time.Time {
	s := r.text(n, path)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 2000 || t.Year() > 2200 {
		r.problem(n.place, path, "not a time", "write it as 2027-01-31T08:00:00Z")
		return time.Time{}
	}
	return t.UTC()
}

func (r *reader) network(n *node, path string) netip.Prefix {
	const fix = "write it as 192.0.2.0/24 or 2001:db8::/32"
	s := r.text(n, path)
	if s == "" {
		return netip.Prefix{}
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || p.Addr().Is4In6():
		r.problem(n.place, path, "not a network", fix)
		return netip.Prefix{}
	case p != p.Masked():
		r.problem(n.place, path, "an address inside a network", "write "+p.Masked().String())
	}
	return p.Masked()
}

// domainMatch reads a domain, or a table of domain and include_subdomains. owned says which domains are taken.
func (r *reader) domainMatch(n *node, path string, parse func(string) (policy.Domain, error)) policy.DomainMatch {
	var m policy.DomainMatch
	if n.kind == isTable {
		r.table(n, path, fields{
			"domain":             func(n *node, path string) { m.Domain = r.domain(n, path, parse) },
			"include_subdomains": func(n *node, path string) { m.Subdomains = r.boolean(n, path) },
		})
		if n.find("domain") == nil {
			r.problem(n.place, path, "no domain", "add domain: NAME")
		}
		return m
	}
	m.Domain = r.domain(n, path, parse)
	return m
}

func (r *reader) domain(n *node, path string, parse func(string) (policy.Domain, error)) policy.Domain {
	s := r.text(n, path)
	if s == "" {
		return policy.Domain{}
	}
	d, err := parse(s)
	if err != nil {
		r.refused(n, path, err, "write a domain such as partner.com")
	}
	return d
}

func (r *reader) address(n *node, path string) policy.Address {
	s := r.text(n, path)
	if s == "" {
		return policy.Address{}
	}
	a, err := policy.ParseUsableAddress(s)
	if err != nil {
		r.refused(n, path, err, "write an address such as ann@partner.com")
	}
	return a
}

func (r *reader) accountID(n *node, path string) string {
	s := r.text(n, path)
	if len(s) > 128 || strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) >= 0 {
		r.problem(n.place, path, "not an account id", "write the login service's key, at most 128 bytes in one line")
	}
	return s
}

// accounts reads two lists, of account ids and of addresses, into one value without repetitions.
func (r *reader) accounts(into *Accounts) fields {
	ids, addresses := map[string]bool{}, map[string]bool{}
	return fields{
		"accounts": func(n *node, path string) {
			r.some(n, path, func(n *node, path string) {
				if s := r.accountID(n, path); s != "" && !r.twice(n, path, ids, s) {
					into.IDs = append(into.IDs, s)
				}
			})
		},
		"addresses": func(n *node, path string) {
			r.some(n, path, func(n *node, path string) {
				if a := r.address(n, path); !a.IsZero() && !r.twice(n, path, addresses, a.Key()) {
					into.Addresses = append(into.Addresses, a)
				}
			})
		},
	}
}

// listed is accounts for rules and lists, where accounts may stand by the keyed hash that an export has of them.
func (r *reader) listed(into *Accounts) fields {
	f := r.accounts(into)
	f["account_keys"] = func(n *node, path string) {
		r.some(n, path, func(n *node, path string) {
			var k policy.AccountKey
			s := r.text(n, path)
			if b, err := hex.DecodeString(s); err != nil || len(b) != len(k) {
				r.problem(n.place, path, "not the key of an account", "keep it as `postern org export` wrote it: 32 hex digits, in quotes; or name the account under accounts or addresses")
			} else if copy(k[:], b); !r.twice(n, path, map[string]bool{string(b): slices.Contains(into.Keys, k)}, string(b)) {
				into.Keys = append(into.Keys, k)
			}
		})
	}
	return f
}

func (r *reader) twice(n *node, path string, seen map[string]bool, key string) bool {
	if seen[key] {
		r.problem(n.place, path, "this is there already", "name it once")
		return true
	}
	seen[key] = true
	return false
}

// texts reads a list of words that something else will check.
func (r *reader) texts(into *[]string) func(n *node, path string) {
	return func(n *node, path string) {
		r.some(n, path, func(n *node, path string) { *into = append(*into, r.text(n, path)) })
	}
}

func (r *reader) evidence(into *audit.Evidence) func(n *node, path string) {
	return func(n *node, path string) {
		*into = choice(r, n, path, []string{"ASSERTED", "VERIFIED"}, []audit.Evidence{audit.EvidenceAsserted, audit.EvidenceVerified})
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keys(f fields) string {
	names := make([]string, 0, len(f))
	for k := range f {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
