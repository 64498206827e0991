package export_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// What the test tells a process of its own.
const (
	childEnv  = "POSTERN_TEST_EXPORT_DIR"
	redisEnv  = "POSTERN_TEST_EXPORT_REDIS"
	aheadEnv  = "POSTERN_TEST_EXPORT_AHEAD" // of the clock, seconds
	rowsEnv   = "POSTERN_TEST_EXPORT_ROWS"  // it stands still after so many rows that are settled; 0: before it keeps the manifest
	stoodName = "stood"
)

// child makes exports until it stands still, and is killed then.
func child(dir string) {
	if err := childRun(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a process of its own, which ends here
	}
}

func childRun(dir string) error {
	ctx := context.Background()
	client, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + os.Getenv(redisEnv)}})
	if err != nil {
		return err
	}
	b, err := openBase(ctx, dir, client)
	if err != nil {
		return err
	}
	ahead, err := strconv.Atoi(os.Getenv(aheadEnv))
	if err != nil {
		return err
	}
	b.ahead.Store(int64(ahead) * int64(time.Second))
	keys, err := filepath.Glob(filepath.Join(dir, "key-*"))
	if err != nil {
		return err
	}
	for _, path := range keys {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k audit.OrganizationKey
		if err := json.Unmarshal(text, &k); err != nil {
			return err
		}
		if err := b.keyring.Add(k); err != nil {
			return err
		}
	}
	rows, err := strconv.Atoi(os.Getenv(rowsEnv))
	if err != nil {
		return err
	}
	c := b.config("child/" + strconv.Itoa(os.Getpid()))
	if rows == 0 {
		c.Files = standing{b.files, dir}
	} else {
		c.Encoder = func(f export.Format, w io.Writer, at int64, kept []byte, keep func([]byte) error) (export.Encoder, error) {
			e, err := format.New(f, w, at, kept, keep)
			return &stander{Encoder: e, left: rows, dir: dir}, err
		}
	}
	w, err := export.NewWorker(c)
	if err != nil {
		return err
	}
	w.Start()
	select {} // until it is killed
}

// stood says that this process does nothing any more.
func stood(dir string) {
	if err := os.WriteFile(filepath.Join(dir, stoodName), nil, 0o600); err != nil {
		panic(err)
	}
	select {}
}

// stander stands still some rows after it settled enough of them.
type stander struct {
	export.Encoder
	rows, left int
	settled    bool
	dir        string
}

func (s *stander) Append(e *audit.Event) error {
	if s.rows++; s.settled && s.rows > s.left+150 {
		stood(s.dir)
	}
	return s.Encoder.Append(e)
}

func (s *stander) Settle() (bool, error) {
	done, err := s.Encoder.Settle()
	s.settled = s.settled || done && s.rows >= s.left
	return done, err
}

// standing stands still when the data is kept and its manifest is not.
type standing struct {
	export.Files
	dir string
}

func (s standing) Put(ctx context.Context, name, path string) error {
	if strings.HasSuffix(name, ".manifest.json") {
		stood(s.dir)
	}
	return s.Files.Put(ctx, name, path)
}

// killed runs a process of its own until it stands still, and kills it.
func (r *rig) killed(socket string, rows int) {
	r.t.Helper()
	marker := filepath.Join(r.dir, stoodName)
	if err := os.RemoveAll(marker); err != nil {
		r.t.Fatal(err)
	}
	var out lockedBuffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+r.dir, redisEnv+"="+socket, rowsEnv+"="+strconv.Itoa(rows), aheadEnv+"="+strconv.FormatInt(r.ahead.Load()/int64(time.Second), 10))
	cmd.Stdout, cmd.Stderr = &out, &out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	until(r.t, func() bool {
		select {
		case err := <-ended:
			r.t.Fatalf("it ended: %v\n%s", err, out.String())
		default:
		}
		_, err := os.Stat(marker)
		return err == nil
	}, out.String)
	if err := cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	if err := <-ended; err == nil {
		r.t.Fatal("it ended by itself")
	}
	r.ahead.Add(int64(time.Minute)) // its lease is over
}

func TestAnExportWhoseMakersAreKilledIsTheOneNobodyKilled(t *testing.T) {
	const rows = 23_017
	for _, f := range []export.Format{export.FormatCSV, export.FormatJSONL, export.FormatParquet} {
		t.Run(f.String(), func(t *testing.T) {
			server := redistest.Start(t, redistest.FsyncEverySecond())
			client, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			r := rigOn(t, client)
			uid := r.organization()
			r.record(uid, rows, nil)

			job := r.ask(uid, f, nil)
			r.killed(server.Socket(), 2000)
			first := r.sequence(job)
			r.killed(server.Socket(), 3000)
			second := r.sequence(job)
			if first == 0 || second <= first {
				t.Fatalf("the second went on at %d, and ended at %d: nothing was gone on with", first, second)
			}
			r.killed(server.Socket(), 0) // the file is whole, and its end not written down
			same := r.ask(uid, f, nil)
			r.worker(nil)
			done, whole := r.over(job), r.over(same)
			if done.State != export.StateSucceeded || whole.State != export.StateSucceeded || done.Rows != rows || whole.Rows != rows || done.Attempt != 4 || whole.Attempt != 1 {
				t.Fatalf("%+v\n%+v\n%s", done, whole, r.log.String())
			}
			if !bytes.Equal(done.SHA256, whole.SHA256) || done.Bytes != whole.Bytes {
				t.Errorf("killed: %d bytes %x, not killed: %d bytes %x", done.Bytes, done.SHA256, whole.Bytes, whole.SHA256)
			}
			if !bytes.Equal(r.content(r.jobs.Links("x", done).Data), r.content(r.jobs.Links("x", whole).Data)) {
				t.Error("the files differ")
			}
			until(t, func() bool {
				left, err := filepath.Glob(filepath.Join(r.dir, "files", uid, "*"))
				return err == nil && len(left) == 4
			}, func() string { return "files of earlier tries go" })
		})
	}
}

// sequence is up to where the mark of an export says that it is made.
func (r *rig) sequence(job *export.Job) int64 {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "making", job.OrganizationUID+"_"+job.ID, "mark.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	var m struct{ Sequence int64 }
	if err := json.Unmarshal(b, &m); err != nil {
		r.t.Fatal(err)
	}
	return m.Sequence
}

func TestAFileThatLostWhatItsMarkSaysIsMadeAnew(t *testing.T) {
	for _, name := range []string{"data", "kept", "mark.json"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			uid := r.organization()
			r.record(uid, 12_500, nil)
			a := &away{Reader: r.archive}
			a.is.Store(true)
			r.jobs.Reader = a
			a.from = 11_000
			job := r.ask(uid, export.FormatParquet, nil)
			w := r.worker(nil)
			r.await(job, func(j *export.Job) bool { return j.State == export.StatePaused })
			w.Stop()
			path := filepath.Join(r.dir, "making", uid+"_"+job.ID, name)
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			a.is.Store(false)
			r.ahead.Add(int64(time.Hour))
			r.worker(nil)
			if done := r.over(job); done.State != export.StateSucceeded || done.Rows != 12_500 {
				t.Errorf("%+v", done)
			}
		})
	}
}
