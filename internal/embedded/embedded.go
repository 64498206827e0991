package embedded

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/postern-audit/postern/internal/errs"
)

// Times of the store's own work.
const (
	tickEvery        = 100 * time.Millisecond // miniredis lets nothing expire by itself
	DefaultSaveEvery = 5 * time.Second
	poolSize         = 64
	snapshotTimeout  = time.Minute // everything at once takes longer than a command
)

// Config is what an embedded store needs.
type Config struct {
	File      string           // the snapshot; empty: nothing is kept
	SaveEvery time.Duration    // 0: DefaultSaveEvery
	Now       func() time.Time // needed
	Log       *slog.Logger     // needed
	Broken    func(error)      // told of a panic of the store's own work, which then stands still; nil: it panics
}

// Store is a running store.
type Store struct {
	c       Config
	redis   *miniredis.Miniredis
	client  *redis.Client // its own, for snapshots
	saving  sync.Mutex
	stop    chan struct{} // closed by Close
	stopped sync.WaitGroup
	once    sync.Once
	clients []*redis.Client
	mu      sync.Mutex // guards clients
}

// Open loads the snapshot, if there is one, and starts the store. The caller ends it with Close.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Now == nil || c.Log == nil {
		return nil, errs.New(errs.Internal, "EMBEDDED_CONFIG", "embedded: Now and Log are needed")
	}
	if c.SaveEvery <= 0 {
		c.SaveEvery = DefaultSaveEvery
	}
	s := &Store{c: c, redis: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	s.client = s.dial(-1, snapshotTimeout)
	if err := s.load(ctx); err != nil {
		s.shut()
		return nil, err
	}
	s.work(s.tick)
	if c.File != "" {
		s.work(s.saveOften)
	}
	return s, nil
}

// work runs a part of the store until Close.
func (s *Store) work(f func()) {
	s.stopped.Go(func() {
		if s.c.Broken == nil {
			f()
			return
		}
		if err := errs.Guard(func() error { f(); return nil }); err != nil {
			s.c.Broken(err)
		}
	})
}

// Client returns a client of the store, closed with it. Retries as in redisx: -1 for scripts, 2 for reads.
func (s *Store) Client(retries int) redis.UniversalClient { return s.dial(retries, 0) }

// Dial returns a connection of its own, in memory.
func (s *Store) Dial() (net.Conn, error) { return s.redis.Dial() }

func (s *Store) dial(retries int, readTimeout time.Duration) *redis.Client {
	c := redis.NewClient(&redis.Options{
		Dialer:   s.connect,
		Protocol: 2, MaxRetries: retries, ContextTimeoutEnabled: true, DisableIdentity: true, PoolSize: poolSize,
		ReadTimeout:              readTimeout, // 0: the driver's default
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = append(s.clients, c)
	return c
}

func (s *Store) connect(context.Context, string, string) (net.Conn, error) {
	pipe, err := s.redis.Dial()
	if err != nil {
		return nil, err
	}
	return buffered(pipe), nil
}

// tick lets keys expire.
func (s *Store) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	last := s.c.Now()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			now := s.c.Now()
			if elapsed := now.Sub(last); elapsed > 0 {
				s.redis.FastForward(elapsed)
			}
			last = now
		}
	}
}

func (s *Store) saveOften() {
	t := time.NewTicker(s.c.SaveEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			if err := s.Save(context.Background()); err != nil {
				s.c.Log.Error("the embedded store could not be saved", "error", err)
			}
		}
	}
}

// Close takes a last snapshot and ends the store. Call it when nothing uses its clients any more.
func (s *Store) Close(ctx context.Context) error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		s.stopped.Wait()
		err = s.Save(ctx)
		s.shut()
	})
	return err
}

// Kill ends the store without a snapshot, as a kill of the process would.
func (s *Store) Kill() {
	s.once.Do(func() {
		close(s.stop)
		s.stopped.Wait()
		s.shut()
	})
}

func (s *Store) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.Close() // in memory: nothing to flush
	}
	s.redis.Close()
}
