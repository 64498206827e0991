package serve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/domaincheck"
	"github.com/postern-audit/postern/policy/domaincheck/resolve"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// systemResolvers is where a system says which resolvers it uses.
const systemResolvers = "/etc/resolv.conf"

// openResolver makes what asks resolvers. A process without any starts: domains are then not verified, and nothing else needs one.
func (p *process) openResolver(ctx context.Context) (directory.DomainChecker, error) {
	servers := p.c.DNS.Resolvers
	if !p.has(config.ComponentAPI) {
		return nil, nil //nolint:nilnil // nothing here asks
	}
	if len(servers) == 0 {
		found, err := resolve.SystemServers(systemResolvers)
		if err != nil || len(found) == 0 {
			p.log.WarnContext(ctx, "no resolvers are configured and the system names none: domains are not verified by their records; set dns.resolvers", "error", err)
			return noResolver{}, nil
		}
		servers = found
	}
	r, err := resolve.New(resolve.Config{Servers: servers, Timeout: p.c.DNS.Timeout, TrustsAD: p.c.DNS.TrustsAD})
	if err != nil {
		return nil, &ConfigError{fmt.Errorf("dns.resolvers: %w", err)}
	}
	return r, nil
}

// noResolver finds nothing out.
type noResolver struct{}

// Check implements directory.DomainChecker.
func (noResolver) Check(context.Context, *policy.DomainChallenge, time.Time) domaincheck.Finding {
	return domaincheck.Judge(nil, policy.ChallengeToken{}, time.Time{}, time.Time{})
}

// domainCases are the use cases around domains in this process.
func (p *process) domainCases() *directory.Domains {
	d := p.stores.directory
	return &directory.Domains{
		Directory: d, Writer: d, Challenges: d, Owners: d, Checker: p.work.checker, Namer: p.stores.namer, NewID: newID, NewToken: newToken,
		Jitter: jitter, Now: p.clock.Now, Checked: func(f domaincheck.Finding, event audit.Type) {
			p.metrics.DomainChecked(f.Outcome.String(), f.Reason, string(event))
			if event != "" {
				p.work.wake()
			}
		},
	}
}

func newToken() (t policy.ChallengeToken) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}

// jitter is a random number from 0 to 1.
func jitter() float64 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return float64(binary.BigEndian.Uint32(b[:])) / (1 << 32)
}

func (p *process) startRechecker() error {
	c := directory.RecheckerConfig{Domains: p.domainCases(), Partitions: p.c.Partitions, Log: p.log,
		Broken: func(err error) { p.fail("looks at domains", err) }}
	if !p.c.Embedded() {
		c.Lease = func(ctx context.Context, partition int) (bool, error) {
			held, err := p.stores.flows.Lease(ctx, []int{partition}, "checker", p.holder)
			return len(held) == 1 && held[0], err
		}
	}
	r, err := directory.NewRechecker(c)
	if err != nil {
		return err
	}
	r.Start()
	p.closers.add("looks at domains", func(context.Context) error {
		r.Stop()
		return nil
	})
	return nil
}

// domains gives the server the use cases around domains.
type domains struct{ cases *directory.Domains }

func (p *process) domains() domains { return domains{p.domainCases()} }

func shown(d directory.Domain, err error) (*posternv1.Domain, error) {
	if err != nil {
		return nil, err
	}
	return policypb.FromOwnDomain(d.OrganizationID, d.Record, d.Challenge, d.Etag()), nil
}

func domainInput(in convert.DomainChange) directory.DomainInput {
	return directory.DomainInput{Organization: in.Organization, Domain: in.Domain, RequestID: in.RequestID, Etag: in.Etag, Reason: in.Reason,
		Admin: in.Admin, Force: in.Force}
}

// Create implements server.Domains.
func (d domains) Create(ctx context.Context, principal string, in convert.NewDomain) (*posternv1.Domain, error) {
	return shown(d.cases.Create(ctx, principal, directory.NewDomain{Organization: in.Organization, Domain: in.Domain, Subdomains: in.Subdomains,
		LapseAfter: in.LapseAfter, RequestID: in.RequestID, Reason: in.Reason}))
}

// Get implements server.Domains.
func (d domains) Get(ctx context.Context, organization string, name policy.Domain) (*posternv1.Domain, error) {
	return shown(d.cases.Get(ctx, organization, name))
}

// List implements server.Domains.
func (d domains) List(ctx context.Context, organization string, after policy.Domain, limit int) ([]*posternv1.Domain, error) {
	list, err := d.cases.List(ctx, organization, after, limit)
	out := make([]*posternv1.Domain, len(list))
	for i := range list {
		out[i] = policypb.FromOwnDomain(list[i].OrganizationID, list[i].Record, list[i].Challenge, list[i].Etag())
	}
	return out, err
}

// Update implements server.Domains.
func (d domains) Update(ctx context.Context, principal string, in convert.DomainUpdate) (*posternv1.Domain, error) {
	return shown(d.cases.Update(ctx, principal, directory.DomainUpdate{DomainInput: domainInput(in.DomainChange), Subdomains: in.Subdomains, LapseAfter: in.LapseAfter}))
}

// Verify implements server.Domains.
func (d domains) Verify(ctx context.Context, principal string, in convert.DomainChange) (*posternv1.Domain, error) {
	return shown(d.cases.Verify(ctx, principal, domainInput(in)))
}

// ConfirmRemoval implements server.Domains.
func (d domains) ConfirmRemoval(ctx context.Context, principal string, in convert.DomainChange) (*posternv1.Domain, error) {
	return shown(d.cases.ConfirmRemoval(ctx, principal, domainInput(in)))
}

// Delete implements server.Domains.
func (d domains) Delete(ctx context.Context, principal string, in convert.DomainChange) error {
	return d.cases.Delete(ctx, principal, domainInput(in))
}
