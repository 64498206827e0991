package redisx

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/postern-audit/postern/internal/errs"
)

// Mode says how Redis is run.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Sentinel   Mode = "sentinel"
	Cluster    Mode = "cluster"
)

// Options are what differs between deployments. Everything else about a client is decided here.
type Options struct {
	Mode             Mode
	Addresses        []string // host:port or unix:PATH
	MasterName       string
	Database         int
	Username         string
	Password         string
	SentinelUsername string
	SentinelPassword string
	TLS              *tls.Config
	PoolSize         int // per node; 0: PoolSize
}

// Times and sizes of every client.
const (
	PoolSize     = 64
	dialTimeout  = 2 * time.Second
	ioTimeout    = 5 * time.Second // the caller's deadline, when shorter, is put on the socket
	poolTimeout  = 2 * time.Second
	idleTimeout  = 5 * time.Minute
	readRetries  = 2
	stateRefresh = time.Second // go-redis' own 60 s means a minute of errors after a master of a cluster dies
)

// NewScripts returns the client for commits: nothing is sent a second time by itself, except that go-redis follows the
// redirections of a cluster. Scripts are idempotent, so that even a repetition there does no harm.
func NewScripts(o Options) (redis.UniversalClient, error) { return newClient(o, -1) }

// NewReader returns the client for reads, which are tried again.
func NewReader(o Options) (redis.UniversalClient, error) { return newClient(o, readRetries) }

func newClient(o Options, retries int) (redis.UniversalClient, error) {
	u, err := universal(o, retries)
	if err != nil {
		return nil, err
	}
	switch o.Mode {
	case Cluster:
		c := u.Cluster()
		c.ClusterStateReloadInterval = stateRefresh
		return redis.NewClusterClient(c), nil
	case Sentinel:
		return redis.NewFailoverClient(u.Failover()), nil
	case Standalone:
		return redis.NewClient(u.Simple()), nil
	default:
		return nil, errs.New(errs.Invalid, "REDIS_MODE_INVALID", "the mode of Redis must be standalone, sentinel or cluster")
	}
}

func universal(o Options, retries int) (*redis.UniversalOptions, error) {
	if len(o.Addresses) == 0 {
		return nil, errs.New(errs.Invalid, "REDIS_ADDRESS_MISSING", "an address of Redis is needed")
	}
	addresses := make([]string, len(o.Addresses))
	for i, a := range o.Addresses {
		addresses[i] = strings.TrimPrefix(a, "unix:") // go-redis takes an address with a leading slash for a socket
	}
	size := o.PoolSize
	if size == 0 {
		size = PoolSize
	}
	return &redis.UniversalOptions{
		Addrs: addresses, MasterName: o.MasterName, DB: o.Database,
		Username: o.Username, Password: o.Password,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		TLSConfig: o.TLS,
		// RESP2: scripts answer with arrays, strings and nil, and nothing of RESP3 is used.
		Protocol:              2,
		MaxRetries:            retries,
		ContextTimeoutEnabled: true,
		DialTimeout:           dialTimeout, ReadTimeout: ioTimeout, WriteTimeout: ioTimeout,
		DialerRetries: 1,
		PoolSize:      size, PoolTimeout: poolTimeout, ConnMaxIdleTime: idleTimeout,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}
