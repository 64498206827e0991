package serve

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/apikey/rediskeys"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/idp"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/erasure/rediserasures"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/keeping"
	"github.com/postern-audit/postern/policy/past"
	"github.com/postern-audit/postern/savedfilter"
)

// work is what runs without being called.
type work struct {
	flows    *authflow.Flows
	factors  *authflow.Authenticators
	sweeper  *authflow.Sweeper  // nil without the component
	archiver *archiver.Archiver // nil without the component
	keeping  *keeping.Keeping   // likewise
	source   *redisstore.Source
	// What speaks with identity providers, and the identities it has proven.
	providers  *idp.Client
	identities *authflow.Identities
	keys       *keyNews
	// What reads directories as they were.
	past     *past.Past
	apiKeys  *apikey.Keys
	keyStore *rediskeys.Store
	// What forgets people.
	erasures *erasure.Erasures
	erased   *rediserasures.Store
	eraser   *erasure.Worker // nil without the component archiver
	filters  *savedfilter.Filters
	exports  exports // none without the component api
	// What domains are verified with.
	checker directory.DomainChecker
}

// wake tells the archiver, if this process has one, that something waits.
func (w *work) wake() {
	if w.archiver != nil {
		w.archiver.Wake()
	}
}

// waking says when a commit wrote events: an archiver in the same process need not look often to be there soon.
type waking struct {
	authflow.Store
	wake func()
}

// Commit implements authflow.Store.
func (s waking) Commit(ctx context.Context, c *authflow.Commit) (*authflow.Committed, error) {
	done, err := s.Store.Commit(ctx, c)
	if err == nil && done.Repeated == nil && len(c.Events) > 0 {
		s.wake()
	}
	return done, err
}

// makeWork makes what moves flows and events on by itself; nothing runs yet.
func (p *process) makeWork(ctx context.Context) error {
	if err := p.ensureSystem(ctx); err != nil {
		return unfit("Redis", err)
	}
	w := &p.work
	w.source = p.stores.flows.Source(p.stores.carrier)
	secrets := vault.New(p.stores.keyring, p.stores.keysets.Namer())
	var err error
	if w.past, err = past.New(past.Config{Archive: p.stores.archive, Archived: w.source, Opener: p.stores.codec, Directory: p.stores.directory,
		Recent: p.stores.directory}); err != nil {
		return err
	}
	if w.providers, err = p.openProviders(); err != nil {
		return err
	}
	if w.checker, err = p.openResolver(ctx); err != nil {
		return err
	}
	w.flows, err = authflow.New(authflow.Config{
		Store: waking{p.metrics.Store(p.stores.flows), w.wake}, Directory: p.stores.directory, Namer: p.stores.namer, Archive: p.stores.archive,
		Verifier: secrets, Providers: p.metrics.Providers(w.providers), ExchangeTimeout: p.c.Outbound.Timeout,
		Now: p.clock.Now, NewID: newID, NewCode: newSupportCode, Log: p.log, MinLifetime: p.c.SignIn.MinLifetime, Region: p.c.Archive.Region})
	if err != nil {
		return err
	}
	w.factors, err = authflow.NewAuthenticators(authflow.AuthenticatorsConfig{
		Flows: w.flows, Subjects: p.stores.flows, Secrets: secrets, Verifier: secrets, Bounds: p.stores.directory})
	if err != nil {
		return err
	}
	if err = p.openAPIKeys(); err != nil {
		return err
	}
	if err = p.openErasures(); err != nil {
		return err
	}
	if err = p.openExports(); err != nil {
		return err
	}
	if err = p.openSavedFilters(); err != nil {
		return err
	}
	if w.identities, err = authflow.NewIdentities(w.flows, p.stores.flows); err != nil || !p.has(config.ComponentArchiver) {
		return err
	}
	if w.keeping, err = keeping.New(keeping.Config{Directory: p.stores.directory, Archive: p.stores.archive, Log: p.log}); err != nil {
		return err
	}
	partitions := make([]int, p.c.Partitions)
	for i := range partitions {
		partitions[i] = i
	}
	var hint archiver.Lease // none in one process
	if !p.c.Embedded() {
		hint = lease{p.stores.flows, p.holder}
	}
	w.archiver, err = archiver.New(archiver.Config{
		Source: w.source, Archive: p.stores.archive, Codec: p.stores.codec, Keys: p.stores.keyring, Lease: hint, Metrics: p.metrics,
		Log: p.log, Now: p.clock.Now, Partitions: partitions, Holder: p.holder, Region: p.c.Archive.Region, Written: w.keeping.Changed})
	return err
}

// startWork lets it run.
func (p *process) startWork(context.Context) error {
	if p.work.archiver != nil {
		p.startArchiver()                       //nolint:contextcheck // it outlives the start
		p.startEraser()                         //nolint:contextcheck // it outlives the start
		p.startKeeping()                        //nolint:contextcheck // it outlives the start
		if err := p.startPruner(); err != nil { //nolint:contextcheck // it outlives the start
			return err
		}
	}
	p.startKeyNews() //nolint:contextcheck // it outlives the start
	if p.has(config.ComponentAPI) {
		p.startExports()                           //nolint:contextcheck // it outlives the start
		if err := p.startRechecker(); err != nil { //nolint:contextcheck // it outlives the start
			return err
		}
	}
	if p.has(config.ComponentSignIn) {
		p.startFolder()         //nolint:contextcheck // it outlives the start
		return p.startSweeper() //nolint:contextcheck // it outlives the start
	}
	return nil
}

// startFolder lets uses of sessions and tokens be folded into events of an hour each.
func (p *process) startFolder() {
	f := authflow.NewUseFolder(p.work.flows)
	f.Start()
	p.closers.add("folded uses", func(context.Context) error {
		f.Stop()
		return nil
	})
}

func newSupportCode() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return authflow.FormatSupportCode(b)
}

func (p *process) startArchiver() {
	a := p.work.archiver
	running, stop := context.WithCancel(context.Background())
	wait := p.background("archiver", func() error { return a.Run(running) })
	p.closers.add("archiver", func(ctx context.Context) error {
		stop()
		if err := wait(ctx); err != nil {
			return err
		}
		if err := a.Flush(ctx); err != nil {
			return fmt.Errorf("what waits stays in the outbox and goes to the archive with the next start: %w", err)
		}
		return nil
	})
}

// lease shares partitions out among archivers.
type lease struct {
	store  *redisstore.Store
	holder string
}

// Hold implements archiver.Lease.
func (l lease) Hold(ctx context.Context, partitions []int) ([]int, error) {
	mine, err := l.store.Lease(ctx, partitions, "archiver", l.holder)
	var held []int
	for i, ok := range mine {
		if ok {
			held = append(held, partitions[i])
		}
	}
	return held, err
}

func (p *process) startSweeper() error {
	s, err := authflow.NewSweeper(authflow.SweeperConfig{
		Flows: p.work.flows, Partitions: p.c.Partitions, Holder: p.holder, Log: p.log, Metrics: authflow.SweeperMetrics{Swept: p.metrics.Swept, Failed: p.metrics.SweepFailed},
		Broken: func(err error) { p.fail("sweeper", err) }})
	if err != nil {
		return err
	}
	p.work.sweeper = s
	s.Start()
	p.closers.add("sweeper", func(context.Context) error {
		s.Stop()
		return nil
	})
	return nil
}
