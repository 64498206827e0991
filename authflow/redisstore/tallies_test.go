package redisstore_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

func TestCountersAreReadWithoutBeingTaken(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		t.Fatal(err)
	}
	hour, ctx := time.Now().UTC().Truncate(time.Hour), t.Context()
	raise := func(site, opened string, at time.Time) {
		if err := r.client.HSet(ctx, keys.Of(o.UID).Tally(o.UID, site, at), "@site", "wiki", "opened", opened, "MANAGED:SUCCEEDED:false", "2").Err(); err != nil {
			t.Fatal(err)
		}
	}
	raise("s", "3", hour)
	hours := []time.Time{hour.Add(-time.Hour), hour}
	for range 2 {
		found, err := r.store.Tallies(ctx, o.UID, []string{"s", "none"}, hours)
		if err != nil || len(found) != 1 || found[0].Counts[authflow.TallyOpened] != 3 || found[0].Counts["MANAGED:SUCCEEDED:false"] != 2 ||
			found[0].Site != "wiki" || found[0].SiteUID != "s" || !found[0].Hour.Equal(hour) {
			t.Fatalf("found %+v, %v", found, err)
		}
	}
	for name, ask := range map[string]func() ([]authflow.DueTally, error){
		"another organization": func() ([]authflow.DueTally, error) { return r.store.Tallies(ctx, "u-other", []string{"s"}, hours) },
		"no sites":             func() ([]authflow.DueTally, error) { return r.store.Tallies(ctx, o.UID, nil, hours) },
		"another hour":         func() ([]authflow.DueTally, error) { return r.store.Tallies(ctx, o.UID, []string{"s"}, hours[:1]) },
	} {
		if found, err := ask(); err != nil || len(found) != 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	raise("s", "many", hour)
	if found, err := r.store.Tallies(ctx, o.UID, []string{"s"}, hours); err == nil || errs.KindOf(err) != errs.Internal {
		t.Errorf("what is no number: %+v, %v", found, err)
	}
}
