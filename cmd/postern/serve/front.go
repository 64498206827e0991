package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/policy/policypb"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/rest"
)

// front is what callers reach.
type front struct {
	server  *server.Server
	gateway *rest.Gateway // nil without HTTP
	socket  net.Listener
	tcp     net.Listener // nil unless configured
	http    net.Listener // nil without HTTP
	serving bool
	waits   []func(context.Context) error // for what serves
}

func (f *front) httpAddress() string {
	if f.http == nil {
		return ""
	}
	return f.http.Addr().String()
}

// openFront makes the server and opens its listeners. Nothing is served yet.
func (p *process) openFront(ctx context.Context) error {
	var err error
	if p.front.server, err = server.New(p.serverConfig()); err != nil { //nolint:contextcheck // it outlives the start
		return err
	}
	p.closers.add("listeners", p.front.close)
	return p.listen(ctx)
}

// startFront begins to serve.
func (p *process) startFront() {
	f := &p.front
	f.serving = true
	l := server.Listeners{Socket: f.socket, Open: f.tcp}
	if f.gateway != nil {
		l.Gateway = f.gateway.Listener()
		f.waits = append(f.waits, p.background("HTTP", func() error { return f.gateway.Serve(f.http) }))
	}
	f.waits = append(f.waits, p.background("gRPC", func() error { return f.server.Serve(l) }))
}

// close takes no more calls and lets those that run come to an end: HTTP first, whose calls go through gRPC.
func (f *front) close(ctx context.Context) error {
	var problems []error
	f.server.SetServing(false)
	if f.gateway != nil {
		problems = append(problems, f.gateway.Shutdown(ctx))
	}
	problems = append(problems, f.server.Shutdown(ctx))
	if !f.serving { // serving closes them
		problems = append(problems, f.closeListeners())
	}
	for _, wait := range f.waits {
		problems = append(problems, wait(ctx))
	}
	return errors.Join(problems...)
}

func (f *front) closeListeners() error {
	var problems []error
	for _, l := range []net.Listener{f.socket, f.tcp, f.http} {
		if l != nil {
			problems = append(problems, l.Close())
		}
	}
	return errors.Join(problems...)
}

func (p *process) listen(ctx context.Context) error {
	f := &p.front
	var err error
	if f.socket, err = listenSocket(p.c.SocketPath()); err != nil {
		return &ConfigError{fmt.Errorf("listen.socket: %w", err)}
	}
	var lc net.ListenConfig
	if p.c.Listen.TCP != "" {
		if f.tcp, err = lc.Listen(ctx, "tcp", p.c.Listen.TCP); err != nil {
			return &ConfigError{fmt.Errorf("listen.tcp: %w", err)}
		}
		p.log.WarnContext(ctx, "whoever reaches the TCP address may do anything: listen.insecure_no_authentication is set", "tcp", f.tcp.Addr().String())
	}
	if p.c.HTTP.Address == "" {
		return nil
	}
	key, err := rest.LoadOrCreateKey(p.c.HTTPKeyPath())
	if err != nil {
		return &ConfigError{fmt.Errorf("http.key_file: %w", err)}
	}
	if f.http, err = lc.Listen(ctx, "tcp", p.c.HTTP.Address); err != nil {
		return &ConfigError{fmt.Errorf("http.address: %w", err)}
	}
	events, err := p.eventsAPI()
	if err != nil {
		return err
	}
	_, hosts := p.public()
	f.gateway, err = rest.New(rest.Config{ //nolint:contextcheck // it outlives the start
		Key: key, Record: f.server.Refusals().Record, Ready: func() (bool, any) { return p.watch.status() },
		Metrics: p.metrics.Handler(), Events: events, Hosts: hosts, Exports: p.exportFiles(), Log: p.log})
	return err
}

func (p *process) serverConfig() server.Config {
	s := &p.stores
	c := server.Config{
		Outbox: s.flows.Outbox(), Directory: s.directory, Live: p.work.flows, Forms: forms(s.codec.Mask),
		UIDs: []uint32{uint32(os.Geteuid()), 0}, //nolint:gosec // a user id
		Now:  p.clock.Now, NewID: newID, Log: p.log, Observe: p.metrics.Call, Unrecorded: p.metrics.Unrecorded, CallTimeout: p.c.Deadlines.Call,
		Reflection: p.c.Development.Reflection,
	}
	if p.has(config.ComponentSignIn) {
		c.SignIn = &server.SignIn{Flows: p.work.flows, Federation: p.work.flows}
	}
	if p.has(config.ComponentSignIn) || p.has(config.ComponentAPI) { // login services enrol, help desks mend
		c.Factors = &server.Factors{Holders: p.work.factors, Many: p.work.factors, MAC: s.keysets.Namer()}
	}
	if p.has(config.ComponentAPI) {
		c.Query = &server.Query{
			Reader: s.archive, Opener: s.codec, Indexer: s.keyring, Keys: s.keyring, Records: s.flows, Archived: p.work.source,
			Apply: p.applier(), Connections: p.connections(), Policies: p.policies(), Simulations: p.simulations(), Past: p.work.past, Domains: p.domains(), Accounts: p.accounts(), Imports: p.accounts(),
			Tester: p.work.providers, Namer: s.namer, MAC: s.keysets.Namer(),
		}
		c.Query.Filters, c.Query.Erasures = p.work.filters, p.work.erasures
		c.Query.Counter = s.archive
		c.Query.People = s.archive
		c.Query.Retentions, c.Query.LiveTallies = s.archive, s.flows
		c.Query.Exports, c.Query.ExportURL = p.work.exports.jobs, p.exportURL
		c.Query.Retentions, c.Query.LiveTallies = s.archive, s.flows
		r := p.resources()
		c.Query.Organizations, c.Query.Sites, c.Query.ConnectionChanges = r, r, r
		c.Identities = &server.Identities{Keeper: p.work.identities, MAC: s.keysets.Namer()}
		c.APIKeys = &server.APIKeys{Keeper: wakingKeys{p.work.apiKeys, p.work.wake}, MAC: s.keysets.Namer()}
		if p.work.archiver != nil {
			c.Query.Wake = p.work.archiver.Subscribe
		}
	}
	return c
}

// forms are the conversions to the API's messages, which the server takes from the adapters that also store them.
func forms(mask func(*audit.Event) error) convert.Forms {
	return convert.Forms{
		Event: codec.ToProto, Personal: codec.PersonalToProto, Decision: codec.DecisionToProto,
		Organization: policypb.FromOrganization, Policy: policypb.FromPolicyOf, Domain: policypb.FromDomain,
		Connection: policypb.FromConnection, Mask: mask,
	}
}
