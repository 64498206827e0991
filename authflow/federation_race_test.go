package authflow

import "testing"

// A code cannot be sent again: the call that sent it records what came of it, however many calls on its flow come first.
func TestACodeThatWasSentIsNotGivenUpForCallsThatCameFirst(t *testing.T) {
	p := newPartners(t, federated(noDemands))
	in := p.came(p.begin("okta"), "s1", "")
	others := 0
	p.idp.during = func() {
		p.store.before = func(c *Commit) error {
			if c.Flow == nil || others == 2*maxConflicts {
				return nil
			}
			others++
			l := p.store.flows[p.flow].l
			return &Conflict{Flow: &l}
		}
	}
	if got := p.complete(in); got.Identity == nil || got.Reason != "" || others != 2*maxConflicts {
		t.Fatalf("after %d others: %+v", others, got.Outcome)
	}
}
