package directorytest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// brought returns the index of the one event of a commit that brings the archive what it wrote.
func brought(t *testing.T, events []audit.Event) int {
	t.Helper()
	found := -1
	for i := range events {
		if events[i].Directory == nil {
			continue
		}
		if found >= 0 {
			t.Fatalf("events %d and %d both bring what their commit wrote", found, i)
		}
		found = i
	}
	if found < 0 {
		t.Fatal("no event brings what its commit wrote")
	}
	return found
}

// keysOf are the keys that a commit wrote, and those it took away.
func keysOf(d *audit.DirectoryWrite) (written, gone []audit.DirectoryKey) {
	for _, item := range d.Items {
		if item.Record == nil {
			gone = append(gone, item.Key)
		} else {
			written = append(written, item.Key)
		}
	}
	return written, gone
}

var broughtCases = map[string]func(*testing.T, *Harness){
	"one event of each commit brings what it wrote, and nothing else": func(t *testing.T, h *Harness) {
		type keys = []audit.DirectoryKey
		released := claim(3).Key
		added := claim(1).Key
		for name, want := range map[string]struct {
			record        bool
			carrier       int
			written, gone keys
		}{
			"creation":    {record: true},
			"policy":      {record: true, carrier: 1}, // behind the event of a site: the one that revises the policy
			"additions":   {written: keys{audit.DomainKey("a.example.org"), audit.DomainKey("b.example.org"), audit.ClaimKey(added[:])}},
			"a challenge": {},
			"removals":    {gone: keys{audit.DomainKey("first.example.org"), audit.ClaimKey(released[:])}},
		} {
			o := prepared(t, h)
			c := changes[name](t, h, o)
			before := len(h.Events(t, c.Organization.UID))
			must(t, h, c)
			events := h.Events(t, c.Organization.UID)[before:]
			i := brought(t, events)
			written, gone := keysOf(events[i].Directory)
			if i != want.carrier || (events[i].Directory.Organization != nil) != want.record || !slices.Equal(written, want.written) || !slices.Equal(gone, want.gone) {
				t.Errorf("%s: event %d brings %+v", name, i, events[i].Directory)
			}
		}
		if len(changes) != 5 {
			t.Errorf("%d kinds of changes: say of each what it brings", len(changes))
		}
	},
	"secrets and what is personal stay behind": func(t *testing.T, h *Harness) {
		o := prepared(t, h)
		next := rich(t, o)
		c := claim(9)
		c.Personal = &audit.Sealed{Salt: []byte("salt of a person"), Data: []byte("sealed person"), Digest: []byte("digest of a person")}
		before := len(h.Events(t, o.UID))
		e := event(o, audit.TypePolicyUpdated)
		e.Personal.Detail = "why"
		must(t, h, policy.Change{Organization: next, WritePolicy: true, AddClaims: []policy.ClaimRecord{c}, Events: []audit.Event{e}})
		got := h.Events(t, o.UID)[before]
		if got.Personal.Detail != "why" || got.Revision != o.Revision+1 {
			t.Errorf("the event itself: %+v", got)
		}
		all := slices.Clone(got.Directory.Organization)
		if !bytes.Contains(all, []byte("https://idp.example.org")) {
			t.Fatal("the record is not there")
		}
		for _, item := range got.Directory.Items {
			all = append(all, item.Record...)
		}
		for _, hidden := range []string{"sealed key", "sealed secret", "sealed person", "salt of a person", "why"} {
			if bytes.Contains(all, []byte(hidden)) {
				t.Errorf("it brings %q", hidden)
			}
		}
	},
}
