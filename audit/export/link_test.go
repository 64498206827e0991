package export_test

import (
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
)

// linked is an export that is whole.
func linked(t *testing.T) (*rig, *export.Job) {
	t.Helper()
	r := newRig(t)
	uid := r.organization()
	r.record(uid, 3, nil)
	job := r.ask(uid, export.FormatCSV, nil)
	w := r.worker(nil)
	done := r.over(job)
	w.Stop()
	return r, done
}

func (r *rig) refused(link, reason string) {
	r.t.Helper()
	f, _, err := r.jobs.Fetch(r.t.Context(), r.files, link)
	if err == nil {
		_ = f.Content.Close()
	}
	if !errs.Is(err, reason) {
		r.t.Errorf("%q: %v, want %s", link, err, reason)
	}
}

func TestALinkThatWasChangedAnywhereIsRefused(t *testing.T) {
	r, done := linked(t)
	link := r.jobs.Links("unix:0", done).Data
	b, err := base64.RawURLEncoding.DecodeString(link)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		changed := slices.Clone(b)
		changed[i] ^= 1
		r.refused(base64.RawURLEncoding.EncodeToString(changed), "EXPORT_LINK_INVALID")
	}
	for _, text := range []string{"", "x", link[:len(link)-1], link + "A", link + "\n", link[:10] + "\r\n" + link[10:], base64.RawURLEncoding.EncodeToString(make([]byte, 2000)), "\x00\xff"} {
		r.refused(text, "EXPORT_LINK_INVALID")
	}
	if n := len(r.content(link)); n == 0 {
		t.Error("the link itself is good")
	}
}

func TestALinkOfAnotherInstallationIsRefused(t *testing.T) {
	r, done := linked(t)
	other, _ := linked(t)
	r.refused(other.jobs.Links("unix:0", done).Data, "EXPORT_LINK_INVALID")
}

func TestALinkIsGoodForADayAndNoLongerThanItsFile(t *testing.T) {
	r, done := linked(t)
	links := r.jobs.Links("unix:0", done)
	if d := links.Ends.Sub(r.now()); d > export.LinkFor || d < export.LinkFor-time.Minute {
		t.Errorf("it ends in %v", d)
	}
	r.ahead.Add(int64(export.LinkFor - time.Minute))
	r.content(links.Data)
	r.ahead.Add(int64(2 * time.Minute))
	r.refused(links.Data, "EXPORT_LINK_EXPIRED")
	r.content(r.jobs.Links("unix:0", done).Manifest)
	r.ahead.Add(int64(r.jobs.Keep - export.LinkFor - time.Hour))
	if ends := r.jobs.Links("unix:0", done).Ends; ends.After(done.Expires) {
		t.Errorf("it ends at %v, its file at %v", ends, done.Expires)
	}
}

func TestEachLinkIsOnTheRecordOnce(t *testing.T) {
	r, done := linked(t)
	first, second := r.jobs.Links("ana", done), r.jobs.Links("ben", done)
	if first.Data == second.Data || first.Data == first.Manifest {
		t.Fatal("each link is one of its own")
	}
	for range 3 {
		r.content(first.Data)
	}
	r.content(second.Manifest)
	var got []string
	for _, e := range r.events(done.OrganizationUID) {
		if e.Type == audit.TypeExportDownloaded {
			got = append(got, e.Caller+" "+e.Changes[0].After)
		}
	}
	if !slices.Equal(got, []string{"ana DATA", "ben MANIFEST"}) {
		t.Errorf("%v", got)
	}
}

func TestAFileThatCannotBeReadIsNotOnTheRecordAsFetched(t *testing.T) {
	r, done := linked(t)
	if err := r.files.Remove(t.Context(), done.OrganizationUID+"/"+done.ID); err != nil {
		t.Fatal(err)
	}
	r.refused(r.jobs.Links("unix:0", done).Data, "EXPORT_STORAGE_UNAVAILABLE")
	if n := len(r.events(done.OrganizationUID)); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestNothingIsHandedOutOfAnOrganizationWhoseKeyWasDestroyed(t *testing.T) {
	r, done := linked(t)
	link := r.jobs.Links("unix:0", done).Data
	r.jobs.Sealer = destroyed{}
	r.refused(link, audit.KeyDestroyed)
	if n := len(r.events(done.OrganizationUID)); n != 2 {
		t.Errorf("%d events", n)
	}
}

// destroyed is a key ring without the key.
type destroyed struct{ export.Sealer }

func (destroyed) DecryptSecret(string, string, []byte) ([]byte, error) {
	return nil, errs.New(errs.FailedPrecondition, audit.KeyDestroyed, "gone")
}
