package redisx

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// ProblemCode names what is wrong with a Redis server.
type ProblemCode string

// What can be wrong. The first three have a setting each that waives them: insecure_old_version, insecure_no_persistence
// (the next three) and insecure_evicting.
const (
	OldVersion      ProblemCode = "REDIS_TOO_OLD"            // older than 7.0
	NoAppendOnly    ProblemCode = "REDIS_NO_APPENDONLY"      // appendonly is not yes
	WeakFsync       ProblemCode = "REDIS_WEAK_FSYNC"         // appendfsync is not always
	FsyncRewrite    ProblemCode = "REDIS_NO_FSYNC_REWRITE"   // no-appendfsync-on-rewrite is not no
	Evicting        ProblemCode = "REDIS_EVICTING"           // maxmemory-policy is not noeviction
	ConfigForbidden ProblemCode = "REDIS_CONFIG_UNREADABLE"  // CONFIG GET is not allowed: none of the above can be known
	AppendFailing   ProblemCode = "REDIS_APPENDONLY_FAILING" // the last write of the append-only file failed
)

// Problem is one thing wrong with one server.
type Problem struct {
	Code   ProblemCode
	Node   string // address
	Detail string // what was found and what is needed
}

// Inspector is the part of a client that the check needs.
type Inspector interface {
	Info(ctx context.Context, section ...string) *redis.StringCmd
	ConfigGet(ctx context.Context, parameter string) *redis.MapStringStringCmd
}

// Check looks at every master that client talks to. An error means that a server could not be asked; what it then says about
// others is not complete.
func Check(ctx context.Context, client redis.UniversalClient) ([]Problem, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return CheckServer(ctx, client, "redis")
	}
	var mu sync.Mutex
	var all []Problem
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		found, err := CheckServer(ctx, c, c.Options().Addr)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return err
	})
	return all, ReadFailed(err)
}

// settings are what promise 1 needs of a server.
var settings = []struct {
	name, want string
	code       ProblemCode
}{
	{"appendonly", "yes", NoAppendOnly},
	{"appendfsync", "always", WeakFsync},
	{"no-appendfsync-on-rewrite", "no", FsyncRewrite},
	{"maxmemory-policy", "noeviction", Evicting},
}

// CheckServer looks at one server.
func CheckServer(ctx context.Context, c Inspector, node string) ([]Problem, error) {
	var all []Problem
	add := func(code ProblemCode, detail string) { all = append(all, Problem{code, node, detail}) }

	info, err := c.Info(ctx).Result()
	if err != nil {
		return nil, ReadFailed(err)
	}
	if v := infoField(info, "redis_version"); !atLeast7(v) {
		add(OldVersion, "redis_version is "+quoted(v)+"; 7.0 or newer is needed")
	}
	if s := infoField(info, "aof_last_write_status"); s != "" && s != "ok" {
		add(AppendFailing, "aof_last_write_status is "+quoted(s)+": look at the disk")
	}
	for _, s := range settings {
		got, err := c.ConfigGet(ctx, s.name).Result()
		if err != nil {
			if isAnswer(err) { // forbidden by an ACL, renamed, or no such command
				add(ConfigForbidden, "CONFIG GET is refused: allow it to this user, else durability cannot be checked")
				return all, nil
			}
			return all, ReadFailed(err)
		}
		if got[s.name] != s.want {
			add(s.code, s.name+" is "+quoted(got[s.name])+"; "+s.want+" is needed")
		}
	}
	return all, nil
}

func infoField(info, name string) string {
	for line := range strings.SplitSeq(info, "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\r"), name+":"); ok {
			return v
		}
	}
	return ""
}

func atLeast7(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 7
}

func quoted(s string) string { return strconv.Quote(s) }
