package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit/sqlite"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestADestroyedKeyOpensNothingAnyMore destroys an organization's key while another process has it in use, and reads the record
// there, in a new process and from a copy of the archive.
func TestADestroyedKeyOpensNothingAnyMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := &hotelStory{ward: ward{t: t}, p: r.start("one", "signin", "archiver", "api")}
	other := r.start("other", "signin", "api")
	h.p.apply(hotel, hotelDocument)
	h.person(stays)
	before := h.recorded(10)
	if events, err := other.record(hotel); err != nil || !says(events[len(events)-3], "hotel") {
		t.Fatalf("the other process reads %v", err)
	}
	d := posternv1.NewDirectoryServiceClient(h.p.conn)
	destroy := &posternv1.DestroyOrganizationKeyRequest{Name: hotel, Confirm: "hotel", RequestId: h.id()}
	for want, change := range map[string]func(*posternv1.DestroyOrganizationKeyRequest){
		"ORGANIZATION_NOT_DISABLED": func(*posternv1.DestroyOrganizationKeyRequest) {},
		"FIELD_INVALID":             func(q *posternv1.DestroyOrganizationKeyRequest) { q.Confirm = "motel" },
		"ORGANIZATION_NOT_FOUND":    func(q *posternv1.DestroyOrganizationKeyRequest) { q.Name, q.Confirm = "organizations/motel", "motel" },
	} {
		q := proto.CloneOf(destroy)
		change(q)
		if _, err := d.DestroyOrganizationKey(h.ctx(), q); reason(err) != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
	h.disable(d)
	for range 2 { // the same request again does nothing more
		if _, err := d.DestroyOrganizationKey(h.ctx(), destroy); err != nil {
			t.Fatal(err)
		}
	}
	h.wantNobody(h.p, before)
	h.wantNobody(other, before)
	for _, p := range []*process{h.p, other} {
		if _, err := p.signIn().StartFlow(h.ctx(), &posternv1.StartFlowRequest{Parent: hotelSite, RequestId: h.id(), Subject: &posternv1.Subject{Email: hotelMail(stays)}}); reason(err) != "KEY_DESTROYED" {
			t.Errorf("a sign-in: %v", err)
		}
	}
	if err := other.terminate(); err != nil {
		t.Fatal(err)
	}
	other.run()
	other.awaitServing()
	h.wantNobody(other, before)
	h.wantNoKey(t, r)
	o, err := d.GetOrganization(h.ctx(), &posternv1.GetOrganizationRequest{Name: hotel})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.DeleteOrganization(h.ctx(), &posternv1.DeleteOrganizationRequest{Name: hotel, Etag: o.GetEtag(), RequestId: h.id(), Reason: "gone"}); err != nil {
		t.Errorf("it cannot be deleted: %v", err)
	}
}

// disable disables the hotel.
func (h *hotelStory) disable(d posternv1.DirectoryServiceClient) {
	h.t.Helper()
	if _, err := d.ApplyOrganization(h.ctx(), &posternv1.ApplyOrganizationRequest{Name: hotel, Document: hotelDocument + "disabled: true\n", RequestId: h.id(),
		Etag: h.etag(d), Force: true}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hotelStory) etag(d posternv1.DirectoryServiceClient) string {
	h.t.Helper()
	o, err := d.GetOrganization(h.ctx(), &posternv1.GetOrganizationRequest{Name: hotel})
	if err != nil {
		h.t.Fatal(err)
	}
	return o.GetEtag()
}

// wantNobody: a process lists the record as it was, and says of nobody who it was.
func (h *hotelStory) wantNobody(p *process, before []*posternv1.Event) {
	h.t.Helper()
	var after []*posternv1.Event
	err := eventually(30*time.Second, func(context.Context) (err error) {
		if after, err = p.record(hotel); err != nil {
			return err
		}
		if !slices.ContainsFunc(after, func(e *posternv1.Event) bool { return e.GetType() == "organization.key_destroyed" }) {
			return fmt.Errorf("%d events, none of them says so", len(after))
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	personal := 0
	for i, b := range before {
		a := after[i]
		if b.GetPersonal() != nil {
			personal++
			if a.GetPersonalState() != "ERASED" {
				h.t.Errorf("event %d is %v", i+1, a)
			}
		}
		if a.GetPersonal() != nil || a.GetId() != b.GetId() || a.GetType() != b.GetType() || a.GetSequence() != b.GetSequence() {
			h.t.Errorf("event %d was %v and is %v", i+1, b, a)
		}
	}
	if personal < 10 {
		h.t.Errorf("only %d events had a personal part", personal)
	}
}

// wantNoKey looks for the key in a copy of the archive, and for digests that still fit.
func (h *hotelStory) wantNoKey(t *testing.T, r *rig) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"archive.db", "archive.db-wal"} {
		b, err := os.ReadFile(filepath.Join(r.data, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := sqlite.Open(t.Context(), filepath.Join(dir, "archive.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	keys, err := a.Keys(t.Context(), "", 10)
	destroyed := 0
	for _, k := range keys {
		if k.Destroyed() {
			destroyed++
		}
	}
	if err != nil || destroyed != 1 {
		t.Errorf("keys %v, %v", keys, err)
	}
	for _, key := range r.redis.Client().Keys(t.Context(), "postern:*:org:*").Val() {
		if o := r.redis.Client().HGetAll(t.Context(), key).Val(); o["id"] == "hotel" && len(o["key"]) != 1 {
			t.Errorf("Redis keeps a key of %d bytes", len(o["key"]))
		}
	}
	if out := r.postern("archive", "verify"); !strings.Contains(out, "none") {
		t.Errorf("verification says:\n%s", out)
	}
}
