package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit/export"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// exports keeps exports by organization, the newest first.
type exports struct {
	all map[string][]export.Job
	ask map[string]export.Question
}

func (x *exports) Create(_ context.Context, caller string, in export.NewJob) (*export.Job, error) {
	if x.all == nil {
		x.all, x.ask = map[string][]export.Job{}, map[string]export.Question{}
	}
	n := len(x.all[in.OrganizationUID])
	job := export.Job{
		OrganizationUID: in.OrganizationUID, Organization: in.Organization, ID: "0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7" + string(rune('0'+n)), Format: in.Format,
		State: export.StateQueued, Creator: caller, Created: time.Unix(1_800_000_000, 0), Through: 100,
	}
	x.ask[job.ID] = export.Question{Filter: in.Filter, Reason: in.Reason}
	x.all[in.OrganizationUID] = append([]export.Job{job}, x.all[in.OrganizationUID]...)
	return &job, nil
}

func (x *exports) Get(_ context.Context, uid, id string) (*export.Job, error) {
	for i := range x.all[uid] {
		if x.all[uid][i].ID == id {
			return &x.all[uid][i], nil
		}
	}
	return nil, export.NotFound()
}

func (x *exports) List(_ context.Context, uid, after string, limit int) ([]export.Job, error) {
	var out []export.Job
	for _, j := range x.all[uid] {
		if (after == "" || j.ID < after) && len(out) < limit {
			out = append(out, j)
		}
	}
	return out, nil
}

func (x *exports) Cancel(ctx context.Context, _ string, in export.Ending) (*export.Job, error) {
	job, err := x.Get(ctx, in.OrganizationUID, in.ID)
	if err == nil {
		job.State = export.StateCancelled
	}
	return job, err
}

func (x *exports) Delete(ctx context.Context, _ string, in export.Ending) error {
	_, err := x.Get(ctx, in.OrganizationUID, in.ID)
	return err
}

func (x *exports) Question(job *export.Job) (export.Question, error) { return x.ask[job.ID], nil }

func (x *exports) Links(_ string, job *export.Job) export.Links {
	if job.State != export.StateSucceeded {
		return export.Links{}
	}
	return export.Links{Data: "data", Manifest: "manifest", Ends: job.Created}
}

func TestExportsAreAskedForListedAndEndedByNameInOneOrganization(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	in := &posternv1.CreateExportRequest{
		Parent: acme, Format: posternv1.Export_FORMAT_CSV, RequestId: "1", Reason: "audit of May",
		Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"sign_in.*"}}},
	}
	first, err := c.CreateExport(testContext(t), in)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first.GetName(), acme+"/exports/") || first.GetState() != posternv1.Export_STATE_QUEUED || first.GetReason() != "audit of May" ||
		!proto.Equal(first.GetFilter().GetInclude(), in.GetFilter().GetInclude()) || first.GetThroughSequence() != 100 {
		t.Errorf("%v", first)
	}
	for range 2 {
		if _, err := c.CreateExport(testContext(t), in); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for r := (&posternv1.ListExportsRequest{Parent: acme, PageSize: 2}); ; {
		page, err := c.ListExports(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetExports() {
			names = append(names, e.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
			break
		}
	}
	if len(names) != 3 || names[2] != first.GetName() || names[0] <= names[1] {
		t.Errorf("listed %v", names)
	}
	cancelled, err := c.CancelExport(testContext(t), &posternv1.CancelExportRequest{Name: first.GetName(), RequestId: "2"})
	if err != nil || cancelled.GetState() != posternv1.Export_STATE_CANCELLED {
		t.Errorf("%v, %v", cancelled, err)
	}
	if _, err := c.DeleteExport(testContext(t), &posternv1.DeleteExportRequest{Name: first.GetName(), RequestId: "3"}); err != nil {
		t.Error(err)
	}
	other := strings.Replace(first.GetName(), acme, "organizations/system", 1)
	_, err = c.GetExport(testContext(t), &posternv1.GetExportRequest{Name: other})
	failed(t, err, "NOT_FOUND", "EXPORT_NOT_FOUND")
}

func TestLinksOfAnExportAreInTheAnswerToGetExportAlone(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	made, err := c.CreateExport(testContext(t), &posternv1.CreateExportRequest{Parent: acme, Format: posternv1.Export_FORMAT_JSONL, RequestId: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if made, err = c.GetExport(testContext(t), &posternv1.GetExportRequest{Name: made.GetName()}); err != nil || made.GetDownloadUri() != "" {
		t.Errorf("one that is not whole: %v, %v", made, err)
	}
	for uid := range w.exports.all {
		w.exports.all[uid][0].State = export.StateSucceeded
	}
	made, err = c.GetExport(testContext(t), &posternv1.GetExportRequest{Name: made.GetName()})
	if err != nil || made.GetDownloadUri() != "http://here/download?link=data" || made.GetManifestUri() != "http://here/download?link=manifest" {
		t.Errorf("%v, %v", made, err)
	}
	list, err := c.ListExports(testContext(t), &posternv1.ListExportsRequest{Parent: acme})
	if err != nil || len(list.GetExports()) != 1 || list.GetExports()[0].GetDownloadUri() != "" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestAnExportThatCannotBeReadAsAskedIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	for name, change := range map[string]func(*posternv1.CreateExportRequest){
		"no format":      func(r *posternv1.CreateExportRequest) { r.Format = 0 },
		"unknown format": func(r *posternv1.CreateExportRequest) { r.Format = 9 },
		"no request id":  func(r *posternv1.CreateExportRequest) { r.RequestId = "" },
		"unknown type": func(r *posternv1.CreateExportRequest) {
			r.Filter = &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"no.such"}}}
		},
		"a reason too long": func(r *posternv1.CreateExportRequest) { r.Reason = strings.Repeat("x", 513) },
	} {
		r := &posternv1.CreateExportRequest{Parent: acme, Format: posternv1.Export_FORMAT_CSV, RequestId: "1"}
		change(r)
		if _, err := c.CreateExport(testContext(t), r); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, bad := range []string{acme + "/exports/1", acme + "/exports/0199C1F2-7f5e-7b9a-8c1d-2f3a4b5c6d70", acme + "/exports/../x"} {
		_, err := c.GetExport(testContext(t), &posternv1.GetExportRequest{Name: bad})
		if err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}
