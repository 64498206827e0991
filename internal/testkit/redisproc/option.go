package redisproc

import (
	"maps"
	"slices"
	"strconv"
)

const logName = "redis.log"

// Option changes one thing about a server before it starts.
type Option func(config)

// config is redis-server settings by name.
type config map[string]string

func newConfig(opts []Option) config {
	c := config{
		"appendonly":                "yes",
		"appendfsync":               "always",
		"no-appendfsync-on-rewrite": "no",
		"maxmemory-policy":          "noeviction",
		"save":                      "",
		"databases":                 "1",
	}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Set gives one redis-server setting by its name in redis.conf, replacing the default.
func Set(name, value string) Option { return func(c config) { c[name] = value } }

// FsyncEverySecond makes the append-only file reach the disk once a second: the last second may be lost in a crash of the
// machine.
func FsyncEverySecond() Option { return Set("appendfsync", "everysec") }

// NoPersistence switches the append-only file off: nothing survives Kill.
func NoPersistence() Option { return Set("appendonly", "no") }

// args are the command line: settings in a fixed order, then what belongs to this server alone and no option may change.
func (c config) args(port int, sock, dir string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		out = append(out, "--"+name, c[name])
	}
	return append(out,
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--protected-mode", "yes",
		"--unixsocket", sock, "--unixsocketperm", "600",
		"--dir", dir, "--logfile", logName, "--daemonize", "no",
	)
}
