package directorytest

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// deleted ends an organization but for its name.
func deleted(t *testing.T, h *Harness, o *policy.Organization) {
	t.Helper()
	must(t, h, policy.Change{Organization: &policy.Organization{UID: o.UID, ID: o.ID, Disabled: true, Sandbox: o.Sandbox, Created: o.Created, Key: o.Key,
		Stamp: o.Stamp, Revision: o.Revision, Deleted: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}, WritePolicy: true,
		Events: []audit.Event{event(o, audit.TypeOrganizationDeleted)}})
}

// ends is the part of a directory that ends organizations.
func ends(t *testing.T, d Both) policy.Deletions {
	t.Helper()
	e, ok := d.(policy.Deletions)
	if !ok {
		t.Fatal("it does not implement policy.Deletions")
	}
	return e
}

func wantNone(t *testing.T, what string, err error) {
	t.Helper()
	if !errs.Is(err, "ORGANIZATION_NOT_FOUND") || errs.KindOf(err) != errs.NotFound {
		t.Errorf("%s: %v", what, err)
	}
}

var deletionCases = map[string]func(t *testing.T, h *Harness){
	"a deleted organization is found by nobody, on any process, and its record stays": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		if uid, err := h.Second.Resolve(t.Context(), "acme"); err != nil || uid != o.UID { // it knows the id from now on
			t.Fatal(err)
		}
		deleted(t, h, o)
		for name, d := range map[string]Both{"the process that did it": h.Directory, "another one": h.Second} {
			_, err := d.Organization(t.Context(), o.UID)
			wantNone(t, name+" reads it", err)
			_, err = d.Resolve(t.Context(), "acme")
			wantNone(t, name+" finds it", err)
			if kept, err := d.Cached(t.Context(), o.UID); err != nil || !kept.Gone() || kept.UID != o.UID || kept.ID != "acme" || kept.Revision != o.Revision+1 {
				t.Errorf("%s: %+v, %v", name, kept, err)
			}
			if list, err := d.Organizations(t.Context(), "", 10); err != nil || len(list) != 0 {
				t.Errorf("%s lists %+v, %v", name, list, err)
			}
			if named, err := ends(t, d).Named(t.Context(), "acme"); err != nil || !named.Gone() || named.UID != o.UID {
				t.Errorf("%s: %+v, %v", name, named, err)
			}
		}
		if all := h.Events(t, o.UID); len(all) != 2 || all[1].Type != audit.TypeOrganizationDeleted {
			t.Errorf("%+v", all)
		}
	},
	"an id is freed once, and only from the organization that has it": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		deleted(t, h, o)
		key := requestKey()
		if freed, err := ends(t, h.Second).Freed(t.Context(), key); err != nil || freed {
			t.Errorf("%t, %v", freed, err)
		}
		for range 2 {
			if err := ends(t, h.Directory).Free(t.Context(), "acme", o.UID, key); err != nil {
				t.Fatal(err)
			}
			if freed, err := ends(t, h.Second).Freed(t.Context(), key); err != nil || !freed {
				t.Errorf("%t, %v", freed, err)
			}
		}
		other := key
		other.Digest[0] ^= 1
		if _, err := ends(t, h.Second).Freed(t.Context(), other); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another request under the same id: %v", err)
		}
		_, err := ends(t, h.Second).Named(t.Context(), "acme")
		wantNone(t, "a free id", err)
		next := created(t, h, "acme")
		if next.UID == o.UID || next.Revision != 1 {
			t.Fatalf("%+v", next)
		}
		if err := ends(t, h.Second).Free(t.Context(), "acme", o.UID, requestKey()); err != nil { // late
			t.Fatal(err)
		}
		if uid, err := h.Second.Resolve(t.Context(), "acme"); err != nil || uid != next.UID {
			t.Errorf("%s, %v", uid, err)
		}
		if list, err := h.Second.Organizations(t.Context(), "", 10); err != nil || len(list) != 1 || list[0].UID != next.UID {
			t.Errorf("%+v, %v", list, err)
		}
	},
	"an id that a deleted organization still has can be reserved": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		if uid, err := h.Second.Reserve(t.Context(), "acme", newID()); err != nil || uid != o.UID {
			t.Errorf("of one that stands: %s, %v", uid, err)
		}
		deleted(t, h, o)
		fresh := newID()
		if uid, err := h.Second.Reserve(t.Context(), "acme", fresh); err != nil || uid != fresh {
			t.Errorf("%s, %v", uid, err)
		}
		if uid, err := h.Directory.Reserve(t.Context(), "acme", newID()); err != nil || uid != fresh {
			t.Errorf("reserved already: %s, %v", uid, err)
		}
	},
	"progress belongs to one organization": func(t *testing.T, h *Harness) {
		key := requestKey()
		for i := range 8 { // some of them share a partition
			o := created(t, h, "org-"+string(rune('a'+i)))
			if p, err := h.Second.Progress(t.Context(), o.UID, key); err != nil || p != nil {
				t.Fatalf("%+v, %v", p, err)
			}
			if err := h.Directory.Answered(t.Context(), o.UID, key, policy.Progress{Stamp: o.Stamp, Done: true}); err != nil {
				t.Fatal(err)
			}
			if p, err := h.Second.Progress(t.Context(), o.UID, key); err != nil || p == nil || p.Stamp != o.Stamp {
				t.Fatalf("%+v, %v", p, err)
			}
		}
	},
	"whether it is for trying things out is kept, listed and on its events": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		next := *o
		next.Sandbox, next.Disabled = true, true
		must(t, h, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeOrganizationUpdated)}})
		if now := current(t, h.Second, o.UID); !now.Sandbox || !now.Disabled {
			t.Errorf("%+v", now)
		}
		if list, err := h.Second.Organizations(t.Context(), "", 10); err != nil || len(list) != 1 || !list[0].Sandbox || !list[0].Disabled {
			t.Errorf("%+v, %v", list, err)
		}
		if all := h.Events(t, o.UID); all[0].Sandbox || !all[1].Sandbox {
			t.Errorf("%+v", all)
		}
	},
}
