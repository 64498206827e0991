package orgevents

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// Limits of queries.
const (
	maxQuery      = 8 << 10 // bytes
	maxValues     = 20      // of one list: a cursor holds them all
	maxValue      = 320     // bytes
	maxLimit      = 500
	defaultEvents = 100
	defaultStream = 200
	maxMillis     = 253402300799999 // the end of the year 9999
)

// valuesOf reads a query. Unknown names are let be: pollers send what other services know.
func valuesOf(u *url.URL) (url.Values, error) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(u.RawQuery) > maxQuery {
		return nil, badParameter("the query cannot be read, or is longer than 8 KiB")
	}
	return values, nil
}

// one returns a parameter that may be given once, "" when it is not.
func one(values url.Values, name string) (string, bool) {
	switch given := values[name]; len(given) {
	case 0:
		return "", true
	case 1:
		return given[0], clean(given[0])
	}
	return "", false
}

// clean reports whether a value is text without controls.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
}

// several returns a list that is given as a=x&a=y, as a[]=x&a[]=y or as a=x,y.
func several(values url.Values, name string) ([]string, error) {
	var out []string
	for _, given := range slices.Concat(values[name], values[name+"[]"]) {
		for v := range strings.SplitSeq(given, ",") {
			if v = strings.TrimSpace(v); v != "" {
				out = append(out, v)
			}
			if !clean(v) || len(v) > maxValue || len(out) > maxValues {
				return nil, badParameter(name + " must be at most 20 texts of at most 320 bytes")
			}
		}
	}
	return out, nil
}

// window is what a list is of, besides its filter: moments in milliseconds, both ends included, 0 for open.
type window struct {
	from, to  int64
	limit     int
	ascending bool
}

// windowOf reads from, to and limit.
func windowOf(values url.Values, defaultLimit int) (window, error) {
	w := window{limit: defaultLimit}
	for name, to := range map[string]*int64{"from": &w.from, "to": &w.to} {
		text, ok := one(values, name)
		if text == "" && ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if !ok || err != nil || n > maxMillis {
			return window{}, badDate(name)
		}
		*to = int64(n)
	}
	if w.to != 0 && w.from > w.to {
		return window{}, faultOf(http.StatusBadRequest, "ADMIN-400-3", "Invalid time date", "from must not be after to")
	}
	text, ok := one(values, "limit")
	if text != "" || !ok {
		n, err := strconv.ParseUint(text, 10, 31)
		if !ok || err != nil || n == 0 {
			return window{}, badParameter("limit must be a number from 1; more than 500 is 500")
		}
		w.limit = int(min(n, maxLimit))
	}
	return w, nil
}

// filter is what a list is of, in terms that a cursor may hold: addresses and accounts as keyed hashes.
type filter struct {
	none     bool // nothing can match
	action   string
	sites    []string
	flows    []string
	subjects []audit.Index
	networks []audit.Index
}

// filterOf reads the filters of /events.
func (h *Handler) filterOf(uid string, values url.Values) (filter, error) {
	f := filter{}
	action, ok := one(values, "action")
	q, okQ := one(values, "q")
	location, okLocation := one(values, "location")
	switch {
	case !ok || len(action) > maxValue:
		return f, badParameter("action must be one of /event-actions")
	case !okQ || len(q) > maxValue:
		return f, badParameter("q must be one term")
	case !okLocation || location != "" && !places(location):
		return f, badParameter("location must be a JSON array of objects with city and countryName")
	}
	f.action = strings.ToLower(action)
	f.none = location != "" && location != "[]" // no event says where on earth it was
	actors, err := several(values, "actor")
	if err == nil && len(actors) > 0 {
		f.subjects, err = h.people(uid, actors)
		f.none = f.none || len(f.subjects) == 0
	}
	ips, errIP := several(values, "ip")
	if err == nil && errIP == nil && len(ips) > 0 {
		f.networks, errIP = h.networks(uid, ips)
	}
	products, errProduct := several(values, "product")
	for _, p := range products {
		f.sites = append(f.sites, strings.ToLower(p))
	}
	for _, e := range []error{err, errIP, errProduct} {
		if e != nil {
			return f, e
		}
	}
	return f, h.term(uid, &f, strings.TrimSpace(q))
}

// places reports whether s is a JSON array of objects.
func places(s string) bool {
	var list []map[string]string
	return json.Unmarshal([]byte(s), &list) == nil
}

// people makes the indexes of actors: addresses, or account ids as rows write them or bare. What cannot be anybody's has none.
func (h *Handler) people(uid string, actors []string) (out []audit.Index, err error) {
	for _, a := range actors {
		purpose, value := audit.IndexAccount, strings.TrimPrefix(a, accountPrefix)
		if address, ok := strings.CutPrefix(a, addressPrefix); ok || strings.Contains(a, "@") {
			parsed, err := policy.ParseUsableAddress(address)
			if err != nil {
				continue
			}
			purpose, value = audit.IndexEmail, parsed.String()
		}
		more, err := h.c.Indexer.Indexes(uid, purpose, audit.IndexValue(purpose, value))
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the sealer
		}
		out = append(out, more...)
	}
	return out, nil
}

// networks makes the indexes of addresses and networks.
func (h *Handler) networks(uid string, ips []string) (out []audit.Index, err error) {
	for _, text := range ips {
		prefix, err := netip.ParsePrefix(text)
		if ip, errIP := netip.ParseAddr(text); errIP == nil && ip.Zone() == "" {
			prefix, err = ip.Unmap().Prefix(ip.Unmap().BitLen())
		}
		if err != nil {
			return nil, badParameter("ip must be addresses, or networks of length 32, 24 or 16 (IPv6: 128, 64, 48 or 32)")
		}
		purpose, value, err := audit.NetworkIndex(prefix)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		more, err := h.c.Indexer.Indexes(uid, purpose, audit.IndexValue(purpose, value))
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the sealer
		}
		out = append(out, more...)
	}
	return out, nil
}

// term narrows a filter by q, which is matched whole: an action, a flow, a network address, or else a person.
func (h *Handler) term(uid string, f *filter, q string) error {
	if q == "" {
		return nil
	}
	if lower := strings.ToLower(q); len(typesOf(lower)) > 0 {
		f.none = f.none || f.action != "" && f.action != lower
		f.action = lower
		return nil
	}
	if id, err := authflow.ParseFlowID(q); err == nil {
		f.flows = []string{id.String()}
		return nil
	}
	if ip, err := netip.ParseAddr(q); err == nil && ip.Zone() == "" {
		found, err := h.networks(uid, []string{q})
		f.networks, f.none = both(f.networks, found, f.none)
		return err
	}
	found, err := h.people(uid, []string{q})
	f.subjects, f.none = both(f.subjects, found, f.none)
	return err
}

// both is what two lists of indexes, of which each has to match, leave: found alone when nothing was asked for before.
func both(asked, found []audit.Index, none bool) ([]audit.Index, bool) {
	if len(asked) == 0 {
		return found, none || len(found) == 0
	}
	var out []audit.Index
	for _, a := range asked {
		if slices.ContainsFunc(found, func(b audit.Index) bool { return a.Purpose == b.Purpose && string(a.Value) == string(b.Value) }) {
			out = append(out, a)
		}
	}
	return out, none || len(out) == 0
}
