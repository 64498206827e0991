// Package redisproc runs a real redis-server process, for tests and for the benchmark program.
//
// Invariant: a Process has a loopback port, a unix socket and a directory of its own, keeps them over restarts, and answers
// PING when Start or Restart returns. The default is the set-up that Postern's promises need: append-only file, fsync on every
// write, nothing evicted.
//
// It must never touch a server it did not start, listen beyond this machine, or be imported by what ends up in the binary.
// Read Start first; tests use package redistest instead.
package redisproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	upWithin   = 30 * time.Second // generous: a loaded machine replays an append-only file slowly
	pollEvery  = 5 * time.Millisecond
	portsTried = 10
)

// ErrNoServer means that there is no redis-server on PATH. Its text says how to get one.
var ErrNoServer = errors.New("there is no redis-server on PATH: `make test` installs it; " +
	"by hand: apt-get install redis-server, or brew install redis")

// Process is one redis-server and what is needed to break it and start it again. Its methods may be called from any
// goroutine, those that stop or start the server only one at a time.
type Process struct {
	conf    config
	bin     string
	dir     string // data and log
	sockDir string // apart from dir: the path of a unix socket is limited to about 100 bytes
	port    int

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while the server is down
	exited chan struct{}
}

// Start runs a redis-server with its data in dir, made if need be, and returns once it answers. The caller ends it with Stop.
func Start(dir string, opts ...Option) (*Process, error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, ErrNoServer
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for the data: %w", err)
	}
	sockDir, err := os.MkdirTemp("", "postern-redis")
	if err != nil {
		return nil, fmt.Errorf("directory for the socket: %w", err)
	}
	p := &Process{conf: newConfig(opts), bin: bin, dir: dir, sockDir: sockDir}
	// Between choosing a free port and binding it another process may take it: then choose again.
	for range portsTried {
		if p.port, err = freePort(); err != nil {
			break
		}
		if err = p.run(); err == nil {
			return p, nil
		}
		p.Kill()
		if !strings.Contains(p.Log(), "Address already in use") {
			break
		}
	}
	err = fmt.Errorf("redis-server did not start: %w; its log:\n%s", err, p.Log())
	return nil, errors.Join(err, p.Stop())
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return strconv.Atoi(port)
}

// run starts the process on the chosen port and waits until it answers.
func (p *Process) run() error {
	// A killed server leaves its socket file; with it there, "the socket exists" could mean the wrong thing.
	if err := os.Remove(p.Socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the old socket: %w", err)
	}
	cmd := exec.Command(p.bin, p.conf.args(p.port, p.Socket(), p.dir)...)
	cmd.Dir = p.dir
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.bin, err)
	}
	exited := make(chan struct{})
	go func() { // ends with the process; Kill waits for it
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its log
	}()
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	return p.awaitPing(cmd.Process.Pid, exited)
}

func (p *Process) awaitPing(pid int, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, DialTimeout: time.Second, ContextTimeoutEnabled: true})
	defer func() { _ = client.Close() }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx, client, pid)
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("the process ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %w", upWithin, err)
		case <-tick.C:
		}
	}
}

// ready asks for the pid too: another server could have taken the port first, and nobody may talk to that one.
func ready(ctx context.Context, client *redis.Client, pid int) error {
	if err := client.Ping(ctx).Err(); err != nil { // refused also while the append-only file is being loaded
		return err
	}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "process_id:"+strconv.Itoa(pid)+"\r\n") {
		return errors.New("another redis-server answers on this port")
	}
	return nil
}
