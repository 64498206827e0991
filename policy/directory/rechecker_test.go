package directory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/domaincheck"
)

func (w *domainWorld) rechecker(d *directory.Domains, lease func(context.Context, int) (bool, error)) *directory.Rechecker {
	w.t.Helper()
	r, err := directory.NewRechecker(directory.RecheckerConfig{Domains: d, Partitions: 4, Lease: lease, Interval: time.Millisecond,
		Log: slog.New(slog.DiscardHandler), Broken: func(err error) { w.t.Error(err) }})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestDomainsAreLookedAtAgainOnceADayByWhoeverHasTheLease(t *testing.T) {
	w := newDomainWorld(t)
	var all []directory.Domain
	for i := range 70 { // more than one partition takes in a round
		d := w.create([]string{"acme", "globex"}[i%2], fmt.Sprintf("d%d-x.com", i), nil)
		all = append(all, d)
	}
	w.show(all...)
	mine := func(mine bool) func(context.Context, int) (bool, error) {
		return func(context.Context, int) (bool, error) { return mine, nil }
	}
	first, second := w.rechecker(w.first, mine(true)), w.rechecker(w.second, mine(false))
	round := func(r *directory.Rechecker) int {
		t.Helper()
		before := w.dns.looks
		if err := r.Round(t.Context()); err != nil {
			t.Error(err)
		}
		return w.dns.looks - before
	}
	if n := round(first); n != 0 {
		t.Errorf("%d looked at before they were due", n)
	}
	w.pass(2 * time.Hour)
	if n := round(second); n != 0 {
		t.Errorf("%d looked at without a lease", n)
	}
	if n := round(first); n < 32 || n > 64 {
		t.Errorf("a round looks at %d", n)
	}
	for range 5 {
		round(first)
	}
	if w.dns.looks != len(all) {
		t.Errorf("%d looks at %d domains", w.dns.looks, len(all))
	}
	for _, d := range all {
		if now, err := w.second.Get(t.Context(), d.OrganizationID, d.Challenge.Domain); err != nil || now.Record == nil || now.Challenge.Due.Sub(w.clock()) != domaincheck.Every {
			t.Fatalf("%+v, %v", now, err)
		}
	}
	w.pass(23 * time.Hour)
	if n := round(first); n != 0 {
		t.Errorf("%d looked at within a day", n)
	}
}

// unreadableFor is a directory in which one organization cannot be read.
type unreadableFor struct {
	policy.Directory
	uid string
}

func (f unreadableFor) Organization(ctx context.Context, uid string) (*policy.Organization, error) {
	if uid == f.uid {
		return nil, errors.New("broken")
	}
	return f.Directory.Organization(ctx, uid)
}

func TestADomainInTroubleHoldsUpNoOther(t *testing.T) {
	w := newDomainWorld(t)
	w.first.Directory = unreadableFor{w.first.Directory, ""}
	var all []directory.Domain
	for i := range 40 {
		all = append(all, w.create("acme", fmt.Sprintf("a%d-x.com", i), nil))
	}
	w.pass(time.Minute)
	last := w.create("globex", "last-x.com", nil)
	w.show(append(all, last)...)
	w.pass(3 * time.Hour)
	w.first.Directory = unreadableFor{w.directory, w.uids["acme"]}
	r := w.rechecker(w.first, nil)
	for range 3 {
		if err := r.Round(t.Context()); err == nil {
			break // everything in trouble is left alone by now
		}
	}
	if d, err := w.second.Get(t.Context(), "globex", dom(t, "last-x.com")); err != nil || d.Record == nil {
		t.Errorf("%+v, %v", d, err)
	}
	if w.dns.looks != 1 {
		t.Errorf("%d looks", w.dns.looks)
	}
	w.first.Directory = w.directory
	w.pass(11 * time.Minute)
	for range 3 {
		if err := r.Round(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if w.dns.looks != 41 {
		t.Errorf("%d looks once the trouble is over", w.dns.looks)
	}
}

func TestARecheckerRunsUntilItIsStopped(t *testing.T) {
	w := newDomainWorld(t)
	d := w.create("acme", name, nil)
	w.show(d)
	seen := make(chan struct{})
	var once sync.Once
	w.dns.before = func() { once.Do(func() { close(seen) }) }
	w.pass(2 * time.Hour)
	r := w.rechecker(w.first, nil)
	r.Stop() // of one that does not run
	r.Start()
	select {
	case <-seen:
	case <-time.After(30 * time.Second):
		t.Error("nothing was looked at")
	}
	r.Stop()
	before := w.dns.looks
	w.pass(48 * time.Hour)
	if w.dns.looks != before {
		t.Error("it goes on")
	}
	if _, err := directory.NewRechecker(directory.RecheckerConfig{}); err == nil {
		t.Error("a rechecker of nothing")
	}
}
