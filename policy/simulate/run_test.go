package simulate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// many puts n sign-ins of different people on record.
func (w *world) many(n int) {
	w.t.Helper()
	for i := range n {
		w.signIn(came{account: fmt.Sprint("acct-", i), email: fmt.Sprintf("p%d@d%d.example.com", i, i), steps: []did{password()}})
	}
}

func TestProgressIsToldEachSecondOrSoManyFlows(t *testing.T) {
	for name, c := range map[string]struct {
		flows int
		tick  time.Duration
		want  []int64
	}{
		"quickly":       {450, 0, []int64{0}},
		"a slow page":   {450, time.Second, []int64{0, 200, 400}},
		"half a second": {1000, time.Second / 2, []int64{0, 400, 800}},
		"a full page":   {200, time.Second, []int64{0, 200}},
		"nothing":       {0, time.Second, []int64{0}},
	} {
		w := newWorld(t, acme(policy.Policy{}))
		w.many(c.flows)
		w.tick = c.tick
		var told []int64
		_, err := w.scanner().Simulate(t.Context(), Draft{Now: w.org, Organization: w.org}, Query{}, func(done, total int64) error {
			if total != int64(c.flows) {
				t.Errorf("%s: %d of %d", name, done, total)
			}
			told = append(told, done)
			return nil
		})
		if err != nil || !slices.Equal(told, c.want) {
			t.Errorf("%s: %v, %v", name, told, err)
		}
	}
}

func TestWhoeverIsGoneEndsTheScan(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{}))
	w.many(900)
	pages := 0
	ctx, cancel := context.WithCancel(t.Context())
	w.scans = func() error {
		if pages++; pages == 2 {
			cancel()
		}
		return nil
	}
	d, silent := Draft{Now: w.org, Organization: w.org}, func(int64, int64) error { return nil }
	s := w.scanner()
	if _, err := s.Simulate(ctx, d, Query{}, silent); !errors.Is(err, context.Canceled) || pages != 2 {
		t.Errorf("%v after %d pages", err, pages)
	}
	w.tick, pages, w.scans = time.Second, 0, func() error { pages++; return nil }
	deaf := errors.New("nobody listens")
	if _, err := s.Simulate(t.Context(), d, Query{}, func(done, _ int64) error {
		if done > 0 {
			return deaf
		}
		return nil
	}); !errors.Is(err, deaf) || pages != 1 {
		t.Errorf("%v after %d pages", err, pages)
	}
	broken := errors.New("the archive is away")
	w.scans = func() error { return broken }
	if _, err := s.Simulate(t.Context(), d, Query{}, silent); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestAThirdScanAtATimeIsRefused(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{}))
	s := w.scanner()
	silent := func(int64, int64) error { return nil }
	d := Draft{Now: w.org, Organization: w.org}
	depth := 0
	var nested error
	w.scans = func() error {
		if depth++; depth < maxAtOnce {
			_, err := s.Impact(t.Context(), acme(policy.Policy{Rules: []policy.Rule{{ID: "r"}}}), nil, Query{}, silent)
			return err
		}
		_, nested = s.Simulate(t.Context(), d, Query{}, silent)
		return nil
	}
	if _, err := s.Simulate(t.Context(), d, Query{}, silent); err != nil || !errs.Is(nested, ReasonBusy) {
		t.Errorf("%v, then %v", err, nested)
	}
	w.scans = nil
	for range 2 * maxAtOnce {
		if _, err := s.Simulate(t.Context(), d, Query{}, silent); err != nil {
			t.Errorf("a place was not given back: %v", err)
		}
	}
}

func TestTimesAndSitesAreChosen(t *testing.T) {
	w := newWorld(t, acme(policy.Policy{}))
	for i, site := range []string{"wiki", "hall", "wiki", "hall"} {
		w.signIn(came{account: "pia", site: site, at: noon.Add(time.Duration(i) * time.Hour), steps: []did{password()}})
	}
	for name, c := range map[string]struct {
		q    Query
		want int64
	}{
		"all": {Query{}, 4}, "a site": {Query{Sites: []string{"hall"}}, 2}, "from": {Query{Start: noon.Add(time.Hour)}, 3},
		"to": {Query{End: noon.Add(time.Hour)}, 1}, "all at once": {Query{Start: noon, End: noon.Add(3 * time.Hour), Sites: []string{"wiki"}}, 2},
	} {
		r, err := w.scanner().Simulate(t.Context(), Draft{Now: w.org, Organization: w.org}, c.q, func(int64, int64) error { return nil })
		if err != nil || r.Flows != c.want {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestWhatIsCountedApartIsBounded(t *testing.T) {
	const domains = maxKeys + 50
	w := newWorld(t, acme(policy.Policy{}))
	w.many(domains)
	w.signIn(came{account: "acct-7", email: "p7@d7.example.com", steps: []did{password()}})
	r := w.try(w.draft(policy.Policy{Default: block}))
	if len(r.Domains) != maxListed || r.Domains[0] != (Count{"d7.example.com", 2, People{Count: 1}}) {
		t.Errorf("%d domains, first %+v", len(r.Domains), r.Domains[0])
	}
	sum := int64(0)
	for _, c := range r.Domains {
		sum += c.Flows
	}
	if last := r.Domains[maxListed-1]; last.Key != Other || last.People.Count != domains-maxListed+1 || sum != domains+1 {
		t.Errorf("%+v, %d in all", last, sum)
	}
	if c := only(t, r); len(c.Samples) != 3 || c.Flows != domains+1 {
		t.Errorf("%+v", c)
	}
}

func TestSamplesAreTheNewest(t *testing.T) {
	for most := range 4 {
		g := group{people: people{spend: &budget{maxSlots}}, most: most}
		for _, f := range []string{"a", "b", "c", "d", "e"} {
			g.add(f, 1)
		}
		if want := []string{"e", "d", "c"}[:min(most, 3)]; !slices.Equal(g.newest(), want) || g.flows != 5 {
			t.Errorf("%d: %v", most, g.newest())
		}
	}
}

func TestWhatProvesIsWhatTheCatalogueSays(t *testing.T) {
	for _, info := range audit.Types() {
		proves, binds := provesType(info.Type)
		want := info.Step && info.Ending == audit.EndingNone && info.Outcome == audit.OutcomeSuccess && info.Family != audit.FamilyNone && info.Reportable
		if binds != info.Binds || proves != want {
			t.Errorf("%s: proves %v, binds %v", info.Type, proves, binds)
		}
	}
}
