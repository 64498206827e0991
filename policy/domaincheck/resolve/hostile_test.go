package resolve_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
	"github.com/postern-audit/postern/policy/domaincheck/resolve"
)

// responder answers on one loopback port over UDP and TCP with whatever its function makes of a question; nil is silence.
type responder struct {
	addr string
	mu   sync.Mutex
	seen []heard
}

// heard is one question.
type heard struct {
	network string
	port    int
	id      uint16
	m       *dns.Msg
}

func (r *responder) questions() []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// listeners have one port in common. What UDP has free something else may have over TCP.
func listeners(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var err error
	for range 50 {
		udp, errUDP := net.ListenPacket("udp", "127.0.0.1:0")
		if errUDP != nil {
			t.Fatal(errUDP)
		}
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		_ = udp.Close()
	}
	t.Fatal(err)
	return nil, nil
}

func respond(t *testing.T, f func(network string, q *dns.Msg) []byte) *responder {
	t.Helper()
	udp, tcp := listeners(t)
	r := &responder{addr: udp.LocalAddr().String()}
	var wait sync.WaitGroup
	take := func(network string, from net.Addr, b []byte) []byte {
		q := new(dns.Msg)
		if err := q.Unpack(b); err != nil {
			t.Errorf("a question that cannot be read: %v", err)
			return nil
		}
		port := 0
		if a, ok := from.(*net.UDPAddr); ok {
			port = a.Port
		}
		r.mu.Lock()
		r.seen = append(r.seen, heard{network, port, q.Id, q})
		r.mu.Unlock()
		return f(network, q)
	}
	wait.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := take("udp", from, b[:n]); answer != nil {
				_, _ = udp.WriteTo(answer, from)
			}
		}
	})
	wait.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			var n uint16
			if err := binary.Read(c, binary.BigEndian, &n); err == nil {
				b := make([]byte, n)
				if _, err := io.ReadFull(c, b); err == nil {
					if answer := take("tcp", c.RemoteAddr(), b); answer != nil {
						_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
					}
				}
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_, _ = udp.Close(), tcp.Close()
		wait.Wait()
	})
	return r
}

const name = "_postern-challenge.example.org."

func reply(q *dns.Msg, change func(m *dns.Msg)) []byte {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	change(m)
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

func rr(s string) dns.RR {
	r, err := dns.NewRR(s)
	if err != nil {
		return nil
	}
	return r
}

func shown(m *dns.Msg) {
	m.Answer = append(m.Answer, rr(txt("_postern-challenge.example.org", right())))
}

func denied(m *dns.Msg) {
	m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{rr("example.org. 1 IN SOA ns.example.org. h.example.org. 1 1 1 1 1")}
}

func TestOnlyAReplyToTheQuestionCounts(t *testing.T) {
	soa := func(zone string) dns.RR { return rr(zone + " 1 IN SOA ns.example.org. h.example.org. 1 1 1 1 1") }
	always := func(change func(m *dns.Msg)) func(string, *dns.Msg) []byte {
		return func(_ string, q *dns.Msg) []byte { return reply(q, change) }
	}
	for what, c := range map[string]struct {
		answer func(network string, q *dns.Msg) []byte
		want   string
	}{
		"as it should be":               {always(shown), "FOUND SHOWN"},
		"denied":                        {always(denied), "ABSENT NXDOMAIN"},
		"denied by a parent":            {always(func(m *dns.Msg) { m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa("org.")} }), "ABSENT NXDOMAIN"},
		"no records, with SOA":          {always(func(m *dns.Msg) { m.Ns = []dns.RR{soa("example.org.")} }), "ABSENT NODATA"},
		"denied without SOA":            {always(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }), "UNKNOWN LAME"},
		"denied by a stranger's SOA":    {always(func(m *dns.Msg) { m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa("example.net.")} }), "UNKNOWN LAME"},
		"nothing at all":                {always(func(*dns.Msg) {}), "UNKNOWN LAME"},
		"a referral":                    {always(func(m *dns.Msg) { m.Ns = []dns.RR{rr("example.org. 1 IN NS ns.example.org.")} }), "UNKNOWN LAME"},
		"no recursion":                  {always(func(m *dns.Msg) { denied(m); m.RecursionAvailable = false }), "UNKNOWN LAME"},
		"SERVFAIL":                      {always(func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }), "UNKNOWN SERVFAIL"},
		"SERVFAIL with a record":        {always(func(m *dns.Msg) { shown(m); m.Rcode = dns.RcodeServerFailure }), "UNKNOWN SERVFAIL"},
		"SERVFAIL with an SOA":          {always(func(m *dns.Msg) { denied(m); m.Rcode = dns.RcodeServerFailure }), "UNKNOWN SERVFAIL"},
		"REFUSED":                       {always(func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }), "UNKNOWN REFUSED"},
		"FORMERR":                       {always(func(m *dns.Msg) { m.Rcode = dns.RcodeFormatError }), "UNKNOWN REFUSED"},
		"a record and NXDOMAIN":         {always(func(m *dns.Msg) { shown(m); denied(m) }), "UNKNOWN MALFORMED"},
		"another name's record":         {always(func(m *dns.Msg) { m.Answer = []dns.RR{rr(txt("_postern-challenge.example.net", right()))} }), "UNKNOWN LAME"},
		"the record in another section": {always(func(m *dns.Msg) { m.Extra = []dns.RR{rr(txt("_postern-challenge.example.org", right()))} }), "UNKNOWN LAME"},
		"in capitals":                   {always(func(m *dns.Msg) { m.Answer = []dns.RR{rr(txt("_POSTERN-challenge.EXAMPLE.org", right()))} }), "FOUND SHOWN"},
		"another question":              {always(func(m *dns.Msg) { shown(m); m.Question[0].Name = "_postern-challenge.example.net." }), "UNKNOWN MALFORMED"},
		"another type":                  {always(func(m *dns.Msg) { shown(m); m.Question[0].Qtype = dns.TypeA }), "UNKNOWN MALFORMED"},
		"no question":                   {always(func(m *dns.Msg) { shown(m); m.Question = nil }), "UNKNOWN MALFORMED"},
		"a question":                    {always(func(m *dns.Msg) { shown(m); m.Response = false }), "UNKNOWN MALFORMED"},
		"another opcode":                {always(func(m *dns.Msg) { shown(m); m.Opcode = dns.OpcodeNotify }), "UNKNOWN MALFORMED"},
		"another id":                    {always(func(m *dns.Msg) { shown(m); m.Id ^= 1 }), "UNKNOWN TIMEOUT"},
		"silence":                       {func(string, *dns.Msg) []byte { return nil }, "UNKNOWN TIMEOUT"},
		"garbage":                       {func(_ string, q *dns.Msg) []byte { return append(reply(q, shown)[:20], 0xff, 0xff, 0xff) }, "UNKNOWN MALFORMED"},
		"an empty datagram":             {func(string, *dns.Msg) []byte { return []byte{} }, "UNKNOWN MALFORMED"},
		"a pointer loop": {func(_ string, q *dns.Msg) []byte {
			b := reply(q, func(*dns.Msg) {})
			binary.BigEndian.PutUint16(b[6:], 1)
			return append(b, 0xc0, byte(len(b)))
		}, "UNKNOWN MALFORMED"},
		"cut short, whole over TCP": {func(network string, q *dns.Msg) []byte {
			if network == "udp" {
				return reply(q, func(m *dns.Msg) { m.Truncated = true })
			}
			return reply(q, shown)
		}, "FOUND SHOWN"},
		"cut short with the record in it, and denied over TCP": {func(network string, q *dns.Msg) []byte {
			if network == "udp" {
				return reply(q, func(m *dns.Msg) { shown(m); m.Truncated = true })
			}
			return reply(q, denied)
		}, "ABSENT NXDOMAIN"},
		"cut short for ever": {always(func(m *dns.Msg) { shown(m); m.Truncated = true }), "UNKNOWN TOO_LARGE"},
		"cut short, nothing over TCP": {func(network string, q *dns.Msg) []byte {
			if network == "udp" {
				return reply(q, func(m *dns.Msg) { m.Truncated = true })
			}
			return nil
		}, "UNKNOWN MALFORMED"},
		"an alias that leads in a circle": {func(_ string, q *dns.Msg) []byte {
			return reply(q, func(m *dns.Msg) {
				m.Answer = []dns.RR{rr(q.Question[0].Name + " 1 IN CNAME _postern-challenge.x.example.org.")}
			})
		}, "ABSENT ALIAS_ELSEWHERE"},
		"an alias, and then trouble": {func(_ string, q *dns.Msg) []byte {
			if q.Question[0].Name != name {
				return reply(q, func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure })
			}
			return reply(q, func(m *dns.Msg) { m.Answer = []dns.RR{rr(name + " 1 IN CNAME _postern-challenge.x.example.org.")} })
		}, "UNKNOWN SERVFAIL"},
		"an alias whose records come when asked for": {func(_ string, q *dns.Msg) []byte {
			if q.Question[0].Name != name {
				return reply(q, func(m *dns.Msg) { m.Answer = []dns.RR{rr(txt("_postern-challenge.x.example.org", right()))} })
			}
			return reply(q, func(m *dns.Msg) { m.Answer = []dns.RR{rr(name + " 1 IN CNAME _postern-challenge.x.example.org.")} })
		}, "FOUND SHOWN"},
		"the right text, escaped": {always(func(m *dns.Msg) {
			text := domaincheck.Text(token(1), time.Time{})
			m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text + `\000`}}}
		}), "ABSENT OTHER_RECORDS"},
	} {
		s := respond(t, c.answer)
		r := resolver(t, resolve.Config{Servers: []string{s.addr}, Timeout: 200 * time.Millisecond})
		challenge := policy.DomainChallenge{Domain: domain(t, "example.org"), Token: token(1)}
		f := r.Check(t.Context(), &challenge, moment)
		if got := f.Outcome.String() + " " + f.Reason; got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
		if n := len(s.questions()); n == 0 || n > resolve.Exchanges {
			t.Errorf("%s: asked %d times", what, n)
		}
	}
}

func TestWhoeverAnswersLateOrNotAtAllIsTroubleNotADenial(t *testing.T) {
	lost := 0
	var mu sync.Mutex
	once := respond(t, func(_ string, q *dns.Msg) []byte {
		mu.Lock()
		defer mu.Unlock()
		if lost++; lost == 1 {
			return nil
		}
		return reply(q, shown)
	})
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.LocalAddr().String()
	_ = closed.Close()
	challenge := policy.DomainChallenge{Domain: domain(t, "example.org"), Token: token(1)}
	for server, want := range map[string]string{once.addr: "FOUND SHOWN", nobody: "UNKNOWN UNREACHABLE"} {
		f := resolver(t, resolve.Config{Servers: []string{server}, Timeout: time.Second}).Check(t.Context(), &challenge, moment)
		if got := f.Outcome.String() + " " + f.Reason; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if f := resolver(t, resolve.Config{Servers: []string{once.addr}}).Check(over, &challenge, moment); f.Outcome != domaincheck.Unknown || f.Reason != domaincheck.ReasonTimeout {
		t.Errorf("when the call is over: %+v", f)
	}
}

func TestALiarAloneConvincesNobody(t *testing.T) {
	answer := func(change func(m *dns.Msg)) string {
		return respond(t, func(_ string, q *dns.Msg) []byte { return reply(q, change) }).addr
	}
	honest, second, liar := answer(denied), answer(denied), answer(func(m *dns.Msg) { shown(m); m.AuthenticatedData = true })
	challenge := policy.DomainChallenge{Domain: domain(t, "example.org"), Token: token(1)}
	check := func(trusts bool, servers ...string) string {
		f := resolver(t, resolve.Config{Servers: servers, Timeout: 5 * time.Second, TrustsAD: trusts}).Check(t.Context(), &challenge, moment)
		if f.DNSSEC && !trusts {
			t.Errorf("%+v", f)
		}
		return f.Outcome.String() + " " + f.Reason
	}
	if got := check(false, honest, liar); got != "UNKNOWN DISAGREE" {
		t.Error(got)
	}
	if got := check(false, honest, second, liar); got != "UNKNOWN DISAGREE" {
		t.Error(got)
	}
	if got := check(false, honest, second); got != "ABSENT NXDOMAIN" {
		t.Error(got)
	}
	// Whoever says so trusts the resolvers, and the way to them.
	if got := check(true, honest, liar); got != "FOUND SHOWN" {
		t.Error(got)
	}
}

func TestEveryQuestionHasAnIdAndAPortOfItsOwn(t *testing.T) {
	s := respond(t, func(_ string, q *dns.Msg) []byte { return reply(q, denied) })
	r := resolver(t, resolve.Config{Servers: []string{s.addr}, Timeout: 5 * time.Second})
	const n = 40
	for range n {
		r.Ask(t.Context(), domain(t, "example.org"))
	}
	ids, ports := map[uint16]bool{}, map[int]bool{}
	for _, q := range s.questions() {
		ids[q.id], ports[q.port] = true, true
		if !q.m.RecursionDesired || !q.m.AuthenticatedData || q.m.CheckingDisabled || q.m.IsEdns0() == nil || q.m.Question[0].Qtype != dns.TypeTXT {
			t.Fatalf("%v", q.m)
		}
	}
	if len(ids) < n/2 || len(ports) < n/2 {
		t.Errorf("%d ids and %d ports of %d questions", len(ids), len(ports), n)
	}
}

func TestResolversAreChecked(t *testing.T) {
	for _, bad := range [][]string{nil, {"192.0.2.1"}, {"resolver.example:53"}, {"192.0.2.1:0"}, {"192.0.2.1:dns"}, {"192.0.2.1:53", "192.0.2.1:53"}, slices.Repeat([]string{"192.0.2.1:53"}, 9)} {
		if _, err := resolve.New(resolve.Config{Servers: bad}); !errs.Is(err, "RESOLVERS_INVALID") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, good := range [][]string{{"192.0.2.1:53"}, {"[2001:db8::1]:53", "[fe80::1%eth0]:5353"}} {
		if _, err := resolve.New(resolve.Config{Servers: good}); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("search example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.1\nnameserver nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve.SystemServers(file); err != nil || !slices.Equal(got, []string{"192.0.2.1:53", "[2001:db8::1]:53"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := resolve.SystemServers(file + "x"); !errs.Is(err, "RESOLVERS_UNREADABLE") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
