package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

// stores are the parts that keep things.
type stores struct {
	keysets   *seal.Keysets
	keyring   *seal.Keyring
	namer     naming.Namer
	codec     *codec.Codec
	embedded  *embedded.Store // nil with a real Redis
	savedAt   time.Time       // when the snapshot that was loaded had been taken; zero without one
	scripts   redis.UniversalClient
	reader    redis.UniversalClient
	carrier   redis.UniversalClient // the archiver's
	archive   Archive
	flows     *redisstore.Store
	directory *redisdirectory.Directory
}

// openData makes the data directory and, with the embedded store, keeps other processes out of it.
func (p *process) openData(context.Context) error {
	if err := os.MkdirAll(p.c.DataDir, 0o700); err != nil {
		return &ConfigError{fmt.Errorf("data_dir: %w", err)}
	}
	if !p.c.Embedded() {
		return nil
	}
	lock, err := lockFile(filepath.Join(p.c.DataDir, "lock"))
	if err != nil {
		return &ConfigError{fmt.Errorf("data_dir: %w", err)}
	}
	p.closers.add("lock", func(context.Context) error { return lock.Close() })
	return nil
}

func (p *process) openKeys(ctx context.Context) error {
	var err error
	if p.c.Keys.MasterFile != "" {
		p.stores.keysets, err = seal.Load(p.c.Keys.MasterFile, p.c.Keys.HashFile)
	} else {
		p.stores.keysets, err = seal.LoadOrCreate(p.c.DataDir)
	}
	if err != nil {
		return &ConfigError{fmt.Errorf("keys: %w", err)}
	}
	p.stores.keyring = p.stores.keysets.Keyring(0)
	p.stores.namer = naming.New(p.stores.keysets.Namer())
	p.stores.codec = codec.New(p.stores.keyring)
	p.log.InfoContext(ctx, "keysets", "master", p.stores.keysets.MasterFingerprint(), "hash", p.stores.keysets.HashFingerprint())
	return nil
}

func (p *process) openRedis(ctx context.Context) error {
	if p.c.Embedded() {
		return p.openEmbedded(ctx)
	}
	o, err := RedisOptions(p.c.Redis)
	if err != nil {
		return &ConfigError{err}
	}
	s := &p.stores
	for _, open := range []struct {
		client *redis.UniversalClient
		make   func(redisx.Options) (redis.UniversalClient, error)
	}{{&s.scripts, redisx.NewScripts}, {&s.reader, redisx.NewReader}, {&s.carrier, redisx.NewReader}} {
		if *open.client, err = open.make(o); err != nil {
			return &ConfigError{fmt.Errorf("redis: %w", err)}
		}
		client := *open.client
		p.closers.add("Redis client", func(context.Context) error { return client.Close() })
	}
	redisx.CountTrips(s.scripts, p.metrics.RoundTrips("signin"))
	redisx.CountTrips(s.reader, p.metrics.RoundTrips("signin"))
	redisx.CountTrips(s.carrier, p.metrics.RoundTrips("archiver"))
	if err := await(ctx, p.log, "Redis", func(ctx context.Context) error { return p.clock.Measure(ctx, s.reader) }); err != nil {
		return err
	}
	return p.checkRedis(ctx)
}

func (p *process) openEmbedded(ctx context.Context) error {
	p.log.WarnContext(ctx, "EMBEDDED store: for trying out. When this process is killed, what the last seconds brought is lost; "+
		"run it with Redis for anything else")
	s := &p.stores
	file := filepath.Join(p.c.DataDir, "embedded.snapshot")
	if info, err := os.Stat(file); err == nil {
		s.savedAt = info.ModTime()
	}
	var err error
	s.embedded, err = embedded.Open(ctx, embedded.Config{File: file, Now: p.now, Log: p.log,
		Broken: func(err error) { p.fail("embedded store", err) }})
	if err != nil {
		return unfit("embedded store", err)
	}
	p.closers.add("embedded store", func(ctx context.Context) error {
		if err := s.embedded.Close(ctx); err != nil || p.unmark == nil {
			return err
		}
		return p.unmark()
	})
	const scripts, reads = -1, 2 // retries, as redisx has them
	s.scripts, s.reader, s.carrier = s.embedded.Client(scripts), s.embedded.Client(reads), s.embedded.Client(reads)
	if err := p.clock.Measure(ctx, s.reader); err != nil {
		return &DependencyError{"embedded store", err}
	}
	return nil
}

// RedisOptions reads what the settings name files for.
func RedisOptions(r config.Redis) (redisx.Options, error) {
	o := redisx.Options{Mode: redisx.Mode(r.Mode), Addresses: r.Addresses, MasterName: r.MasterName, Database: r.Database,
		Username: r.Username, Password: r.Password.Reveal(), SentinelUsername: r.SentinelUsername}
	var err error
	if r.PasswordFile != "" {
		if o.Password, err = firstLine(r.PasswordFile); err != nil {
			return o, fmt.Errorf("redis.password_file: %w", err)
		}
	}
	if r.SentinelPasswordFile != "" {
		if o.SentinelPassword, err = firstLine(r.SentinelPasswordFile); err != nil {
			return o, fmt.Errorf("redis.sentinel_password_file: %w", err)
		}
	}
	if r.TLS.Enabled {
		o.TLS, err = redisTLS(r.TLS)
	}
	return o, err
}

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	if !s.Scan() || s.Text() == "" {
		return "", errors.Join(fmt.Errorf("%s: its first line is empty", path), s.Err())
	}
	return strings.TrimRight(s.Text(), "\r"), nil
}

func redisTLS(t config.RedisTLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis.tls.ca_file: %s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// checkRedis refuses a Redis that cannot keep the promises, unless the settings say that it may be so.
func (p *process) checkRedis(ctx context.Context) error {
	var problems []redisx.Problem
	err := await(ctx, p.log, "Redis", func(ctx context.Context) (err error) {
		problems, err = redisx.Check(ctx, p.stores.reader)
		return err
	})
	if err != nil {
		return err
	}
	var refused []error
	for _, problem := range problems {
		setting, waived := p.waiver(problem.Code)
		if waived {
			p.log.WarnContext(ctx, "Redis cannot keep every promise; started because a setting says so", "node", problem.Node,
				"problem", string(problem.Code), "found", problem.Detail, "setting", setting)
			continue
		}
		text := fmt.Errorf("%s at %s: %s", problem.Code, problem.Node, problem.Detail)
		if setting != "" {
			text = fmt.Errorf("%w (or set %s to start without that promise)", text, setting)
		}
		refused = append(refused, text)
	}
	if len(refused) > 0 {
		return &DependencyError{"Redis is not fit", errors.Join(refused...)}
	}
	return nil
}

// waiver names the setting that lets a process start in spite of a problem, and whether it is set.
func (p *process) waiver(code redisx.ProblemCode) (setting string, set bool) {
	switch code { //nolint:exhaustive // the rest cannot be waived
	case redisx.OldVersion:
		return "redis.insecure_old_version", p.c.Redis.InsecureOldVersion
	case redisx.NoAppendOnly, redisx.WeakFsync, redisx.FsyncRewrite:
		return "redis.insecure_no_persistence", p.c.Redis.InsecureNoPersistence
	case redisx.Evicting:
		return "redis.insecure_evicting", p.c.Redis.InsecureEvicting
	case redisx.ConfigForbidden:
		return "redis.insecure_no_persistence and redis.insecure_evicting", p.c.Redis.InsecureNoPersistence && p.c.Redis.InsecureEvicting
	}
	return "", false
}

// openStores makes what keeps flows and organizations on top of Redis.
func (p *process) openStores(context.Context) error {
	s := &p.stores
	cache := redisdirectory.NewCache(s.keyring)
	var err error
	s.directory, err = redisdirectory.New(redisdirectory.Config{
		Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec, Keys: s.keyring, Cache: cache, Now: p.clock.Now})
	if err != nil {
		return err
	}
	s.flows, err = redisstore.New(redisstore.Config{
		Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec, Keyring: s.keyring,
		Namer: s.keysets.Namer(), Cache: cache, Now: p.clock.Now})
	if err != nil {
		return err
	}
	p.closers.add("commits under way", s.flows.Drain)
	return nil
}
