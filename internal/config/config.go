// Package config reads the settings of a Postern process.
//
// Purpose: one tree of settings, each documented beside its field, with defaults that start a process to try out. A setting is
// taken from its default, then the file, then the environment (POSTERN_ and the path in capitals, points as underscores), then
// the command line; the later one wins.
//
// Invariant: what Load returns is complete and valid; a key it does not know is an error, wherever it stands. It must never hold
// state of its own, read anything but the named file, or print a secret. First file to read: config.go, whose comments are
// also the reference (docs/reference/config.md) and the sample (examples/postern.yaml), generated from here.
package config

import (
	"net/url"
	"path/filepath"
	"time"

	"github.com/postern-audit/postern/internal/secret"
)

//go:generate go run ./gen

// Config is every setting of one process.
type Config struct {
	// Directory for everything the process keeps unless told otherwise: keysets, the embedded store, the archive, the
	// socket. It is made with mode 0700 when missing. One running process at a time may use it.
	DataDir string `koanf:"data_dir"`
	// What this process does: signin (answer login services, sweep overdue flows), archiver (move events from Redis to the
	// archive), api (queries, policy and directory). The embedded store needs all of them.
	Components []string `koanf:"components"`
	// Number of Redis partitions of a new installation, 1 to 64. Fixed at the first start: a later start with another
	// number is refused.
	Partitions  int         `koanf:"partitions"`
	Listen      Listen      `koanf:"listen"`
	HTTP        HTTP        `koanf:"http"`
	Redis       Redis       `koanf:"redis"`
	Archive     Archive     `koanf:"archive"`
	Export      Export      `koanf:"export"`
	Keys        Keys        `koanf:"keys"`
	SignIn      SignIn      `koanf:"signin"`
	Outbound    Outbound    `koanf:"outbound"`
	DNS         DNS         `koanf:"dns"`
	Deadlines   Deadlines   `koanf:"deadlines"`
	Log         Log         `koanf:"log"`
	Development Development `koanf:"development"`
}

// Listen is where gRPC is served.
type Listen struct {
	// Unix socket for gRPC, made with mode 0600; callers of the process's own user and root are let in. Empty means
	// postern.sock in data_dir. At most 100 bytes.
	Socket string `koanf:"socket"`
	// Also serve gRPC on this TCP address, host:port. Empty means no. Needs insecure_no_authentication.
	TCP string `koanf:"tcp"`
	// Confirms that whoever reaches the TCP address may do anything: it has neither TLS nor authentication yet.
	InsecureNoAuthentication bool `koanf:"insecure_no_authentication"`
}

// HTTP is where JSON over HTTP, /metrics, /healthz and /readyz are served.
type HTTP struct {
	// Address, host:port, loopback only. Empty means no HTTP at all.
	Address string `koanf:"address"`
	// File with the key that HTTP callers send as "Authorization: Bearer". Written with mode 0600 when missing. Empty means
	// http.key in data_dir.
	KeyFile string     `koanf:"key_file"`
	Events  HTTPEvents `koanf:"events"`
}

// HTTPEvents is the events API, which SIEM pollers read an organization's record through with a key of "postern key create".
type HTTPEvents struct {
	// Path it lies below, before the organization's id. Empty means that it is not served. Needs the component api.
	Prefix string `koanf:"prefix"`
	// Scheme and host of links, as pollers know this listener, for example https://audit.example.com; a Host header may name it too.
	// Empty means http and the address.
	PublicURL string `koanf:"public_url"`
	// Requests to /events that a key may make each minute of the clock, at each process, 1 to 10000.
	RequestsPerMinute int `koanf:"requests_per_minute"`
	// The same for /events-stream, /events/{id} and /event-actions, each for itself, 1 to 10000.
	StreamRequestsPerMinute int `koanf:"stream_requests_per_minute"`
}

// Redis is the store of live flows, policy and events on their way to the archive.
type Redis struct {
	// embedded (in this process, for trying out: it loses what the last seconds brought when the process is killed),
	// standalone, sentinel or cluster.
	Mode string `koanf:"mode"`
	// Addresses, host:port or unix:PATH: one for standalone, the Sentinels for sentinel, some of the nodes for cluster.
	Addresses []string `koanf:"addresses"`
	// Name of the master that the Sentinels watch. Needed for sentinel.
	MasterName string `koanf:"master_name"`
	// Number of the database. Must be 0 for cluster.
	Database int `koanf:"database"`
	// User name. Empty means Redis' default user.
	Username string `koanf:"username"`
	// Password. Better kept in a file: see password_file.
	Password secret.String `koanf:"password"`
	// File whose first line is the password. Excludes password.
	PasswordFile string `koanf:"password_file"`
	// User name at the Sentinels.
	SentinelUsername string `koanf:"sentinel_username"`
	// File whose first line is the password at the Sentinels.
	SentinelPasswordFile string `koanf:"sentinel_password_file"`
	// Start although Redis does not write every change to disk (appendonly yes, appendfsync always): what was acknowledged
	// may then be lost.
	InsecureNoPersistence bool `koanf:"insecure_no_persistence"`
	// Start although Redis evicts keys when its memory is full (maxmemory-policy other than noeviction).
	InsecureEvicting bool `koanf:"insecure_evicting"`
	// Start although Redis is older than 7.0.
	InsecureOldVersion bool     `koanf:"insecure_old_version"`
	TLS                RedisTLS `koanf:"tls"`
}

// RedisTLS is how connections to Redis are protected.
type RedisTLS struct {
	// Use TLS, 1.2 or newer.
	Enabled bool `koanf:"enabled"`
	// PEM file of the authorities that sign the servers' certificates. Empty means those of the system.
	CAFile string `koanf:"ca_file"`
	// PEM file of the certificate this process shows. Needs key_file.
	CertFile string `koanf:"cert_file"`
	// PEM file of the certificate's key.
	KeyFile string `koanf:"key_file"`
	// Name expected in the servers' certificates. Empty means the host of the address.
	ServerName string `koanf:"server_name"`
}

// Archive is where the record is kept for good.
type Archive struct {
	// File of the SQLite archive. Empty means archive.db in data_dir. Excludes url.
	SQLite string `koanf:"sqlite"`
	// PostgreSQL database to keep the archive in instead of SQLite, as postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full;
	// several hosts may be named, with commas. It holds no password: see password_file. Empty means SQLite.
	URL string `koanf:"url"`
	// File whose first line is the password for PostgreSQL.
	PasswordFile string `koanf:"password_file"`
	// Connections to PostgreSQL of this process at most, 2 to 200.
	MaxConnections int `koanf:"max_connections"`
	// Start although PostgreSQL does not write every commit to disk (fsync, full_page_writes or synchronous_commit is off): what
	// was archived may then be lost.
	InsecureNoDurability bool `koanf:"insecure_no_durability"`
	// Region the record is kept in, such as eu: 1 to 63 of a-z, 0-9 and '-', beginning with a letter. Sites that are bound to a region are
	// taken by processes of that region only. The archive remembers it, and starts with no other one. Empty means none.
	Region string `koanf:"region"`
}

// Export is where files of the record are made and kept ("postern export"). Needs the component api.
type Export struct {
	// Directory in which exports are made and, without a bucket, kept; made with mode 0700 when missing. Empty means exports in data_dir.
	// Several processes with the component api need the same directory, on a disk they share, or a bucket.
	Directory string `koanf:"directory"`
	// How long an export's file is kept once it is whole, 1h to 2160h.
	Keep time.Duration `koanf:"keep"`
	S3   ExportS3      `koanf:"s3"`
}

// ExportS3 is a bucket to keep files in instead of on disk, at a server that speaks the S3 protocol. An export is still made in the
// directory first, so that has to have room for it.
type ExportS3 struct {
	// Server, as https://HOST or https://HOST:PORT. Empty means that files are kept on disk.
	Endpoint string `koanf:"endpoint"`
	// Bucket, which must be there. Nobody else should be able to read it.
	Bucket string `koanf:"bucket"`
	// What names of files begin with, such as postern/.
	Prefix string `koanf:"prefix"`
	// Region of the bucket. Empty means that the server is asked.
	Region string `koanf:"region"`
	// Access key. Needs secret_key_file.
	AccessKey string `koanf:"access_key"`
	// File whose first line is the secret key.
	SecretKeyFile string `koanf:"secret_key_file"`
	// PEM file of authorities to trust besides the system's.
	CAFile string `koanf:"ca_file"`
	// Lets the endpoint be http. What is exported can then be read on the way: for tests only.
	InsecureAllowHTTP bool `koanf:"insecure_allow_http"`
}

// Keys are the keysets. Without the master keyset everything sealed is gone: back it up, apart from the data. With neither file
// set, both are in keysets in data_dir and made there, mode 0600, at the very first start. Configured files are never made.
type Keys struct {
	// File of the master keyset, which wraps every organization's key, in Tink's cleartext JSON or binary form, mode 0600.
	// Needs hash_file. Empty means keysets/master.json in data_dir.
	MasterFile string `koanf:"master_file"`
	// File of the hash keyset, which names records in Redis, likewise. Needs master_file. Empty means keysets/hash.json in
	// data_dir.
	HashFile string `koanf:"hash_file"`
}

// SignIn bounds flows.
type SignIn struct {
	// Shortest lifetime that StartFlow accepts, 1s to 1m.
	MinLifetime time.Duration `koanf:"min_lifetime"`
}

// Outbound is how identity providers, whose addresses organizations give, may be reached.
type Outbound struct {
	// Networks (CIDR) that may be spoken to although they are private or reserved: a closed installation's own providers. Empty
	// means public addresses only. At most 64.
	AllowedNetworks []string `koanf:"allowed_networks"`
	// File of CA certificates (PEM) to trust besides the system's. Empty means the system's alone.
	RootsFile string `koanf:"roots_file"`
	// Lets addresses of providers be http. What goes over such a connection can be read and changed on the way: for tests only.
	InsecureAllowHTTP bool `koanf:"insecure_allow_http"`
	// Longest one exchange with a provider may take, 500ms to 10s.
	Timeout time.Duration `koanf:"timeout"`
}

// DNS is who is asked whether domains are whose they are said to be.
type DNS struct {
	// Resolvers, IP:port, at most 8. Empty means those of /etc/resolv.conf. Unless signatures vouch for an answer (trusts_ad), two must
	// say the same; with a single resolver, what it says is taken.
	Resolvers []string `koanf:"resolvers"`
	// Believe resolvers that say they checked an answer's signatures (DNSSEC, the AD bit). Only where they do, and where nobody can
	// change what they say on its way here.
	TrustsAD bool `koanf:"trusts_ad"`
	// Longest one exchange with a resolver may take, 100ms to 2500ms. A look takes four at most.
	Timeout time.Duration `koanf:"timeout"`
}

// Deadlines bound how long anything may take.
type Deadlines struct {
	// Longest a call may take, streams apart, 100ms to 5m. A shorter deadline of the caller wins. Calls that wait for an
	// identity provider have at least 15s.
	Call time.Duration `koanf:"call"`
	// How long a start waits for Redis and the archive before it gives up, 1s to 1h.
	Start time.Duration `koanf:"start"`
	// How long a stop waits for calls that are being served, and then for the archiver, 1s to 10m.
	Stop time.Duration `koanf:"stop"`
}

// Log is what is written to stderr.
type Log struct {
	// debug, info, warn or error: the least that is written.
	Level string `koanf:"level"`
	// json, text, or auto: text when stderr is a terminal, else json.
	Format string `koanf:"format"`
}

// Development holds what helps people who write against the API.
type Development struct {
	// Serve gRPC reflection, so that tools such as grpcurl find the API by themselves.
	Reflection bool `koanf:"reflection"`
}

// The components and Redis modes.
const (
	ComponentSignIn   = "signin"
	ComponentArchiver = "archiver"
	ComponentAPI      = "api"

	RedisEmbedded   = "embedded"
	RedisStandalone = "standalone"
	RedisSentinel   = "sentinel"
	RedisCluster    = "cluster"
)

// Default returns the settings of a process without any configuration.
func Default() Config {
	return Config{
		DataDir:    "./data",
		Components: []string{ComponentSignIn, ComponentArchiver, ComponentAPI},
		Partitions: 64,
		HTTP: HTTP{Address: "127.0.0.1:8470",
			Events: HTTPEvents{Prefix: "/admin/v1/orgs", RequestsPerMinute: 10, StreamRequestsPerMinute: 50}},
		Redis:     Redis{Mode: RedisEmbedded},
		Archive:   Archive{MaxConnections: 10},
		Export:    Export{Keep: 7 * 24 * time.Hour},
		SignIn:    SignIn{MinLifetime: time.Minute},
		Outbound:  Outbound{Timeout: 5 * time.Second},
		DNS:       DNS{Timeout: 2 * time.Second},
		Deadlines: Deadlines{Call: 10 * time.Second, Start: 30 * time.Second, Stop: 15 * time.Second},
		Log:       Log{Level: "info", Format: "auto"},
	}
}

// Embedded reports whether the store lives in this process.
func (c Config) Embedded() bool { return c.Redis.Mode == RedisEmbedded }

// SocketPath is the unix socket to serve on.
func (c Config) SocketPath() string { return c.within(c.Listen.Socket, "postern.sock") }

// HTTPKeyPath is the file of the HTTP key.
func (c Config) HTTPKeyPath() string { return c.within(c.HTTP.KeyFile, "http.key") }

// ArchivePath is the file of the SQLite archive.
func (c Config) ArchivePath() string { return c.within(c.Archive.SQLite, "archive.db") }

// ExportPath is the directory of exports.
func (c Config) ExportPath() string { return c.within(c.Export.Directory, "exports") }

// ArchivePlace says where the archive is, for people: a file, or a database without its user.
func (c Config) ArchivePlace() string {
	if c.Archive.URL == "" {
		return c.ArchivePath()
	}
	u, err := url.Parse(c.Archive.URL)
	if err != nil {
		return "PostgreSQL"
	}
	host := u.Host
	if host == "" {
		host = u.Query().Get("host")
	}
	return "PostgreSQL at " + host + u.Path
}

// within is a configured path, or a name in data_dir when none is.
func (c Config) within(path, name string) string {
	if path != "" {
		return path
	}
	return filepath.Join(c.DataDir, name)
}
