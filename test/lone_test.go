package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// embeddedProcess starts a process with the embedded store and HTTP on a free port, and waits until it serves.
func embeddedProcess(t *testing.T, data string) *process {
	t.Helper()
	p := lone(t, data, "POSTERN_HTTP_ADDRESS=127.0.0.1:0")
	p.run()
	p.awaitServing()
	return p
}

// lone is a process that is no part of a rig; it is not running yet.
func lone(t *testing.T, data string, env ...string) *process {
	t.Helper()
	sockets, err := os.MkdirTemp("", "ps")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	p := &process{rig: &rig{t: t, data: data}, name: "lone", socket: filepath.Join(sockets, "s")}
	p.env = append(os.Environ(), append([]string{"POSTERN_DATA_DIR=" + data, "POSTERN_LISTEN_SOCKET=" + p.socket, "POSTERN_LOG_FORMAT=json"}, env...)...)
	if p.log, err = os.Create(filepath.Join(sockets, "log")); err != nil {
		t.Fatal(err)
	}
	if p.conn, err = grpc.NewClient("unix:"+p.socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.conn.Close()
		p.kill()
		if t.Failed() {
			t.Logf("log:\n%s", tail(p.log.Name()))
		}
		_ = p.log.Close()
	})
	return p
}

// restart starts a process that has ended again, with an empty log.
func (p *process) restart() {
	p.rig.t.Helper()
	if err := errors.Join(p.log.Truncate(0), seekStart(p.log)); err != nil {
		p.rig.t.Fatal(err)
	}
	p.run()
	p.awaitServing()
}

func seekStart(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// logged returns the log's lines that hold a text.
func (p *process) logged(text string) []string {
	p.rig.t.Helper()
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.rig.t.Fatal(err)
	}
	var found []string
	for l := range strings.SplitSeq(string(b), "\n") {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return found
}

// get asks the process's HTTP side, which says its port in the log.
func (p *process) get(path string) (int, string) {
	p.rig.t.Helper()
	m := regexp.MustCompile(`"http":"(127\.0\.0\.1:[0-9]+)"`).FindAllStringSubmatch(strings.Join(p.logged(`"serving"`), ""), -1)
	if m == nil {
		p.rig.t.Fatal("the log says no HTTP address")
	}
	r, err := http.Get("http://" + m[len(m)-1][1] + path) //nolint:noctx // a loopback server of this test
	if err != nil {
		p.rig.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// open starts a flow of a guest and leaves it open.
func (p *process) open(requestID string) (*posternv1.FlowAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{
		Parent: "organizations/acme/sites/wiki", RequestId: requestID, Subject: &posternv1.Subject{Email: "guest@gmail.com"}})
}

// must is open on a process that serves.
func (p *process) must(requestID string) *posternv1.FlowAnswer {
	p.rig.t.Helper()
	a, err := p.open(requestID)
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return a
}

// eventsOf waits until the archive holds the last given type for a flow, and returns the flow's events. It fails on gaps.
func (p *process) eventsOf(flow, last string) []*posternv1.Event {
	p.rig.t.Helper()
	var of []*posternv1.Event
	err := eventually(30*time.Second, func(context.Context) error {
		all, err := p.record("organizations/acme")
		if err != nil {
			return err
		}
		of = nil
		for i, e := range all {
			if e.GetSequence() != int64(i+1) {
				p.rig.t.Fatalf("event %d has sequence %d", i+1, e.GetSequence())
			}
			if strings.HasSuffix(flow, "/"+e.GetFlow()) && e.GetFlow() != "" {
				of = append(of, e)
			}
		}
		if len(of) == 0 || of[len(of)-1].GetType() != last {
			return fmt.Errorf("the record of %s does not end with %s", flow, last)
		}
		return nil
	})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return of
}

// report reports a proven password on a flow.
func (p *process) report(flow *posternv1.FlowAnswer, requestID string) (*posternv1.FlowAnswer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	verified := true
	return p.signIn().ReportStep(ctx, &posternv1.ReportStepRequest{Flow: flow.GetFlow(), RequestId: requestID, Step: &posternv1.StepReport{
		Type: "password.verified", Subject: &posternv1.Subject{AccountId: "a-1", Email: "guest@gmail.com", EmailVerified: &verified}}})
}

// rename changes acme's display name and returns what it is then.
func (p *process) rename(name, requestID string) *posternv1.Organization {
	p.rig.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := posternv1.NewDirectoryServiceClient(p.conn)
	now, err := c.GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: "organizations/acme"})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	done, err := c.ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{Name: "organizations/acme", Etag: now.GetEtag(), RequestId: requestID,
		Document: "organization: acme\ndisplay_name: " + name})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return done.GetOrganization()
}
