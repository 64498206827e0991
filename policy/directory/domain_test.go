package directory_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// dns is what zones show: records by challenge name. Broken names answer nothing.
type dns struct {
	mu     sync.Mutex
	shown  map[string][]string
	broken bool
	looks  int
	before func() // a look is about to be answered
}

func (z *dns) Check(_ context.Context, c *policy.DomainChallenge, now time.Time) domaincheck.Finding {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.looks++
	if z.before != nil {
		z.before()
	}
	a := domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonNoName}
	for _, s := range z.shown[domaincheck.Name(c.Domain)] {
		a.Kind = domaincheck.Records
		a.TXT = append(a.TXT, []string{s})
	}
	if z.broken {
		a = domaincheck.Answer{Reason: domaincheck.ReasonServfail}
	}
	return domaincheck.Judge([]domaincheck.Answer{a}, c.Token, c.Expires, now)
}

func (z *dns) set(name string, records ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.shown[name] = records
}

// domainWorld is two organizations, two processes, one DNS and one clock.
type domainWorld struct {
	*world
	dns    *dns
	mu     sync.Mutex
	now    time.Time
	uids   map[string]string
	first  *directory.Domains
	second *directory.Domains
}

func (w *domainWorld) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *domainWorld) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func newDomainWorld(t *testing.T) *domainWorld {
	t.Helper()
	w := &domainWorld{world: newWorld(t), dns: &dns{shown: map[string][]string{}}, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), uids: map[string]string{}}
	for _, id := range []string{"acme", "globex"} {
		w.uids[id] = w.must(directory.ApplyInput{Organization: id, Document: []byte("organization: " + id + "\n")}).Organization.UID
	}
	w.first = w.useCases()
	w.process()
	for _, uid := range w.uids { // a process that starts learns the keys it reads about
		if _, err := w.directory.Organization(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	}
	w.second = w.useCases()
	return w
}

func (w *domainWorld) useCases() *directory.Domains {
	return &directory.Domains{Directory: w.directory, Writer: w.directory, Challenges: w.directory, Owners: w.directory, Checker: w.dns,
		Namer: naming.New(w.sets.Namer()), NewID: func() string { return uuid.Must(uuid.NewV7()).String() }, Jitter: func() float64 { return 0.5 }, Now: w.clock,
		NewToken: func() (t policy.ChallengeToken) { _, _ = rand.Read(t[:]); return t }}
}

func dom(t *testing.T, s string) policy.Domain {
	t.Helper()
	d, err := domaincheck.Check(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *domainWorld) create(organization, name string, change func(*directory.NewDomain)) directory.Domain {
	w.t.Helper()
	in := directory.NewDomain{Organization: organization, Domain: dom(w.t, name), RequestID: uuid.NewString()}
	if change != nil {
		change(&in)
	}
	d, err := w.first.Create(w.t.Context(), "unix:7", in)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *domainWorld) in(organization, name string) directory.DomainInput {
	return directory.DomainInput{Organization: organization, Domain: dom(w.t, name), RequestID: uuid.NewString()}
}

func (w *domainWorld) verify(organization, name string) (directory.Domain, error) {
	return w.first.Verify(w.t.Context(), "unix:7", w.in(organization, name))
}

func (w *domainWorld) show(domains ...directory.Domain) {
	for _, d := range domains {
		name := domaincheck.Name(d.Challenge.Domain)
		w.dns.mu.Lock()
		w.dns.shown[name] = append(w.dns.shown[name], domaincheck.Text(d.Challenge.Token, d.Challenge.Expires))
		w.dns.mu.Unlock()
	}
}

// domainEvents are the domain events of an organization, as "type before>after".
func (w *domainWorld) domainEvents(organization string) []string {
	var out []string
	for _, e := range w.events(w.uids[organization]) {
		if strings.HasPrefix(string(e.Type), "domain.") && e.Organization == organization {
			state := e.Changes[0]
			out = append(out, fmt.Sprintf("%s %s>%s", e.Type, state.Before, state.After))
		}
	}
	return out
}

func (w *domainWorld) want(what string, organization, name string, state policy.DomainState, events ...string) directory.Domain {
	w.t.Helper()
	d, err := w.second.Get(w.t.Context(), organization, dom(w.t, name))
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	if d.Challenge.State != state || (d.Record != nil) != state.Counts() {
		w.t.Errorf("%s: %v, record %v; want %v", what, d.Challenge.State, d.Record, state)
	}
	if r := d.Record; r != nil && (r.VerifiedBy != "DNS" || r.Origin != audit.OriginAPI || r.Stale != (state == policy.DomainFailing) || r.Verified.IsZero()) {
		w.t.Errorf("%s: %+v", what, r)
	}
	if got := w.domainEvents(organization); !slices.Equal(got, events) {
		w.t.Errorf("%s: events\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(events, "\n"))
	}
	return d
}

const name = "acme-x.com"

func TestADomainFromItsChallengeToItsEnd(t *testing.T) {
	w := newDomainWorld(t)
	d := w.create("acme", name, func(in *directory.NewDomain) { in.Subdomains, in.Reason = true, "canary-reason" })
	events := []string{"domain.created >PENDING"}
	w.want("asked", "acme", name, policy.DomainPending, events...)
	if d, err := w.verify("acme", name); err != nil || d.Challenge.Outcome != "ABSENT" || d.Challenge.Detail != "NXDOMAIN" || d.Record != nil {
		t.Errorf("too early: %+v, %v", d, err)
	}
	early := w.want("too early", "acme", name, policy.DomainPending, events...)
	etag := early.Etag()
	if etag != d.Etag() || len(etag) != 32 {
		t.Errorf("a look that changes nothing moves the etag: %s, %s", d.Etag(), etag)
	}
	w.show(d)
	if d, err := w.verify("acme", name); err != nil || !d.Record.Subdomains || d.Challenge.Outcome != "FOUND" || d.Etag() == etag {
		t.Errorf("verified: %+v, %v", d, err)
	}
	events = append(events, "domain.verified PENDING>VERIFIED")
	w.want("verified", "acme", name, policy.DomainVerified, events...)
	w.dns.set(domaincheck.Name(d.Challenge.Domain))
	for range 3 {
		w.want("missing", "acme", name, policy.DomainVerified, events...)
		w.pass(36 * time.Hour)
		if _, err := w.verify("acme", name); err != nil {
			t.Fatal(err)
		}
	}
	events = append(events, "domain.failing VERIFIED>FAILING")
	w.want("failing", "acme", name, policy.DomainFailing, events...)
	w.pass(1000 * time.Hour)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	w.want("it fails for good", "acme", name, policy.DomainFailing, events...)
	w.show(d)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	events = append(events, "domain.verified FAILING>VERIFIED")
	w.want("recovered", "acme", name, policy.DomainVerified, events...)
	if _, err := w.first.ConfirmRemoval(t.Context(), "unix:7", w.in("acme", name)); !errs.Is(err, "DOMAIN_NOT_FAILING") {
		t.Errorf("confirmed away while verified: %v", err)
	}
	if err := w.first.Delete(t.Context(), "unix:7", w.in("acme", name)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.second.Get(t.Context(), "acme", dom(t, name)); !errs.Is(err, "DOMAIN_NOT_FOUND") {
		t.Errorf("deleted: %v", err)
	}
	if got := w.domainEvents("acme"); got[len(got)-1] != "domain.removed VERIFIED>" {
		t.Errorf("%v", got)
	}
	for _, e := range w.events(w.uids["acme"]) {
		if strings.HasPrefix(string(e.Type), "domain.") && (!slices.Equal(e.Personal.Items, []string{name}) || e.Caller != "unix:7" || e.Revision == 0 || e.Target.Type != "domain") {
			t.Errorf("%+v", e)
		}
	}
	if owner, err := w.directory.DomainOwner(t.Context(), dom(t, name)); err != nil || owner.OrganizationUID != "" {
		t.Errorf("still owned: %+v, %v", owner, err)
	}
	if strings.Contains(w.dump(), "canary-reason") {
		t.Error("a reason stands in the clear")
	}
}

func TestOnlyAConfirmationOrTheOrganizationsChoiceEndsADomain(t *testing.T) {
	w := newDomainWorld(t)
	week := func(in *directory.NewDomain) { in.LapseAfter = domaincheck.MinLapse }
	never, chosen := w.create("acme", "never-x.com", nil), w.create("acme", "chosen-x.com", week)
	w.show(never, chosen)
	for _, n := range []string{"never-x.com", "chosen-x.com"} {
		if _, err := w.verify("acme", n); err != nil {
			t.Fatal(err)
		}
	}
	w.dns.shown = map[string][]string{}
	for range 20 {
		w.pass(25 * time.Hour)
		w.recheckAll()
	}
	d := w.want("never", "acme", "never-x.com", policy.DomainFailing,
		"domain.created >PENDING", "domain.created >PENDING", "domain.verified PENDING>VERIFIED", "domain.verified PENDING>VERIFIED",
		"domain.failing VERIFIED>FAILING", "domain.failing VERIFIED>FAILING", "domain.failing FAILING>FAILING", "domain.failing FAILING>FAILING", "domain.lapsed FAILING>LAPSED")
	if c, err := w.second.Get(t.Context(), "acme", dom(t, "chosen-x.com")); err != nil || c.Challenge.State != policy.DomainLapsed || c.Record != nil {
		t.Errorf("%+v, %v", c, err)
	}
	in := w.in("acme", "never-x.com")
	in.Etag = strings.Repeat("0", 32)
	if _, err := w.first.ConfirmRemoval(t.Context(), "unix:7", in); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("another version: %v", err)
	}
	in.Etag = d.Etag()
	in.RequestID = uuid.NewString()
	gone, err := w.first.ConfirmRemoval(t.Context(), "unix:7", in)
	if err != nil || gone.Challenge.State != policy.DomainLapsed || gone.Record != nil {
		t.Errorf("%+v, %v", gone, err)
	}
	n := len(w.domainEvents("acme"))
	if again, err := w.second.ConfirmRemoval(t.Context(), "unix:7", in); err != nil || again.Etag() != gone.Etag() || len(w.domainEvents("acme")) != n {
		t.Errorf("the same call again: %+v, %v", again, err)
	}
	in.Reason = "another"
	if _, err := w.second.ConfirmRemoval(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another call with its id: %v", err)
	}
}

// recheckAll looks at everything that is due, from two processes at once.
func (w *domainWorld) recheckAll() {
	w.t.Helper()
	for p := range 4 {
		due, err := w.directory.DueChecks(w.t.Context(), p, w.clock(), 100)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range due {
			var wait sync.WaitGroup
			for _, process := range []*directory.Domains{w.first, w.second} {
				wait.Go(func() {
					if err := process.Recheck(w.t.Context(), d); err != nil {
						w.t.Errorf("recheck %v: %v", d, err)
					}
				})
			}
			wait.Wait()
		}
	}
}

func TestTwoProcessesNeverCountOneDenialTwice(t *testing.T) {
	w := newDomainWorld(t)
	d := w.create("acme", name, nil)
	w.show(d)
	if _, err := w.verify("acme", name); err != nil {
		t.Fatal(err)
	}
	w.dns.set(domaincheck.Name(d.Challenge.Domain))
	for i := range 3 {
		w.pass(25 * time.Hour)
		w.recheckAll()
		c := w.want("denied", "acme", name, policy.DomainVerified, "domain.created >PENDING", "domain.verified PENDING>VERIFIED").Challenge
		if c.Negatives != i+1 || !c.Checked.Equal(w.clock()) || !c.Due.After(w.clock()) {
			t.Errorf("after %d days: %+v", i+1, c)
		}
	}
	w.dns.broken = true
	for range 10 {
		w.pass(25 * time.Hour)
		w.recheckAll()
	}
	if c := w.want("trouble", "acme", name, policy.DomainVerified, "domain.created >PENDING", "domain.verified PENDING>VERIFIED").Challenge; c.Negatives != 3 || c.Detail != "SERVFAIL" {
		t.Errorf("%+v", c)
	}
	w.dns.broken = false
	w.pass(25 * time.Hour)
	w.recheckAll()
	w.want("denied again", "acme", name, policy.DomainFailing, "domain.created >PENDING", "domain.verified PENDING>VERIFIED", "domain.failing VERIFIED>FAILING")
	before := w.dns.looks
	w.recheckAll()
	if w.dns.looks != before {
		t.Error("what is not due was looked at")
	}
}

func TestACallIsDoneOnce(t *testing.T) {
	w := newDomainWorld(t)
	in := directory.NewDomain{Organization: "acme", Domain: dom(t, name), RequestID: "one"}
	first, err := w.first.Create(t.Context(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.second.Create(t.Context(), "unix:7", in)
	if err != nil || again.Challenge.Token != first.Challenge.Token || len(w.domainEvents("acme")) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	other := in
	other.Subdomains = true
	if _, err := w.second.Create(t.Context(), "unix:7", other); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another request: %v", err)
	}
	in.RequestID = "two"
	if _, err := w.second.Create(t.Context(), "unix:7", in); !errs.Is(err, "DOMAIN_EXISTS") {
		t.Errorf("the same domain: %v", err)
	}
	w.show(first)
	for _, found := range []bool{true, false} { // a look that changed the state, and one that changed nothing
		look := w.in("acme", name)
		if _, err := w.first.Verify(t.Context(), "unix:7", look); err != nil {
			t.Fatal(err)
		}
		n := w.dns.looks
		if d, err := w.second.Verify(t.Context(), "unix:7", look); err != nil || d.Record == nil || w.dns.looks != n {
			t.Errorf("found %v: looked %d times, %+v, %v", found, w.dns.looks-n, d, err)
		}
	}
	gone := w.in("acme", name)
	for range 2 {
		if err := w.first.Delete(t.Context(), "unix:7", gone); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.first.Delete(t.Context(), "unix:7", w.in("acme", name)); !errs.Is(err, "DOMAIN_NOT_FOUND") {
		t.Errorf("deleted twice: %v", err)
	}
}
