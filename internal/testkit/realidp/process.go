package realidp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	upWithin = time.Minute // generous: Node compiles, Dex makes keys, and the machine may be busy
	maxLog   = 64 << 10
)

// process is one provider that runs as a program of its own.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer // closing it asks a provider of hack/idps to end
	exited chan struct{}
	out    *output
}

// run starts a program.
func run(dir, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{}), out: &output{ready: make(chan string, 1)}}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	dieWithParent(p.cmd)
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("realidp: start %s: %w", program, err)
	}
	go func() { // ends with the process; stop waits for it
		defer close(p.exited)
		_ = p.cmd.Wait() // how it ended is in its output
	}()
	return p, nil
}

// awaitReady waits until the program has printed "ready URL" and returns the URL.
func (p *process) awaitReady() (string, error) {
	limit := time.NewTimer(upWithin)
	defer limit.Stop()
	select {
	case base := <-p.out.ready:
		return base, nil
	case <-p.exited:
		return "", fmt.Errorf("realidp: %s ended: %s", p.cmd.Path, p.out)
	case <-limit.C:
		return "", fmt.Errorf("realidp: %s was not ready within %v: %s", p.cmd.Path, upWithin, p.out)
	}
}

// stop ends the program and waits for its end. It may be called twice.
func (p *process) stop() error {
	_ = p.stdin.Close()
	if err := p.cmd.Process.Kill(); err != nil && !ended(p.exited) {
		<-p.exited // it was about to end by itself
	}
	<-p.exited
	return nil
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// output keeps the end of what a program prints and finds the line that says it is ready.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan string
	found bool
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if !o.found {
		for line := range strings.Lines(o.text.String()) {
			if base, ok := strings.CutPrefix(line, "ready "); ok && strings.HasSuffix(base, "\n") {
				o.found = true
				o.ready <- strings.TrimSpace(base)
				break
			}
		}
	}
	if extra := o.text.Len() - maxLog; extra > 0 {
		o.text.Next(extra)
	}
	return len(b), nil
}

// String is what has been printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// errPortTaken means that another program was quicker to take the port.
var errPortTaken = errors.New("the port was taken meanwhile")
