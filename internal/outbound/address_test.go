package outbound_test

import (
	"net/netip"
	"testing"

	"github.com/postern-audit/postern/internal/outbound"
)

func TestCheckRefusesEveryAddressThatIsNotTheInternet(t *testing.T) {
	for _, host := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "100.100.100.200", "127.0.0.1",
		"127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
		"192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
		"239.255.255.255", "240.0.0.1", "255.255.255.255",
		"[::]", "[::1]", "[::10.0.0.1]", "[::8.8.8.8]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[::ffff:192.168.0.1]",
		"[::ffff:0:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.1.2.3]", "[64:ff9b:1::1]", "[100::1]",
		"[2001::1]", "[2001:0:7f00:1::]", "[2001:10::1]", "[2001:db8::1]", "[2002:7f00:1::1]", "[2002:a9fe:a9fe::]",
		"[2002:808:808::1]", "[3fff::1]", "[3fff:fff::1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]",
		"[2600::1%25eth0]", "[fec0::1]", "[ff02::1]", "[4000::1]", "[5f00::1]",
		"localhost", "LOCALHOST", "localhost.", "idp.localhost", "127.0.0.1.",
	} {
		for _, port := range []string{"", ":443", ":6379"} {
			err := (&outbound.Options{}).Check("https://" + host + port + "/keys")
			if e := outbound.As(err); e == nil || e.Kind != outbound.Refused || e.Sent {
				t.Errorf("Check(%s%s) = %v, want Refused", host, port, err)
			}
		}
	}
}

func TestCheckTakesAddressesOfTheInternet(t *testing.T) {
	for _, host := range []string{
		"idp.example", "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.167.1.1",
		"198.17.255.255", "198.20.0.1", "223.255.255.255", "[2600::1]", "[2a00:1450::1]", "[64:ff9b::808:808]", "[::ffff:8.8.8.8]",
		"localhost.example", "notlocalhost",
	} {
		if err := (&outbound.Options{}).Check("https://" + host + "/"); err != nil {
			t.Errorf("Check(%s) = %v", host, err)
		}
	}
}

func TestCheckRefusesURLsThatAreNotPlainHTTPS(t *testing.T) {
	for _, raw := range []string{
		"", "idp.example", "http://idp.example/", "ftp://idp.example/", "file:///etc/passwd", "gopher://idp.example", "https:idp.example",
		"https://", "https:///keys", "https://user@idp.example/", "https://user:pass@idp.example/", "//idp.example/", "https://a b/",
		"https://[::1/", "HTTP://idp.example", "unix:/run/x",
	} {
		if e := outbound.As((&outbound.Options{}).Check(raw)); e == nil || e.Kind != outbound.Refused {
			t.Errorf("Check(%q) = %v, want Refused", raw, e)
		}
	}
}

func TestAllowedNetworksAndPlainHTTPAreExceptions(t *testing.T) {
	o := &outbound.Options{AllowHTTP: true, Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("127.0.0.0/8")}}
	for raw, ok := range map[string]bool{
		"http://10.1.2.3/": true, "https://10.1.2.3": true, "https://[::ffff:10.1.2.3]/": true, "https://[64:ff9b::10.1.2.3]/": true,
		"http://10.2.0.1/": false, "http://localhost/": true, "http://169.254.169.254/": false, "ftp://10.1.2.3/": false,
	} {
		if err := o.Check(raw); (err == nil) != ok {
			t.Errorf("Check(%s) = %v", raw, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("https://[::ffff:127.0.0.1]:443/x")
	f.Add("https://user@10.0.0.1")
	f.Fuzz(func(t *testing.T, raw string) {
		if err := (&outbound.Options{}).Check(raw); err != nil && outbound.As(err).Kind != outbound.Refused {
			t.Errorf("Check(%q) = %v", raw, err)
		}
	})
}
