package document

import (
	"fmt"
	"time"
)

// timed reads the entries of an account list: the value alone, or a table of the value and when it leaves the list.
func (r *reader) timed(l *AccountList) fields {
	singular := map[string]string{"accounts": "account", "addresses": "address", "account_keys": "account_key"}
	f := r.listed(&l.Accounts)
	for key, one := range singular {
		plain := f[key]
		f[key] = func(n *node, path string) {
			flat := *n
			flat.items = make([]*node, len(n.items))
			for i, item := range n.items {
				flat.items[i] = item
				if item.kind == isTable {
					flat.items[i] = r.entry(item, fmt.Sprintf("%s[%d]", path, i), key, one, l)
				}
			}
			plain(&flat, path)
		}
	}
	return f
}

// entry reads an entry that expires, notes when, and returns the node of its value.
func (r *reader) entry(n *node, path, key, one string, l *AccountList) *node {
	value := &node{kind: isText, place: n.place} // an empty text: a problem
	var expires time.Time
	said := false
	r.table(n, path, fields{
		one:          func(n *node, _ string) { value = n },
		"expires_at": func(n *node, path string) { expires, said = r.time(n, path), true },
	})
	if !said {
		r.problem(n.place, path, "an entry without expires_at", "write the value alone when it never expires")
	}
	if expires.IsZero() {
		return value
	}
	// Whatever is wrong with the value is said once, when the list is read.
	quiet := &reader{places: map[string]place{}}
	e := AccountExpiry{At: expires}
	quiet.listed(&e.Account)[key](&node{kind: isList, place: n.place, items: []*node{value}}, path)
	l.Expiries = append(l.Expiries, e)
	return value
}
