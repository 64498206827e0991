// Package pgproc runs a real PostgreSQL server, for tests and for benchmark programs.
//
// Invariant: a Process has a data directory, a unix socket and a loopback port of its own, keeps them over restarts, and answers
// queries when Start or Restart returns. The default is the set-up that Postern's promises need: fsync, full_page_writes and
// synchronous_commit on. Started by root, the server runs as the user postgres (else nobody), since it refuses root.
//
// It must never touch a server it did not start, listen beyond this machine, or be imported by what ends up in the binary.
// Read Start first; tests use package pgtest instead.
package pgproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	upWithin   = 60 * time.Second // generous: a loaded machine replays a log slowly
	pollEvery  = 10 * time.Millisecond
	portsTried = 10
	logName    = "server.log"
	superuser  = "postern"
)

// ErrNoServer means that there is no PostgreSQL on this machine. Its text says how to get one.
var ErrNoServer = errors.New("there is no PostgreSQL server here (initdb and postgres on PATH or below /usr/lib/postgresql): " +
	"`make test` installs it; by hand: apt-get install postgresql, or brew install postgresql@17")

// Process is one PostgreSQL server and what is needed to break it and start it again. Its methods may be called from any
// goroutine, those that stop or start the server only one at a time.
type Process struct {
	bin      string // directory of the programs
	dir      string // data directory and log
	sockDir  string // apart from dir: the path of a unix socket is limited to about 100 bytes
	port     int
	settings []string
	user     *syscall.Credential // nil: this process's own

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while the server is down
	exited chan struct{}
}

// Start makes a cluster in dir, made if need be, runs a server on it and returns once it answers. settings are lines of
// postgresql.conf ("fsync=off"). The caller ends it with Stop.
func Start(dir string, settings ...string) (*Process, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	user, err := servant()
	if err != nil {
		return nil, err
	}
	sockDir, err := os.MkdirTemp("", "postern-pg")
	if err != nil {
		return nil, fmt.Errorf("directory for the socket: %w", err)
	}
	p := &Process{bin: bin, dir: dir, sockDir: sockDir, settings: settings, user: user}
	if err := p.create(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(sockDir))
	}
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
	err = fmt.Errorf("PostgreSQL did not start: %w; its log:\n%s", err, p.Log())
	return nil, errors.Join(err, p.Stop())
}

// programs finds the directory of initdb and postgres: Debian keeps them off PATH, by version.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		if whole, err := filepath.EvalSymlinks(found); err == nil {
			return filepath.Dir(whole), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNoServer
	}
	newest, version := found[0], 0
	for _, f := range found {
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(f)))); err == nil && n > version {
			newest, version = f, n
		}
	}
	return filepath.Dir(newest), nil
}

// create makes the cluster: UTF-8 and the C locale, whatever the machine's settings are.
func (p *Process) create() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("directory for the data: %w", err)
	}
	if err := p.hand(); err != nil {
		return fmt.Errorf("directory for the data: %w", err)
	}
	cmd := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir = p.dir
	cmd.SysProcAttr = p.attributes()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out.String())
	}
	return nil
}

// hand gives the directories to the server's user, and lets it pass through the temporary directories above them.
func (p *Process) hand() error {
	if p.user == nil {
		return nil
	}
	for _, d := range []string{p.dir, p.sockDir} {
		if err := os.Chown(d, int(p.user.Uid), int(p.user.Gid)); err != nil {
			return err
		}
	}
	top := filepath.Clean(os.TempDir())
	for d := filepath.Dir(p.dir); strings.HasPrefix(d, top+"/"); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o711); err != nil {
			return err
		}
	}
	return nil
}

func (p *Process) data() string { return filepath.Join(p.dir, "data") }

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

// run starts the server on the chosen port and waits until it answers.
func (p *Process) run() error {
	args := []string{"-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(p.port), "-c", "unix_socket_directories=" + p.sockDir,
		"-c", "max_connections=200", "-c", "logging_collector=off"}
	for _, s := range p.settings {
		args = append(args, "-c", s)
	}
	log, err := os.OpenFile(filepath.Join(p.dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer func() { _ = log.Close() }() // the server has its own
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.SysProcAttr = p.attributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	exited := make(chan struct{})
	go func() { // ends with the process; Kill waits for it
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its log
	}()
	p.mu.Lock()
	p.cmd, p.exited = cmd, exited
	p.mu.Unlock()
	return p.awaitAnswer(exited)
}

func (p *Process) awaitAnswer(exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
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

// ready asks over the socket, which is this server's alone, whatever took the port.
func (p *Process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
