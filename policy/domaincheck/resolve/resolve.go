package resolve

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// Config says who is asked, and how.
type Config struct {
	// Servers are resolvers, host:port with a numeric host; at least one, at most MaxServers.
	Servers []string
	// Timeout bounds one exchange; 0: 2 s. A look is at most Exchanges of them.
	Timeout time.Duration
	// TrustsAD believes resolvers that say they checked signatures. The way to them must then be trusted as well.
	TrustsAD bool
}

const (
	// MaxServers is how many resolvers are asked at most.
	MaxServers = 8
	// Exchanges is how many exchanges a look takes at most: for each of two names two over UDP, the first of which was lost, or one of
	// them and one over TCP.
	Exchanges = 4

	defaultTimeout = 2 * time.Second
	udpSize        = 1232 // what passes everywhere in one piece
	tries          = 2
)

// Resolver asks resolvers. Safe for concurrent use.
type Resolver struct {
	servers  []string
	timeout  time.Duration
	trustsAD bool
}

// New returns a resolver, or an error that names what is wrong with c.
func New(c Config) (*Resolver, error) {
	if len(c.Servers) == 0 || len(c.Servers) > MaxServers {
		return nil, errs.Newf(errs.Invalid, "RESOLVERS_INVALID", "there must be 1 to %d resolvers", MaxServers)
	}
	for i, s := range c.Servers {
		host, port, err := net.SplitHostPort(s)
		n, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || n == 0 || net.ParseIP(zoneless(host)) == nil {
			return nil, errs.New(errs.Invalid, "RESOLVERS_INVALID", "a resolver is an IP address and a port, such as 192.0.2.53:53 or [2001:db8::53]:53")
		}
		if slices.Contains(c.Servers[:i], s) {
			return nil, errs.New(errs.Invalid, "RESOLVERS_INVALID", "a resolver is named twice: it would agree with itself")
		}
	}
	r := &Resolver{servers: slices.Clone(c.Servers), timeout: c.Timeout, trustsAD: c.TrustsAD}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	return r, nil
}

func zoneless(host string) string {
	for i := range len(host) {
		if host[i] == '%' {
			return host[:i]
		}
	}
	return host
}

// SystemServers reads the resolvers of a file such as /etc/resolv.conf, those that New takes.
func SystemServers(path string) ([]string, error) {
	c, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, errs.Wrap(err, errs.FailedPrecondition, "RESOLVERS_UNREADABLE", "the system's resolvers cannot be read from "+path)
	}
	var out []string
	for _, s := range c.Servers {
		server := net.JoinHostPort(s, c.Port)
		if len(out) < MaxServers && net.ParseIP(zoneless(s)) != nil && !slices.Contains(out, server) {
			out = append(out, server)
		}
	}
	return out, nil
}

// Check asks for a challenge's record and says what the answers come to.
func (r *Resolver) Check(ctx context.Context, c *policy.DomainChallenge, now time.Time) domaincheck.Finding {
	return domaincheck.Judge(r.Ask(ctx, c.Domain), c.Token, c.Expires, now)
}

// Ask asks every resolver for the TXT records of a domain's challenge name, and returns their answers in the order of the
// resolvers.
func (r *Resolver) Ask(ctx context.Context, d policy.Domain) []domaincheck.Answer {
	answers := make([]domaincheck.Answer, len(r.servers))
	var wait sync.WaitGroup
	for i, server := range r.servers {
		wait.Go(func() { answers[i] = r.ask(ctx, server, dns.Fqdn(domaincheck.Name(d))) })
	}
	wait.Wait()
	return answers
}

// ask asks one resolver. An alias of another challenge name whose records did not come along is asked about once.
func (r *Resolver) ask(ctx context.Context, server, name string) domaincheck.Answer {
	reply, reason := r.exchange(ctx, server, name)
	if reason != "" {
		return domaincheck.Answer{Reason: reason}
	}
	answer, alias := read(reply, name)
	if alias != "" {
		second, reason := r.exchange(ctx, server, alias)
		if reason != "" {
			return domaincheck.Answer{Reason: reason}
		}
		first := reply.AuthenticatedData
		reply = second
		if answer, alias = read(reply, alias); alias != "" {
			answer = domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonAlias}
		}
		reply.AuthenticatedData = reply.AuthenticatedData && first
	}
	answer.DNSSEC = r.trustsAD && reply.AuthenticatedData && answer.Kind != domaincheck.Failed
	return answer
}

// exchange asks one question over UDP and, when the answer is cut short, over TCP. What was lost is asked once more. A reply that
// comes without a reason answers the question.
func (r *Resolver) exchange(ctx context.Context, server, name string) (*dns.Msg, string) {
	reply, reason := r.once(ctx, "udp", server, name)
	for try := 1; try < tries && reason == domaincheck.ReasonTimeout && ctx.Err() == nil; try++ {
		reply, reason = r.once(ctx, "udp", server, name)
	}
	if reason == "" && reply.Truncated {
		if reply, reason = r.once(ctx, "tcp", server, name); reason == "" && reply.Truncated {
			return nil, domaincheck.ReasonTooLarge
		}
	}
	return reply, reason
}

// once is one exchange on a socket of its own, so that the system picks a random port for it.
func (r *Resolver) once(ctx context.Context, network, server, name string) (*dns.Msg, string) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	question := new(dns.Msg).SetQuestion(name, dns.TypeTXT) // a random id, recursion desired
	question.AuthenticatedData = true                       // to be told whether signatures were checked
	question.SetEdns0(udpSize, false)
	client := dns.Client{Net: network, UDPSize: udpSize, Timeout: r.timeout}
	reply, _, err := client.ExchangeContext(ctx, question, server)
	var trouble net.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &trouble) && trouble.Timeout():
		return nil, domaincheck.ReasonTimeout
	case errors.As(err, &trouble):
		return nil, domaincheck.ReasonUnreachable
	case err != nil:
		return nil, domaincheck.ReasonMalformed
	case !answers(reply, question):
		return nil, domaincheck.ReasonMalformed
	}
	return reply, ""
}

// answers reports whether a reply is one to this very question.
func answers(reply, question *dns.Msg) bool {
	if !reply.Response || reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], question.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && same(got.Name, want.Name)
}
