package test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/pgtest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestAnArchiveMovesToPostgreSQL copies while sign-ins run, stops, copies the rest, and goes on in PostgreSQL: a reader's cursor
// of before goes on there, and the record is whole.
func TestAnArchiveMovesToPostgreSQL(t *testing.T) {
	t.Parallel()
	r := newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s")
	url := pgtest.Start(t).Database()
	p := r.start("before", "signin", "archiver", "api")
	p.apply(loadOrganization, loadDocument)
	l := newLoad(t, 60*time.Second, p)
	l.run(0, 150, 16)
	first, err := posternv1.NewEventServiceClient(p.conn).ListEvents(context.Background(), &posternv1.ListEventsRequest{
		Parent: loadOrganization, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST, PageSize: 100})
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatalf("%v, %v", first, err)
	}
	done := make(chan struct{})
	go func() { defer close(done); l.run(150, 300, 16) }()
	r.postern("archive", "copy", "--to", url, "--copy-only")
	<-done
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	if out := r.postern("archive", "copy", "--to", url); !strings.Contains(out, "all equal") {
		t.Fatalf("the copy says:\n%s", out)
	}
	r.env = append(r.env, "POSTERN_ARCHIVE_URL="+url)
	after := r.start("after", "signin", "archiver", "api")
	l.targets = []*process{after}
	l.run(300, 350, 16)
	l.verify(after)
	second, err := posternv1.NewEventServiceClient(after.conn).ListEvents(context.Background(), &posternv1.ListEventsRequest{
		Parent: loadOrganization, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST, PageSize: 100, PageToken: first.GetNextPageToken()})
	if err != nil || len(second.GetEvents()) != 100 || second.GetEvents()[0].GetSequence() != 101 {
		t.Errorf("the cursor of before goes on with %v, %v", second.GetEvents(), err)
	}
	if out := r.postern("archive", "verify"); !strings.Contains(out, "none") {
		t.Errorf("verification says:\n%s", out)
	}
	if out := r.postern("archive", "status"); !strings.Contains(out, "PostgreSQL at ") || !strings.Contains(out, "180d-") {
		t.Errorf("status says:\n%s", out)
	}
}

// postern runs a command on the rig's settings and returns what it printed.
func (r *rig) postern(args ...string) string {
	r.t.Helper()
	path, err := binary()
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), path, args...)
	cmd.Env = append([]string{"POSTERN_DATA_DIR=" + r.data, "HOME=" + filepath.Dir(r.data), "PATH=/none"}, r.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
