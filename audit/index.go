package audit

import (
	"net/netip"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// IndexValue brings a value into the form its blind index is made of, so that what was written and what is searched for meet:
// account ids and keyed hashes as they are, addresses and domains with ASCII letters folded (the caller gives the domain in
// A-label form), names without outer space and in lower case, networks as NetworkIndex writes them.
func IndexValue(purpose Purpose, value string) string {
	switch purpose {
	case IndexEmail, IndexEmailDomain:
		return foldASCII(value)
	case IndexName:
		return strings.ToLower(strings.TrimSpace(value))
	default:
		return value
	}
}

// IndexTerm is one value a blind index is made of: something an event can be found by.
type IndexTerm struct {
	Purpose Purpose
	Value   string
}

// networkLengths gives the prefix lengths that are indexed: IPv4, IPv6 (0: none).
var networkLengths = [...]struct {
	purpose Purpose
	v4, v6  int
}{{IndexNetwork32, 32, 128}, {IndexNetwork24, 24, 64}, {IndexNetwork16, 16, 48}, {IndexNetwork8, 0, 32}}

// NetworkIndexes returns the networks an address is indexed under, narrowest first: IPv4 /32 /24 /16, IPv6 /128 /64 /48 /32.
// An IPv4 address inside IPv6 counts as IPv4, a zone is dropped. An invalid address has none.
func NetworkIndexes(ip netip.Addr) []IndexTerm {
	if !ip.IsValid() {
		return nil
	}
	ip = ip.Unmap().WithZone("")
	var text [64]byte
	out := make([]IndexTerm, 0, len(networkLengths))
	for _, l := range networkLengths {
		bits := l.v6
		if ip.Is4() {
			bits = l.v4
		}
		if bits == 0 {
			continue
		}
		prefix, err := ip.Prefix(bits)
		if err != nil {
			return nil // not reached: the lengths above fit
		}
		out = append(out, IndexTerm{l.purpose, string(prefix.AppendTo(text[:0]))})
	}
	return out
}

// NetworkIndex returns the index purpose and value of a network in a filter. Only the lengths NetworkIndexes writes can be
// searched; any other one is an error, as is a network with bits set outside its length.
func NetworkIndex(prefix netip.Prefix) (Purpose, string, error) {
	if !prefix.IsValid() {
		return 0, "", errs.New(errs.Invalid, "NETWORK_INVALID", "not a network in CIDR form")
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return 0, "", lengthError()
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if prefix != prefix.Masked() {
		return 0, "", errs.New(errs.Invalid, "NETWORK_INVALID", "the network has bits set outside its length")
	}
	for _, l := range networkLengths {
		bits := l.v6
		if prefix.Addr().Is4() {
			bits = l.v4
		}
		if bits != 0 && prefix.Bits() == bits {
			return l.purpose, prefix.String(), nil
		}
	}
	return 0, "", lengthError()
}

func lengthError() error {
	return errs.New(errs.Invalid, "NETWORK_LENGTH", "networks are searched by length 32, 24 or 16 (IPv6: 128, 64, 48 or 32) only")
}

// foldASCII lowers ASCII letters and leaves every other byte alone.
func foldASCII(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if b[j] >= 'A' && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
