package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/redisx"
)

// What is slow, what is far apart, what is nearly full.
const (
	pings         = 20
	slowTrip      = 10 * time.Millisecond
	verySlowTrip  = 100 * time.Millisecond
	skewed        = 300 * time.Millisecond
	crowdedMemory = 0.6
	fullMemory    = 0.8
	behind        = 5 * time.Minute
	stuck         = time.Hour
)

// side is what Redis or the archive says of the installation.
type side struct {
	reached      bool
	installation *audit.Installation
}

// redis looks at Redis.
func (e *Examination) redis(ctx context.Context) side {
	names := []string{"redis.settings", "redis.latency", "redis.clock", "redis.rights", "redis.memory", "redis.replication", "redis.outbox"}
	if e.Config.Embedded() {
		for _, n := range append([]string{"redis"}, names...) {
			e.skip(n, "embedded")
		}
		return side{}
	}
	if e.Config.Redis.TLS.CertFile != "" {
		e.certificate("redis.tls.cert_file", e.Config.Redis.TLS.CertFile, e.Config.Redis.TLS.KeyFile)
	}
	ctx, cancel := context.WithTimeout(ctx, timeFor)
	defer cancel()
	o, err := serve.RedisOptions(e.Config.Redis)
	var client redis.UniversalClient
	if err == nil {
		client, err = redisx.NewReader(o)
	}
	if err == nil {
		defer func() { _ = client.Close() }()
		err = client.Ping(ctx).Err()
	}
	at := strings.Join(e.Config.Redis.Addresses, ", ")
	if err != nil {
		e.bad(Fail, "redis", at+": "+err.Error(), "no sign-in is possible without it", "start it, or correct redis.addresses, redis.username and redis.password_file")
		for _, n := range names {
			e.skip(n, "Redis is not reached")
		}
		return side{}
	}
	e.ok("redis", at)
	e.redisSettings(ctx, client)
	e.latency(ctx, client)
	e.clock(ctx, client)
	e.rights(ctx, client)
	e.memory(ctx, client)
	e.replication(ctx, client)
	e.outbox(ctx, client)
	i, err := serve.ReadInstallation(ctx, client)
	if err != nil {
		e.bad(Fail, "redis.installation", plain(err), "it says which keys and which archive belong to this Redis", "point redis.addresses at the right one, or restore it")
		return side{}
	}
	return side{true, i}
}

// fixes are what mends a server's settings.
var fixes = map[redisx.ProblemCode][2]string{
	redisx.OldVersion:      {"scripts and streams are used as of 7.0", "install Redis 7.0 or newer"},
	redisx.NoAppendOnly:    {"what was acknowledged is lost when Redis ends", "redis-cli CONFIG SET appendonly yes, and put it into redis.conf"},
	redisx.WeakFsync:       {"the last second of acknowledged sign-ins is lost with the machine", "redis-cli CONFIG SET appendfsync always, and put it into redis.conf"},
	redisx.FsyncRewrite:    {"nothing is safe while the append-only file is rewritten", "redis-cli CONFIG SET no-appendfsync-on-rewrite no, and put it into redis.conf"},
	redisx.Evicting:        {"a full memory throws away flows and events that wait", "redis-cli CONFIG SET maxmemory-policy noeviction, and put it into redis.conf"},
	redisx.ConfigForbidden: {"nobody can know whether Redis keeps what it acknowledges", "allow +config|get to this user"},
	redisx.AppendFailing:   {"Redis refuses commits until it can write", "look at the disk of Redis and its log"},
}

func (e *Examination) redisSettings(ctx context.Context, client redis.UniversalClient) {
	problems, err := redisx.Check(ctx, client)
	for _, p := range problems {
		e.bad(Fail, "redis.settings", p.Node+": "+p.Detail, fixes[p.Code][0], fixes[p.Code][1])
	}
	switch {
	case err != nil:
		e.bad(Fail, "redis.settings", plain(err), "not every server could be asked", "look at the server's log")
	case len(problems) == 0:
		e.ok("redis.settings", "appendonly, appendfsync always, noeviction, 7.0 or newer")
	}
}

func (e *Examination) latency(ctx context.Context, client redis.UniversalClient) {
	trips := make([]time.Duration, pings)
	for i := range trips {
		began := e.Now()
		if err := client.Ping(ctx).Err(); err != nil {
			e.bad(Fail, "redis.latency", plain(redisx.ReadFailed(err)), "it answered a moment ago", "look at the network and at Redis' log")
			return
		}
		trips[i] = e.Now().Sub(began)
	}
	slices.Sort(trips)
	found := fmt.Sprintf("half of %d round trips within %s, the slowest %s", pings, short(trips[pings/2]), short(trips[pings-1]))
	const why = "every step of a sign-in waits for a round trip"
	switch half := trips[pings/2]; {
	case half > verySlowTrip:
		e.bad(Fail, "redis.latency", found, why, "bring Redis near: the same machine, or the same rack")
	case half > slowTrip:
		e.bad(Warn, "redis.latency", found, why, "bring Redis near: the same machine, or the same rack")
	default:
		e.ok("redis.latency", found)
	}
}

func short(d time.Duration) string { return d.Round(time.Microsecond).String() }

func (e *Examination) clock(ctx context.Context, client redis.UniversalClient) {
	c := redisx.NewClock(e.Now)
	if err := c.Measure(ctx, client); err != nil {
		e.bad(Fail, "redis.clock", plain(err), "times of events come from Redis", "allow +time to this user")
		return
	}
	found := "Redis is " + short(c.Skew().Abs()) + " apart"
	const why, fix = "further apart than a second the process is not ready", "run a time service on both machines: timedatectl set-ntp true"
	switch {
	case !c.Ready():
		e.bad(Fail, "redis.clock", found, why, fix)
	case c.Skew().Abs() > skewed:
		e.bad(Warn, "redis.clock", found, why, fix)
	default:
		e.ok("redis.clock", found)
	}
}

// commands are what Postern uses of Redis, by one that stands for its like.
var commands = [][]string{{"eval", "return 1", "0"}, {"script", "exists", "0"}, {"exists", "postern:{meta}:doctor"}, {"hget", "postern:{meta}:doctor", "x"},
	{"xlen", "postern:{meta}:doctor"}, {"zcard", "postern:{meta}:doctor"}, {"info", "server"}, {"time"}}

// rights tries what needs no write. Writes are only asked about, where the server lets this user ask.
func (e *Examination) rights(ctx context.Context, client redis.UniversalClient) {
	for _, c := range commands {
		args := make([]any, len(c))
		for i := range c {
			args[i] = c[i]
		}
		if err := client.Do(ctx, args...).Err(); err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
			e.bad(Fail, "redis.rights", c[0]+": "+err.Error(), "a call that needs it fails", "allow to this user: ~postern:* +@read +@write +@scripting +@transaction +@connection +info +time +config|get")
			return
		}
	}
	who, err := client.Do(ctx, "acl", "whoami").Text()
	if err != nil {
		e.ok("redis.rights", "reads and scripts are allowed; whether writes are, this user may not ask")
		return
	}
	for _, c := range [][]any{{"xadd", "postern:{00}:outbox", "*", "e", "x"}, {"hset", "postern:{00}:flow:x", "s", "x"}, {"zadd", "postern:{00}:x", "0", "x"},
		{"set", "postern:{meta}:x", "x"}, {"pexpire", "postern:{00}:x", "1"}, {"xtrim", "postern:{00}:outbox", "minid", "0"}} {
		answer, err := client.Do(ctx, append([]any{"acl", "dryrun", who}, c...)...).Text()
		if err == nil && answer != "OK" {
			e.bad(Fail, "redis.rights", answer, "sign-ins cannot be recorded", "allow to user "+who+": ~postern:* +@read +@write +@scripting +@connection +info +time +config|get")
			return
		}
	}
	e.ok("redis.rights", "user "+who)
}

// masters calls f for every server that takes writes.
func masters(ctx context.Context, client redis.UniversalClient, f func(node string, info map[string]string)) error {
	one := func(ctx context.Context, c redis.Cmdable, node string) error {
		text, err := c.Info(ctx).Result()
		if err != nil {
			return redisx.ReadFailed(err)
		}
		info := map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":"); ok {
				info[name] = value
			}
		}
		f(node, info)
		return nil
	}
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return one(ctx, client, "redis")
	}
	var all []*redis.Client
	turn := make(chan struct{}, 1)
	if err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		turn <- struct{}{}
		all = append(all, c)
		<-turn
		return nil
	}); err != nil {
		return redisx.ReadFailed(err)
	}
	for _, c := range all {
		if err := one(ctx, c, c.Options().Addr); err != nil {
			return err
		}
	}
	return nil
}

func (e *Examination) memory(ctx context.Context, client redis.UniversalClient) {
	const check, why = "redis.memory", "a full Redis refuses commits, and nobody can sign in"
	err := masters(ctx, client, func(node string, info map[string]string) {
		used, most := number(info["used_memory"]), number(info["maxmemory"])
		switch {
		case most == 0:
			e.bad(Warn, check, fmt.Sprintf("%s: %s used, no limit", node, size(used)), "without a limit the kernel ends Redis when the machine is full",
				"set maxmemory to what the machine can spare: half of it, with room for rewriting the append-only file")
		case used/most >= fullMemory:
			e.bad(Fail, check, fmt.Sprintf("%s: %s of %s used", node, size(used), size(most)), why, "raise maxmemory, or find out why events wait (redis.outbox)")
		case used/most >= crowdedMemory:
			e.bad(Warn, check, fmt.Sprintf("%s: %s of %s used", node, size(used), size(most)), why, "raise maxmemory, or find out why events wait (redis.outbox)")
		default:
			e.ok(check, fmt.Sprintf("%s: %s of %s used", node, size(used), size(most)))
		}
	})
	if err != nil {
		e.bad(Fail, check, plain(err), why, "allow +info to this user")
	}
}

func (e *Examination) replication(ctx context.Context, client redis.UniversalClient) {
	const check = "redis.replication"
	err := masters(ctx, client, func(node string, info map[string]string) {
		replicas := number(info["connected_slaves"])
		switch {
		case info["role"] != "master":
			e.bad(Fail, check, node+" is a replica", "it takes no writes", "name the master in redis.addresses, or use Sentinel (redis.mode: sentinel)")
		case replicas > 0:
			e.bad(Warn, check, fmt.Sprintf("%s has %.0f replicas", node, replicas), "replicas follow asynchronously: one that is promoted may lack the last commits that were acknowledged",
				"know it before you promote one (docs/operations.md, Replicas)")
		case e.Config.Redis.Mode != "standalone":
			e.bad(Warn, check, node+" has no replica", "nothing takes over from it", "add a replica")
		default:
			e.ok(check, "a master by itself")
		}
	})
	if err != nil {
		e.bad(Fail, check, plain(err), "what takes over from Redis is not known", "allow +info to this user")
	}
}

// outbox looks at what waits to be archived.
func (e *Examination) outbox(ctx context.Context, client redis.UniversalClient) {
	const check = "redis.outbox"
	keys, err := redisx.NewKeys(e.Config.Partitions)
	if err != nil {
		e.bad(Fail, check, plain(err), "it says how many outboxes there are", "correct the setting partitions")
		return
	}
	var waiting int64
	var oldest time.Time
	for n := range keys.Partitions() {
		outbox := keys.At(n).Outbox()
		length, err := client.XLen(ctx, outbox).Result()
		if err != nil {
			e.bad(Fail, check, plain(redisx.ReadFailed(err)), "events wait there for the archive", "look at the key "+outbox)
			return
		}
		if waiting += length; length == 0 {
			continue
		}
		if first, err := client.XRangeN(ctx, outbox, "-", "+", 1).Result(); err == nil && len(first) == 1 {
			ms, _, _ := strings.Cut(first[0].ID, "-")
			if at := time.UnixMilli(int64(number(ms))); oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	if waiting == 0 {
		e.ok(check, "nothing waits to be archived")
		return
	}
	age := e.Now().Sub(oldest).Round(time.Second)
	found := fmt.Sprintf("%d events wait to be archived, the oldest for %s", waiting, age)
	const why, fix = "they are safe in Redis while it has memory; nobody can search for them yet", "is a process with the component archiver running, and does it reach the archive? Its /readyz says"
	switch {
	case age > stuck:
		e.bad(Fail, check, found, why, fix)
	case age > behind:
		e.bad(Warn, check, found, why, fix)
	default:
		e.ok(check, found)
	}
}

func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return n
}

func size(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }
