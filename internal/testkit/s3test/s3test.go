// Package s3test gives a test a real S3 server of its own: versitygw on a directory, reached over loopback.
//
// Invariant: the server is dead, and waited for, before the test's directory is removed. It must never skip: a machine without the
// server fails the test and says how to get it. It must never reach the binary. First file to read: this one.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Who may use every server, and its bucket.
const (
	AccessKey = "postern-test"
	SecretKey = "not-a-secret-in-tests"
	Bucket    = "exports"
	Region    = "us-east-1"
)

const (
	upWithin = time.Minute
	tries    = 5 // a port may be taken between finding and using it
)

// Server is an S3 server that lives as long as its test.
type Server struct {
	t       testing.TB
	program string
	dir     string
	address string
	cmd     *exec.Cmd
	exited  chan struct{}
	out     *output
}

// Start runs a server with an empty bucket.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := installed()
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	s := &Server{t: t, program: program, dir: t.TempDir()}
	for _, name := range []string{"objects", "meta"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			t.Fatalf("s3test: %v", err)
		}
	}
	t.Cleanup(s.Stop)
	for range tries {
		if s.address, err = freePort(t.Context()); err == nil {
			err = s.start()
		}
		if err == nil {
			break
		}
	}
	if err == nil {
		err = s.client().MakeBucket(t.Context(), Bucket, minio.MakeBucketOptions{Region: Region})
	}
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	return s
}

// Endpoint is where it is reached, http://127.0.0.1:PORT. It stays the same over Restart.
func (s *Server) Endpoint() string { return "http://" + s.address }

// Stop ends the server; its files stay. Stopping one that is down does nothing.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.exited
	s.cmd = nil
}

// Restart starts a server that is down again, on the same files.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("s3test: %v", err)
	}
}

// Names lists what is in the bucket.
func (s *Server) Names() []string {
	s.t.Helper()
	var out []string
	for o := range s.client().ListObjects(s.t.Context(), Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			s.t.Fatalf("s3test: %v", o.Err)
		}
		out = append(out, o.Key)
	}
	return out
}

func (s *Server) client() *minio.Client {
	s.t.Helper()
	c, err := minio.New(s.address, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region, MaxRetries: 1})
	if err != nil {
		s.t.Fatalf("s3test: %v", err)
	}
	return c
}

// start runs the program and waits until it answers.
func (s *Server) start() error {
	s.out = &output{}
	cmd := exec.Command(s.program, "--port", s.address, "--quiet", "posix", "--sidecar", filepath.Join(s.dir, "meta"), filepath.Join(s.dir, "objects"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey, "VGW_REGION="+Region)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { // ends with the process; Stop waits for it
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its output
	}()
	s.cmd, s.exited = cmd, exited
	limit := time.NewTimer(upWithin)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-exited:
			s.cmd = nil
			return fmt.Errorf("%s ended: %s", s.program, s.out)
		case <-limit.C:
			s.Stop()
			return fmt.Errorf("%s did not answer within %v: %s", s.program, upWithin, s.out)
		case <-tick.C:
		}
		if _, err := s.client().ListBuckets(context.Background()); err == nil {
			return nil
		}
	}
}

func freePort(ctx context.Context) (string, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// installed finds the server that hack/ensure-s3.sh put into hack/s3, from the directory this process works in upwards.
func installed() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, "hack", "s3", "versitygw")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("the S3 server for tests is not installed: run `make s3` (or make test, which does)")
		}
		dir = up
	}
}

// output keeps what a program prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

// String is what has been printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
