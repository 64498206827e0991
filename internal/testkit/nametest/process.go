package nametest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	upWithin   = 30 * time.Second
	pollEvery  = 10 * time.Millisecond
	portsTried = 10
)

// process is one named.
type process struct {
	t      testing.TB
	bin    string
	dir    string
	port   int
	cmd    *exec.Cmd
	exited chan struct{}
}

func newProcess(t testing.TB) *process {
	t.Helper()
	found, err := exec.LookPath("named")
	if err != nil {
		if found, err = exec.LookPath("/usr/sbin/named"); err != nil {
			t.Fatal("nametest: there is no named here: `make test` installs it; by hand: apt-get install bind9, or brew install bind")
		}
	}
	p := &process{t: t, dir: t.TempDir()}
	// From a directory of ours it is no program that some systems' AppArmor profile keeps to /etc/bind and /var/cache/bind.
	p.bin = filepath.Join(p.dir, "named")
	b, err := os.ReadFile(found)
	if err == nil {
		err = os.WriteFile(p.bin, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

func (p *process) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func (p *process) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// run starts named with the rest of its options and what follows them, and returns once it is up. Between choosing a free port and
// binding it another process may take it: then it chooses again.
func (p *process) run(conf string, up func() bool) {
	p.t.Helper()
	for range portsTried {
		p.port = freePort(p.t)
		text := fmt.Sprintf("options {\ndirectory %q; managed-keys-directory %q; pid-file none; session-keyfile %q;\n"+
			"listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; };\n%scontrols { };\n",
			p.dir, p.dir, filepath.Join(p.dir, "session.key"), p.port, conf)
		if err := os.WriteFile(filepath.Join(p.dir, "named.conf"), []byte(text), 0o600); err != nil {
			p.t.Fatal(err)
		}
		if p.start(up) {
			return
		}
		p.kill()
		if !strings.Contains(p.log(), "address in use") && !strings.Contains(p.log(), "no listening") {
			break
		}
	}
	p.t.Fatalf("nametest: named did not come up; its log:\n%s", p.log())
}

func (p *process) start(up func() bool) bool {
	p.t.Helper()
	out, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the process has its own
	cmd := exec.Command(p.bin, "-g", "-n", "1", "-U", "1", "-c", filepath.Join(p.dir, "named.conf"))
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, p.dir
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { // ends with the process; kill waits for it
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its log
	}()
	p.cmd, p.exited = cmd, exited
	tick, late := time.NewTicker(pollEvery), time.NewTimer(upWithin)
	defer tick.Stop()
	defer late.Stop()
	for {
		// Its own log says that it runs: else something else may have the port.
		if bytes.Contains([]byte(p.log()), []byte("running")) && up() {
			return true
		}
		select {
		case <-exited:
			return false
		case <-late.C:
			return false
		case <-tick.C:
		}
	}
}

func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may be gone
	<-p.exited
	p.cmd = nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("nametest: %v is no TCP address", l.Addr())
	}
	return a.Port
}
