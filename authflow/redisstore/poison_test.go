package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// What somebody put where it does not belong must not keep flows and hours of the partition from being ended and closed.
func TestAPoisonedEntryHoldsUpNoOther(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	boundFlow(t, r, o)
	all := []int{0, 1, 2, 3}
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		t.Fatal(err)
	}
	space, later, hour := keys.Of(o.UID), time.Now().Add(5*time.Hour), time.Now().Add(-9*time.Hour)
	ctx := t.Context()
	add := func(key, member string) {
		if err := r.client.ZAdd(ctx, key, redis.Z{Score: 1, Member: member}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add(space.Deadlines(), "nonsense")
	if due, err := r.store.Due(ctx, all, later, 10); len(due) != 1 || errs.KindOf(err) != errs.Internal || err == nil {
		t.Errorf("%d flows are due, %v", len(due), err)
	}
	add(space.Tallies(), "nonsense")
	for i, spoil := range []func(key string) error{
		func(key string) error { return r.client.Set(ctx, key, "no hash", 0).Err() },
		func(key string) error { return r.client.HSet(ctx, key, "opened", "many").Err() },
		func(key string) error { return r.client.HSet(ctx, key, "@site", "wiki", "opened", "1").Err() },
	} {
		at := hour.Add(time.Duration(i) * time.Hour)
		if err := spoil(space.Tally(o.UID, "s", at)); err != nil {
			t.Fatal(err)
		}
		add(space.Tallies(), o.UID+"/s/"+at.UTC().Format(redisx.TallyHour))
	}
	if due, err := r.store.DueTallies(ctx, all, later, 10); len(due) != 1 || due[0].Counts["opened"] != 1 || errs.KindOf(err) != errs.Internal || err == nil {
		t.Errorf("%+v are due, %v", due, err)
	}
	for p := range all { // another partition's index is no index at all
		if other := keys.At(p); other != space {
			if err := r.client.Set(ctx, other.Deadlines(), "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if due, err := r.store.Due(ctx, all, later, 10); len(due) != 1 || errs.KindOf(err) != errs.Internal || err == nil {
		t.Errorf("beside broken partitions %d flows are due, %v", len(due), err)
	}
}
