package outbound

import (
	"net/netip"
	"net/url"
	"strings"
)

// network is one range that is no place for a server of somebody else's.
type network struct {
	prefix netip.Prefix
	what   string
}

// refused are the IPv4 ranges that are not the internet, and hosts on it that are not what they look like. A more special one
// comes first.
func refusedIPv4() []network {
	return []network{
		{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
		{netip.MustParsePrefix("10.0.0.0/8"), "private"},
		{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata"},
		{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
		{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
		{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"},
		{netip.MustParsePrefix("169.254.169.254/32"), "cloud metadata"},
		{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
		{netip.MustParsePrefix("172.16.0.0/12"), "private"},
		{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
		{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
		{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
		{netip.MustParsePrefix("192.168.0.0/16"), "private"},
		{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
		{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
		{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
		{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
		{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	}
}

// refusedIPv6 is the same for IPv6; beyond it only global unicast is left, and NAT64 to an IPv4 address that is fine.
func refusedIPv6() []network {
	return []network{
		{netip.MustParsePrefix("::/128"), "unspecified"},
		{netip.MustParsePrefix("::1/128"), "loopback"},
		{netip.MustParsePrefix("::/96"), "IPv4 in IPv6"},
		{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4 in IPv6"},
		{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"},
		{netip.MustParsePrefix("100::/64"), "discard"},
		{netip.MustParsePrefix("2001::/32"), "Teredo"},
		{netip.MustParsePrefix("2001::/23"), "reserved"},
		{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
		{netip.MustParsePrefix("2002::/16"), "6to4"},
		{netip.MustParsePrefix("3fff::/20"), "documentation"},
		{netip.MustParsePrefix("fc00::/7"), "unique local"},
		{netip.MustParsePrefix("fe80::/10"), "link-local"},
		{netip.MustParsePrefix("fec0::/10"), "site-local"},
		{netip.MustParsePrefix("ff00::/8"), "multicast"},
	}
}

// refusal says what a is when it must not be spoken to, "" when it may be.
func (o *Options) refusal(a netip.Addr) string {
	if !a.IsValid() || a.Zone() != "" {
		return "zoned"
	}
	a = a.Unmap()
	for _, p := range o.Allow {
		if p.Contains(a) {
			return ""
		}
	}
	list := refusedIPv4()
	if a.Is6() {
		list = refusedIPv6()
	}
	for _, n := range list {
		if n.prefix.Contains(a) {
			return n.what
		}
	}
	if a.Is4() {
		return ""
	}
	if netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		return o.behindNAT64(a)
	}
	if !netip.MustParsePrefix("2000::/3").Contains(a) {
		return "reserved"
	}
	return ""
}

func (o *Options) behindNAT64(a netip.Addr) string {
	b := a.As16()
	if what := o.refusal(netip.AddrFrom4([4]byte(b[12:]))); what != "" {
		return what + " behind NAT64"
	}
	return ""
}

// Check says what is wrong with a URL as far as can be told without asking for its name: nil or an *Error of kind Refused. It
// is for configuration; every request is checked again.
func (o *Options) Check(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return refuse("it is not a URL")
	}
	return o.check(u)
}

func (o *Options) check(u *url.URL) error {
	switch {
	case u.Scheme == "http" && !o.AllowHTTP:
		return refuse("it must be https")
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse("it must be an https URL")
	case u.Opaque != "" || u.Hostname() == "":
		return refuse("it names no host")
	case u.User != nil:
		return refuse("it holds a user name or password")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		if what := o.refusal(a); what != "" {
			return refuse("%s is a %s address", a, what)
		}
		return nil
	}
	if (host == "localhost" || strings.HasSuffix(host, ".localhost")) && o.refusal(netip.AddrFrom4([4]byte{127, 0, 0, 1})) != "" {
		return refuse("it names this machine")
	}
	return nil
}
