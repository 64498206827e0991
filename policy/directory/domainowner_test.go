package directory_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/domaincheck"
)

func TestAPendingClaimBlocksNobodyAndAVerifiedOneEverybody(t *testing.T) {
	w := newDomainWorld(t)
	a, g := w.create("acme", name, nil), w.create("globex", name, nil)
	if a.Challenge.Token == g.Challenge.Token {
		t.Fatal("two organizations are asked for one record")
	}
	w.show(g)
	if _, err := w.verify("globex", name); err != nil {
		t.Fatalf("while another organization waits for it: %v", err)
	}
	w.show(a) // both records stand there: the zone says yes to both
	if _, err := w.verify("acme", name); !errs.Is(err, policy.ReasonDomainTaken) || errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("the loser is told %v", err)
	}
	if c := w.want("the loser", "acme", name, policy.DomainPending, "domain.created >PENDING").Challenge; c.Detail != policy.ReasonDomainTaken || c.Outcome != "FOUND" {
		t.Errorf("%+v", c)
	}
	w.want("the winner", "globex", name, policy.DomainVerified, "domain.created >PENDING", "domain.verified PENDING>VERIFIED")
	// A domain that fails is still the winner's.
	w.dns.set(domaincheck.Name(dom(t, name)), domaincheck.Text(a.Challenge.Token, time.Time{}))
	for range 3 {
		w.pass(37 * time.Hour)
		if _, err := w.verify("globex", name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.verify("acme", name); !errs.Is(err, policy.ReasonDomainTaken) {
		t.Errorf("of a failing domain: %v", err)
	}
	if _, err := w.first.ConfirmRemoval(t.Context(), "unix:7", w.in("globex", name)); err != nil {
		t.Fatal(err)
	}
	if d, err := w.verify("acme", name); err != nil || d.Record == nil {
		t.Errorf("once it was given up: %+v, %v", d, err)
	}
}

func TestOfRacingOrganizationsOneHasTheDomain(t *testing.T) {
	w := newDomainWorld(t)
	for range 20 {
		a, g := w.create("acme", name, nil), w.create("globex", name, nil)
		w.dns.set(domaincheck.Name(dom(t, name)))
		w.show(a, g)
		var wait sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i, organization := range []string{"acme", "globex", "acme", "globex"} {
			process := []*directory.Domains{w.first, w.second}[i%2]
			wait.Go(func() {
				d, err := process.Verify(t.Context(), "unix:7", w.in(organization, name))
				mu.Lock()
				defer mu.Unlock()
				if err == nil && d.Record != nil {
					won++
				} else if err != nil && !errs.Is(err, policy.ReasonDomainTaken) {
					t.Errorf("%s: %v", organization, err)
				}
			})
		}
		wait.Wait()
		has := 0
		for _, organization := range []string{"acme", "globex"} {
			d, err := w.first.Get(t.Context(), organization, dom(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if d.Record != nil {
				has++
				owner, err := w.directory.DomainOwner(t.Context(), dom(t, name))
				if err != nil || owner.OrganizationUID != w.uids[organization] || !owner.Confirmed {
					t.Errorf("%s has it, the owner is %+v, %v", organization, owner, err)
				}
			}
		}
		if has != 1 || won == 0 {
			t.Fatalf("%d organizations have it, %d calls said so", has, won)
		}
		for _, organization := range []string{"acme", "globex"} {
			if err := w.first.Delete(t.Context(), "unix:7", w.in(organization, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestWhatWasTakenAndNeverCommittedIsFreeAgain(t *testing.T) {
	w := newDomainWorld(t)
	g := w.create("globex", name, nil)
	w.show(g)
	// A process of acme took it and was killed before its commit.
	if _, ok, err := w.directory.SwapDomainOwner(t.Context(), dom(t, name), policy.DomainOwner{}, policy.DomainOwner{OrganizationUID: w.uids["acme"], Taken: w.clock()}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := w.verify("globex", name); !errs.Is(err, policy.ReasonDomainTaken) {
		t.Errorf("just taken: %v", err)
	}
	w.pass(3 * time.Minute)
	if d, err := w.verify("globex", name); err != nil || d.Record == nil {
		t.Errorf("given time: %+v, %v", d, err)
	}
	// And one that was given up, but for the last write.
	if err := w.first.Delete(t.Context(), "unix:7", w.in("globex", name)); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.directory.SwapDomainOwner(t.Context(), dom(t, name), policy.DomainOwner{}, policy.DomainOwner{OrganizationUID: w.uids["globex"], Taken: w.clock(), Confirmed: true}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	a := w.create("acme", name, nil)
	w.show(a)
	if d, err := w.verify("acme", name); err != nil || d.Record == nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestWhoeverLostTheDomainWithoutKnowingLapses(t *testing.T) {
	w := newDomainWorld(t)
	a, g := w.create("acme", name, nil), w.create("globex", name, nil)
	w.show(a, g)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	// As after a store of owners that was set back: nobody knows whose it is, and globex is first.
	owner, err := w.directory.DomainOwner(t.Context(), dom(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := w.directory.SwapDomainOwner(t.Context(), dom(t, name), owner, policy.DomainOwner{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := w.verify("globex", name); err != nil {
		t.Fatal(err)
	}
	w.pass(27 * time.Hour)
	w.recheckAll()
	w.want("the loser", "acme", name, policy.DomainLapsed, "domain.created >PENDING", "domain.verified PENDING>VERIFIED", "domain.lapsed VERIFIED>LAPSED")
	w.want("the winner", "globex", name, policy.DomainVerified, "domain.created >PENDING", "domain.verified PENDING>VERIFIED")
}

func TestDomainsOfDocumentsAreTheOperators(t *testing.T) {
	w := newDomainWorld(t)
	pending := w.create("acme", "later-x.com", nil)
	w.show(pending)
	o, err := w.directory.Organization(t.Context(), w.uids["acme"])
	if err != nil {
		t.Fatal(err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndomains: [listed-x.com, later-x.com]\n"), Etag: etag(o)})
	listed, err := w.first.Get(t.Context(), "acme", dom(t, "listed-x.com"))
	if err != nil || listed.Challenge != nil || listed.Record.VerifiedBy != policy.VerifiedByOperator || listed.Record.Stale || listed.Etag() != "" {
		t.Errorf("%+v, %v", listed, err)
	}
	for what, err := range map[string]error{
		"verify":  second(w.verify("acme", "listed-x.com")),
		"later":   second(w.verify("acme", "later-x.com")),
		"confirm": second(w.first.ConfirmRemoval(t.Context(), "unix:7", w.in("acme", "listed-x.com"))),
		"delete":  w.first.Delete(t.Context(), "unix:7", w.in("acme", "listed-x.com")),
	} {
		if !errs.Is(err, "DOMAIN_BY_OPERATOR") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := w.first.Create(t.Context(), "unix:7", directory.NewDomain{Organization: "acme", Domain: dom(t, "listed-x.com"), RequestID: "x"}); !errs.Is(err, "DOMAIN_EXISTS") {
		t.Errorf("%v", err)
	}
	// What the API verified is not a document's to list.
	mine := w.create("acme", "api-x.com", nil)
	w.show(mine)
	if _, err := w.verify("acme", "api-x.com"); err != nil {
		t.Fatal(err)
	}
	if o, err = w.directory.Organization(t.Context(), w.uids["acme"]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.apply(directory.ApplyInput{Document: []byte("organization: acme\ndomains: [api-x.com]\n"), Etag: etag(o)}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("listed: %v", err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndomains: []\n"), Etag: etag(o)})
	var names []string
	for after := (policy.Domain{}); ; {
		page, err := w.second.List(t.Context(), "acme", after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		d := page[0]
		if d.Record != nil {
			after = d.Record.Domain
		} else {
			after = d.Challenge.Domain
		}
		names = append(names, after.String())
	}
	if !slices.Equal(names, []string{"api-x.com", "later-x.com"}) {
		t.Errorf("%v", names)
	}
}

func second[T any](_ T, err error) error { return err }

func etag(o *policy.Organization) string {
	const digits = "0123456789abcdef"
	var b []byte
	for _, c := range o.Stamp {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}
