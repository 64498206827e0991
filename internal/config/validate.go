package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSocketPath is what a unix socket address holds on Linux and macOS, with room to spare.
const maxSocketPath = 100

// Validate returns every problem of c, each with its path and what to do, or nil.
func (c Config) Validate() error {
	v := validator{}
	v.check(c.DataDir != "", "data_dir", "must name a directory")
	v.components(c)
	v.check(c.Partitions >= 1 && c.Partitions <= 64, "partitions", "must be 1 to 64")
	v.listen(c)
	v.events(c.HTTP.Events)
	v.redis(c.Redis)
	v.archive(c.Archive)
	v.export(c.Export)
	v.check((c.Keys.MasterFile == "") == (c.Keys.HashFile == ""), "keys.master_file", "and hash_file must be set together, or neither")
	v.between("signin.min_lifetime", c.SignIn.MinLifetime, time.Second, time.Minute)
	v.outbound(c.Outbound)
	v.dns(c.DNS)
	v.between("deadlines.call", c.Deadlines.Call, 100*time.Millisecond, 5*time.Minute)
	v.between("deadlines.start", c.Deadlines.Start, time.Second, time.Hour)
	v.between("deadlines.stop", c.Deadlines.Stop, time.Second, 10*time.Minute)
	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "auto", "json", "text")
	return errors.Join(v.problems...)
}

type validator struct{ problems []error }

func (v *validator) check(ok bool, path, fix string) {
	if !ok {
		v.problems = append(v.problems, fmt.Errorf("%s: %s", path, fix))
	}
}

func (v *validator) oneOf(path, value string, allowed ...string) {
	v.check(slices.Contains(allowed, value), path, "must be "+strings.Join(allowed[:len(allowed)-1], ", ")+" or "+allowed[len(allowed)-1])
}

func (v *validator) between(path string, d, least, most time.Duration) {
	v.check(d >= least && d <= most, path, "must be "+shortDuration(least)+" to "+shortDuration(most))
}

func (v *validator) components(c Config) {
	all := []string{ComponentSignIn, ComponentArchiver, ComponentAPI}
	v.check(len(c.Components) > 0, "components", "must name at least one of "+strings.Join(all, ", "))
	seen := map[string]bool{}
	for i, name := range c.Components {
		path := "components[" + strconv.Itoa(i) + "]"
		v.oneOf(path, name, all...)
		v.check(!seen[name], path, "is named twice; remove one")
		seen[name] = true
	}
	for _, name := range all {
		v.check(!c.Embedded() || len(c.Components) == 0 || seen[name], "components",
			"must hold "+name+" with the embedded store, which no other process can reach; add it or set redis.mode")
	}
}

func (v *validator) listen(c Config) {
	v.check(len(c.SocketPath()) <= maxSocketPath, "listen.socket",
		fmt.Sprintf("is longer than the %d bytes a unix socket's path may have; set a shorter one", maxSocketPath))
	v.check(!strings.HasPrefix(c.SocketPath(), "@"), "listen.socket", "must be a path; abstract sockets have no permissions")
	if c.Listen.TCP != "" {
		v.hostPort("listen.tcp", c.Listen.TCP)
		v.check(c.Listen.InsecureNoAuthentication, "listen.tcp",
			"has no authentication yet; remove it, or set listen.insecure_no_authentication to true if whoever reaches it may do anything")
	}
	if c.HTTP.Address != "" && v.hostPort("http.address", c.HTTP.Address) {
		host, _, _ := net.SplitHostPort(c.HTTP.Address)
		ip, err := netip.ParseAddr(host)
		v.check(host == "localhost" || err == nil && ip.IsLoopback(), "http.address",
			"must be on the loopback interface, for example 127.0.0.1:8470; put a TLS proxy in front for others")
	}
}

// eventsPrefix is a path of plain segments. What the listener serves besides has segments of its own.
var eventsPrefix = regexp.MustCompile(`^(/[a-z0-9_-]{1,63}){1,6}$`)

func (v *validator) events(e HTTPEvents) {
	first, _, _ := strings.Cut(strings.TrimPrefix(e.Prefix, "/"), "/")
	v.check(e.Prefix == "" || eventsPrefix.MatchString(e.Prefix), "http.events.prefix",
		"must be 1 to 6 segments of a-z, 0-9, _ and -, each after a slash, for example /admin/v1/orgs")
	v.check(!slices.Contains([]string{"v1", "healthz", "readyz", "metrics"}, first), "http.events.prefix",
		"must not begin with what the listener serves besides: /v1, /healthz, /readyz, /metrics")
	u, err := url.Parse(e.PublicURL)
	v.check(e.PublicURL == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "", "http.events.public_url", "must be https or http, a host and nothing else")
	v.check(e.RequestsPerMinute >= 1 && e.RequestsPerMinute <= 10000, "http.events.requests_per_minute", "must be 1 to 10000")
	v.check(e.StreamRequestsPerMinute >= 1 && e.StreamRequestsPerMinute <= 10000, "http.events.stream_requests_per_minute", "must be 1 to 10000")
}

func (v *validator) hostPort(path, address string) bool {
	_, port, err := net.SplitHostPort(address)
	n, errPort := strconv.Atoi(port)
	ok := err == nil && errPort == nil && n >= 0 && n <= 65535
	v.check(ok, path, "must be host:port with a port of 0 to 65535")
	return ok
}

func (v *validator) redis(r Redis) {
	v.oneOf("redis.mode", r.Mode, RedisEmbedded, RedisStandalone, RedisSentinel, RedisCluster)
	for i, a := range r.Addresses {
		path := "redis.addresses[" + strconv.Itoa(i) + "]"
		if strings.HasPrefix(a, "unix:") {
			v.check(r.Mode == RedisStandalone || r.Mode == RedisEmbedded, path, "a unix socket works in standalone mode only")
			continue
		}
		v.hostPort(path, a)
	}
	switch r.Mode {
	case RedisEmbedded:
		v.check(len(r.Addresses) == 0, "redis.addresses", "are not used by the embedded store; set redis.mode to standalone, sentinel or cluster")
	case RedisStandalone:
		v.check(len(r.Addresses) == 1, "redis.addresses", "must hold exactly one address in standalone mode")
	case RedisSentinel, RedisCluster:
		v.check(len(r.Addresses) > 0, "redis.addresses", "must hold at least one address")
	}
	v.check((r.MasterName != "") == (r.Mode == RedisSentinel), "redis.master_name", "must be set in sentinel mode, and only there")
	v.check(r.Database == 0 || r.Database > 0 && r.Mode != RedisCluster, "redis.database", "must be 0 in cluster mode and never negative")
	v.check(r.Password.IsZero() || r.PasswordFile == "", "redis.password_file", "excludes redis.password; remove one")
	v.check(r.Mode == RedisSentinel || r.SentinelUsername == "" && r.SentinelPasswordFile == "", "redis.sentinel_username", "and sentinel_password_file work in sentinel mode only")
	v.check((r.TLS.CertFile == "") == (r.TLS.KeyFile == ""), "redis.tls.cert_file", "and key_file must be set together")
	v.check(r.TLS.Enabled || r.TLS == RedisTLS{}, "redis.tls.enabled", "must be true for the other settings of redis.tls to count")
}

// regionName is how a region is written; empty for none.
var regionName = regexp.MustCompile(`^([a-z][a-z0-9-]{0,62})?$`)

func (v *validator) archive(a Archive) {
	v.check(a.MaxConnections >= 2 && a.MaxConnections <= 200, "archive.max_connections", "must be 2 to 200")
	v.check(regionName.MatchString(a.Region), "archive.region", "must be 1 to 63 of a-z, 0-9 and '-', beginning with a letter")
	if a.URL == "" {
		v.check(a.PasswordFile == "", "archive.password_file", "is for archive.url, which is not set")
		return
	}
	u, err := url.Parse(a.URL)
	ok := err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") && strings.Trim(u.Path, "/") != "" && u.Fragment == ""
	v.check(ok, "archive.url", "must be postgres://USER@HOST:PORT/DATABASE")
	v.check(a.SQLite == "", "archive.url", "excludes archive.sqlite; remove one")
	if ok {
		_, password := u.User.Password()
		v.check(!password && !u.Query().Has("password"), "archive.url", "must not hold a password; put it into a file and name that in archive.password_file")
	}
}

func (v *validator) export(e Export) {
	v.between("export.keep", e.Keep, time.Hour, 90*24*time.Hour)
	s := e.S3
	if s.Endpoint == "" {
		v.check(s == ExportS3{}, "export.s3.endpoint", "must be set for the other settings of export.s3 to count")
		return
	}
	u, err := url.Parse(s.Endpoint)
	v.check(err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "",
		"export.s3.endpoint", "must be https, a host and nothing else; the bucket is a setting of its own")
	v.check(err != nil || u.Scheme != "http" || s.InsecureAllowHTTP, "export.s3.endpoint", "must be https (or set export.s3.insecure_allow_http for a test)")
	v.check(bucketName.MatchString(s.Bucket), "export.s3.bucket", "must be 3 to 63 of a-z, 0-9, '.' and '-'")
	v.check(!strings.HasPrefix(s.Prefix, "/") && len(s.Prefix) <= 512, "export.s3.prefix", "must not begin with a slash, and have at most 512 bytes")
	v.check(s.AccessKey != "" && s.SecretKeyFile != "", "export.s3.access_key", "and secret_key_file must be set")
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// maxResolvers bounds who is asked about one domain.
const maxResolvers = 8

func (v *validator) dns(d DNS) {
	v.check(len(d.Resolvers) <= maxResolvers, "dns.resolvers", fmt.Sprintf("must be at most %d", maxResolvers))
	for i, r := range d.Resolvers {
		path := "dns.resolvers[" + strconv.Itoa(i) + "]"
		a, err := netip.ParseAddrPort(r)
		v.check(err == nil && a.Port() != 0, path, "must be an IP address and a port, such as 192.0.2.53:53 or [2001:db8::53]:53")
		v.check(!slices.Contains(d.Resolvers[:i], r), path, "is named twice; remove one")
	}
	v.between("dns.timeout", d.Timeout, 100*time.Millisecond, 2500*time.Millisecond)
}

// maxNetworks bounds what is looked through at every dial.
const maxNetworks = 64

func (v *validator) outbound(o Outbound) {
	v.check(len(o.AllowedNetworks) <= maxNetworks, "outbound.allowed_networks", fmt.Sprintf("must be at most %d", maxNetworks))
	for i, n := range o.AllowedNetworks {
		_, err := netip.ParsePrefix(n)
		v.check(err == nil, "outbound.allowed_networks["+strconv.Itoa(i)+"]", "must be a network such as 10.20.0.0/16")
	}
	v.between("outbound.timeout", o.Timeout, 500*time.Millisecond, 10*time.Second)
}
