package audit_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/postern-audit/postern/audit"
)

func TestAnAddressIsIndexedUnderItsNetworks(t *testing.T) {
	v4 := []audit.IndexTerm{{Purpose: audit.IndexNetwork32, Value: "192.0.2.17/32"}, {Purpose: audit.IndexNetwork24, Value: "192.0.2.0/24"},
		{Purpose: audit.IndexNetwork16, Value: "192.0.0.0/16"}}
	v6 := []audit.IndexTerm{{Purpose: audit.IndexNetwork32, Value: "2001:db8:1:2::5/128"}, {Purpose: audit.IndexNetwork24, Value: "2001:db8:1:2::/64"},
		{Purpose: audit.IndexNetwork16, Value: "2001:db8:1::/48"}, {Purpose: audit.IndexNetwork8, Value: "2001:db8::/32"}}
	for ip, want := range map[string][]audit.IndexTerm{
		"192.0.2.17": v4, "::ffff:192.0.2.17": v4, "2001:db8:1:2::5": v6, "2001:db8:1:2::5%eth0": v6,
	} {
		got := audit.NetworkIndexes(netip.MustParseAddr(ip))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", ip, got)
		}
		for _, term := range got { // what is written can be searched
			if p, v, err := audit.NetworkIndex(netip.MustParsePrefix(term.Value)); err != nil || p != term.Purpose || v != term.Value {
				t.Errorf("%s: %v %s %v", term.Value, p, v, err)
			}
		}
	}
	if got := audit.NetworkIndexes(netip.Addr{}); got != nil {
		t.Errorf("no address: %v", got)
	}
}

func TestOnlyIndexedLengthsAreSearched(t *testing.T) {
	for _, s := range []string{"192.0.2.0/25", "192.0.0.0/8", "0.0.0.0/0", "2001:db8::/56", "2001::/16", "2001:db8::/24", "::ffff:0:0/32"} {
		if p, v, err := audit.NetworkIndex(netip.MustParsePrefix(s)); err == nil {
			t.Errorf("%s: %v %s", s, p, v)
		}
	}
	if _, _, err := audit.NetworkIndex(netip.MustParsePrefix("192.0.2.1/24")); err == nil {
		t.Error("bits outside the length must be refused")
	}
	if _, _, err := audit.NetworkIndex(netip.Prefix{}); err == nil {
		t.Error("no network must be refused")
	}
	mapped := netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.0"), 120)
	if p, v, err := audit.NetworkIndex(mapped); err != nil || p != audit.IndexNetwork24 || v != "192.0.2.0/24" {
		t.Errorf("IPv4 in IPv6: %v %s %v", p, v, err)
	}
}

func TestIndexValuesAreCanonicalOnceAndForAll(t *testing.T) {
	for _, c := range []struct {
		p        audit.Purpose
		in, want string
	}{
		{audit.IndexEmail, "Ann.ÄRGER@Example.com", "ann.Ärger@example.com"},
		{audit.IndexEmail, "ann@example.com", "ann@example.com"},
		{audit.IndexEmailDomain, "Example.COM", "example.com"},
		{audit.IndexName, "  Änne ÖTT ", "änne ött"},
		{audit.IndexAccount, " Acc-1 ", " Acc-1 "},
		{audit.IndexIdentifier, "ABC", "ABC"},
	} {
		got := audit.IndexValue(c.p, c.in)
		if got != c.want || audit.IndexValue(c.p, got) != got {
			t.Errorf("%v %q: %q", c.p, c.in, got)
		}
	}
}
