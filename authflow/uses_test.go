package authflow

import (
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// TestAFoldedUseKeepsNoMoreThanItsSiteLet: a site that is removed before the hour is over takes nothing back.
func TestAFoldedUseKeepsNoMoreThanItsSiteLet(t *testing.T) {
	c := newClinic(t, noDemands)
	seen := func() { // by the process
		if _, err := c.flows.c.Directory.Organization(t.Context(), c.store.org.UID); err != nil {
			t.Fatal(err)
		}
	}
	c.move(func(o *policy.Organization) {
		for i := range o.Sites {
			o.Sites[i].Privacy = audit.Privacy{IP: audit.IPOmitted}
		}
	})
	seen()
	c.opened(alice, tokenHandle, KindOfSession)
	for range 3 {
		c.access(c.flows, KindOfSession, tokenHandle, "192.0.2.7")
	}
	c.move(func(o *policy.Organization) { o.Sites = nil })
	seen()
	NewUseFolder(c.flows).write(t.Context(), true)
	e := c.usesOf(audit.TypeSessionReused)
	if len(e) != 2 || e[1].Uses != 2 {
		t.Fatalf("%+v", e)
	}
	for i := range e {
		if e[i].Privacy.IP != audit.IPOmitted {
			t.Errorf("%+v", e[i])
		}
	}
}
