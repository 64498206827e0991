// Package nametest gives a test real name servers of its own: BIND's named, on loopback ports.
//
// Purpose: an authority for zones whose records a test changes while it runs, and a resolver in front of it that checks
// signatures. Invariant: every server is dead, and waited for, before the test's directory is removed; a server has answered before
// Authority or Resolver returns. It must never skip (a machine without named fails the test and says how to get it), listen beyond
// this machine, ask the internet, or reach the binary. First file to read: this one; process.go runs named.
package nametest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Zone is one zone of an authority.
type Zone struct {
	Name    string   // without a dot at the end
	Records []string // besides SOA and NS, in the form of zone files, with full names
	Signed  bool
}

// Server is a named that lives as long as its test. Its methods fail the test instead of returning errors.
type Server struct {
	t     testing.TB
	p     *process
	zones []Zone
}

// Authority runs a named that is the authority for zones.
func Authority(t testing.TB, zones ...Zone) *Server {
	t.Helper()
	p := newProcess(t)
	var conf strings.Builder
	fmt.Fprint(&conf, "recursion no; dnssec-validation no; notify no; allow-transfer { none; };\n};\n")
	for _, z := range zones {
		file := filepath.Join(p.dir, z.Name+".zone")
		text := fmt.Sprintf("$TTL 1\n%[1]s. SOA ns.%[1]s. hostmaster.%[1]s. 1 3600 600 86400 1\n%[1]s. NS ns.%[1]s.\nns.%[1]s. A 127.0.0.1\n%[2]s\n",
			z.Name, strings.Join(z.Records, "\n"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		signing := ""
		if z.Signed {
			signing = "dnssec-policy default;"
		}
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; allow-update { 127.0.0.1; }; %s };\n", z.Name, file, signing)
	}
	s := &Server{t: t, p: p, zones: zones}
	p.run(conf.String(), func() bool { return s.up() })
	return s
}

// up reports whether every zone is served, and signed where it shall be.
func (s *Server) up() bool {
	for _, z := range s.zones {
		what := dns.TypeSOA
		if z.Signed {
			what = dns.TypeDNSKEY
		}
		m := new(dns.Msg).SetQuestion(dns.Fqdn(z.Name), what)
		m.SetEdns0(4096, true)
		r, err := s.exchange(m)
		if err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
			return false
		}
		signed := false
		for _, rr := range r.Answer {
			_, is := rr.(*dns.RRSIG)
			signed = signed || is
		}
		if z.Signed && !signed {
			return false
		}
	}
	return true
}

func (s *Server) exchange(m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: "tcp", Timeout: time.Second}
	r, _, err := client.Exchange(m, s.Addr())
	return r, err
}

// Addr is where the server answers, 127.0.0.1:port.
func (s *Server) Addr() string { return s.p.addr() }

// Log is what the server has logged so far, for messages of failed tests.
func (s *Server) Log() string { return s.p.log() }

// Set puts records, in the form of zone files, in the place of all records of a name; none removes it.
func (s *Server) Set(name string, records ...string) {
	s.t.Helper()
	zone := ""
	for _, z := range s.zones {
		if dns.IsSubDomain(dns.Fqdn(z.Name), dns.Fqdn(name)) && len(z.Name) > len(zone) {
			zone = z.Name
		}
	}
	m := new(dns.Msg).SetUpdate(dns.Fqdn(zone))
	m.RemoveName([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(name)}}})
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			s.t.Fatalf("nametest: %q: %v", text, err)
		}
		m.Insert([]dns.RR{rr})
	}
	r, err := s.exchange(m)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		s.t.Fatalf("nametest: set %s: %v, %v\n%s", name, err, r, s.Log())
	}
}

// Kill ends the server at once. Its port answers nothing from then on.
func (s *Server) Kill() { s.p.kill() }

// Resolver runs a named that answers questions about an authority's zones, and checks the signatures of those that are signed. What
// it has heard it remembers for the second it came in, no longer.
func Resolver(t testing.TB, authority *Server) *Server {
	t.Helper()
	p := newProcess(t)
	port := authority.p.port
	var conf strings.Builder
	fmt.Fprint(&conf, "recursion yes; allow-query { any; }; dnssec-validation yes; synth-from-dnssec no; max-cache-ttl 0; max-ncache-ttl 0; "+
		"empty-zones-enable no;\n};\n")
	// What lies outside the zones is nobody's: the authority refuses it, and the resolver says SERVFAIL.
	fmt.Fprintf(&conf, "zone \".\" { type forward; forward only; forwarders { 127.0.0.1 port %d; }; };\n", port)
	anchors := ""
	for _, z := range authority.zones {
		fmt.Fprintf(&conf, "zone %q { type forward; forward only; forwarders { 127.0.0.1 port %d; }; };\n", z.Name, port)
		if z.Signed {
			anchors += authority.anchor(z.Name)
		}
	}
	if anchors != "" {
		fmt.Fprintf(&conf, "trust-anchors {\n%s};\n", anchors)
	}
	s := &Server{t: t, p: p}
	p.run(conf.String(), func() bool {
		r, err := s.exchange(new(dns.Msg).SetQuestion(dns.Fqdn(authority.zones[0].Name), dns.TypeSOA))
		return err == nil && r.Rcode == dns.RcodeSuccess && r.RecursionAvailable
	})
	return s
}

// anchor is the key of a zone, as a line of trust-anchors.
func (s *Server) anchor(zone string) string {
	s.t.Helper()
	r, err := s.exchange(new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeDNSKEY))
	if err != nil {
		s.t.Fatalf("nametest: the key of %s: %v", zone, err)
	}
	const entryPoint = 257
	for _, rr := range r.Answer {
		if k, ok := rr.(*dns.DNSKEY); ok && k.Flags == entryPoint {
			return fmt.Sprintf("  %q static-key %d %d %d %q;\n", dns.Fqdn(zone), k.Flags, k.Protocol, k.Algorithm, k.PublicKey)
		}
	}
	s.t.Fatalf("nametest: %s has no key: %v", zone, r.Answer)
	return ""
}
