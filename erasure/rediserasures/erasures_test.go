package rediserasures_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

func TestAPersonIsForgottenAndNobodyElse(t *testing.T) {
	each(t, func(w *world) {
		w.furnish("acme", "canary-alice")
		w.furnish("acme", "bob")
		w.furnish("globex", "canary-alice")
		w.archive.left[w.uids["acme"]] = 7
		asked := w.ask("1")
		w.wantTypes(audit.TypeSubjectErasureRequested)
		if e := w.events("acme")[0]; e.ID != asked.ID || e.Personal.Detail != "she asked" || e.Target.ID != asked.Subject() || e.Caller != "unix:0" {
			w.Errorf("event %+v", e)
		}
		w.round()
		want := erasure.Found{Events: 7, Sessions: 2, Identities: 1, Authenticators: 1, Memories: 1}
		if e := w.get(asked.ID); e.State != erasure.StateWaiting || e.Found != want {
			w.Errorf("after a round: %+v", e)
		}
		w.archive.archived = w.now.Add(time.Minute)
		w.archive.left[w.uids["acme"]] = 2 // archived since
		w.now = w.now.Add(2 * time.Second)
		w.round()
		want.Events = 9
		if e := w.get(asked.ID); e.State != erasure.StateDone || e.Found != want || !e.Due.IsZero() || !e.Finished.Equal(w.now) {
			w.Errorf("after the second: %+v", e)
		}
		if a, b, c := w.held("acme", "canary-alice"), w.held("acme", "bob"), w.held("globex", "canary-alice"); a != 0 || b != 5 || c != 5 {
			w.Errorf("kept: %d, %d, %d", a, b, c)
		}
		w.wantTypes(audit.TypeSubjectErasureRequested, audit.TypeSubjectErased)
		for _, e := range w.archive.asked {
			if e.OrganizationUID != w.uids["acme"] || e.UpTo != 77 || len(e.Subjects) != 4 { // account and address, and who looked for them
				w.Errorf("the archive was asked %+v", e)
			}
		}
		rounds := len(w.archive.asked)
		w.now = w.now.Add(time.Hour)
		w.round()
		if len(w.archive.asked) != rounds {
			w.Error("an erasure that is done goes on")
		}
		for _, canary := range []string{"canary-alice", "canary.alice", "she asked"} {
			if strings.Contains(w.dump(), canary) {
				w.Errorf("%q stands in Redis", canary)
			}
		}
	})
}

func TestSignInsUnderWayAreWaitedForAndNewOnesAreNot(t *testing.T) {
	each(t, func(w *world) {
		deadlines, uid := w.names.Of(w.uids["acme"]).Deadlines(), w.uids["acme"]
		add := func(uid, flow string, at time.Time) {
			w.client.ZAdd(w.Context(), deadlines, redis.Z{Score: float64(at.UnixMilli()), Member: redisx.Member(uid, flow)})
		}
		ends := w.now.Add(10 * time.Minute)
		add(uid, "a", ends.Add(-time.Minute))
		add(uid, "b", ends)
		add("somebody-else", "c", ends.Add(time.Hour))
		asked := w.ask("1")
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateWaiting || !e.Until.Equal(ends) || !e.Due.Equal(ends) {
			w.Errorf("%+v", e)
		}
		add(uid, "d", ends.Add(time.Minute)) // began later
		w.archive.archived = ends.Add(time.Hour)
		w.now = ends
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateWaiting || !e.Quiet.IsZero() {
			w.Errorf("before the last has ended: %+v", e)
		}
		w.client.ZRem(w.Context(), deadlines, redisx.Member(uid, "a"), redisx.Member(uid, "b"))
		w.furnish("acme", "canary-alice") // what the last sign-in left
		w.now = w.now.Add(time.Second)
		w.archive.archived = w.now
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateWaiting || e.Quiet.IsZero() {
			w.Errorf("before its events are archived: %+v", e)
		}
		w.archive.archived = w.now.Add(time.Minute)
		w.now = w.now.Add(time.Second)
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateDone || e.Found.Sessions != 2 || w.held("acme", "canary-alice") != 0 {
			w.Errorf("at the end: %+v", e)
		}
	})
}

func TestARequestIsMadeOnceAndChecked(t *testing.T) {
	each(t, func(w *world) {
		first := w.ask("1")
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if again, err := w.cases.Erase(w.Context(), "unix:0", w.request("1")); err != nil || again.ID != first.ID {
					w.Errorf("repeated: %+v, %v", again, err)
				}
			})
		}
		wait.Wait()
		w.wantTypes(audit.TypeSubjectErasureRequested)
		other := w.request("1")
		other.Reason = "another"
		if _, err := w.cases.Erase(w.Context(), "unix:0", other); !errs.Is(err, "REQUEST_ID_REUSED") {
			w.Errorf("another request: %v", err)
		}
		for reason, change := range map[string]func(*erasure.Request){
			"REASON_REQUIRED":        func(r *erasure.Request) { r.Reason = "" },
			"FIELD_REQUIRED":         func(r *erasure.Request) { *r = erasure.Request{Organization: "acme", Reason: "x", RequestID: "9"} },
			"ORGANIZATION_NOT_FOUND": func(r *erasure.Request) { r.Organization = "nobody" },
			"ORGANIZATION_RESERVED":  func(r *erasure.Request) { r.Organization = audit.SystemID },
		} {
			in := w.request("2")
			change(&in)
			if _, err := w.cases.Erase(w.Context(), "unix:0", in); !errs.Is(err, reason) {
				w.Errorf("%s: %v", reason, err)
			}
		}
		if _, err := w.cases.Get(w.Context(), "globex", first.ID); !errs.Is(err, "ERASURE_NOT_FOUND") {
			w.Errorf("of another organization: %v", err)
		}
		if list, err := w.cases.List(w.Context(), "globex", "", 10); err != nil || len(list) != 0 {
			w.Errorf("of another organization: %v, %v", list, err)
		}
	})
}

func TestErasuresAreListedNewestFirstInPages(t *testing.T) {
	each(t, func(w *world) {
		var want []string
		for _, n := range []string{"1", "2", "3", "4", "5"} {
			want = append([]string{w.ask(n).ID}, want...)
		}
		w.client.Del(w.Context(), w.names.Of(w.uids["acme"]).Erasure(w.uids["acme"], want[1])) // expired
		want = append(want[:1], want[2:]...)
		var got []string
		for before := ""; ; {
			page, err := w.cases.List(w.Context(), "acme", before, 2)
			if err != nil {
				w.Fatal(err)
			}
			for i := range page {
				got = append(got, page[i].ID)
			}
			if len(page) < 2 {
				break
			}
			before = page[1].ID
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			w.Errorf("listed %v, want %v", got, want)
		}
	})
}

func TestALookCountsAndChangesNothing(t *testing.T) {
	each(t, func(w *world) {
		w.furnish("acme", "canary-alice")
		found, err := w.cases.Look(w.Context(), w.request("1"))
		if err != nil || found != (erasure.Found{Events: 5, Sessions: 2, Identities: 1, Authenticators: 1, Memories: 1}) {
			w.Errorf("%+v, %v", found, err)
		}
		if w.held("acme", "canary-alice") != 5 || len(w.types()) != 0 {
			w.Error("a look changed something")
		}
	})
}

// failing fails the commit that it is told to, before or after the store has it.
type failing struct {
	erasure.Store
	fails func() error
}

func (f failing) Commit(ctx context.Context, c *erasure.Change) (string, error) {
	if err := f.fails(); err != nil {
		return "", err
	}
	first, err := f.Store.Commit(ctx, c)
	if err == nil {
		err = f.fails()
	}
	return first, err
}

// TestWhateverIsCutOffIsGoneOnWith lets a process die at each of its steps in turn, before and after it, and another one go on.
func TestWhateverIsCutOffIsGoneOnWith(t *testing.T) {
	each(t, func(w *world) {
		for cut := 1; ; cut++ {
			w.furnish("acme", "canary-alice")
			w.archive.left[w.uids["acme"]] = 4
			asked := w.ask(strings.Repeat("x", cut))
			steps, dead := 0, false
			fails := func() error {
				if steps++; steps >= cut {
					dead = true
					return errInjected
				}
				return nil
			}
			w.archive.fails, w.archive.archived = fails, w.now.Add(time.Hour)
			dying := w.newWorker(failing{w.store, fails})
			for range 3 {
				_ = dying.Round(w.Context()) // the one that dies
				w.now = w.now.Add(2 * time.Second)
			}
			w.archive.fails = func() error { return nil }
			for range 3 {
				w.round()
				w.now = w.now.Add(31 * time.Second)
			}
			if e := w.get(asked.ID); e.State != erasure.StateDone || w.held("acme", "canary-alice") != 0 || w.archive.left[w.uids["acme"]] != 0 {
				w.Fatalf("cut at step %d: %+v", cut, e)
			}
			erased := 0
			for _, e := range w.events("acme") {
				if e.Type == audit.TypeSubjectErased && e.Target.UID == asked.ID {
					erased++
				}
			}
			if erased != 1 {
				w.Fatalf("cut at step %d: %d events say it is done", cut, erased)
			}
			if !dead {
				if cut < 10 {
					w.Errorf("only %d steps", cut)
				}
				return
			}
		}
	})
}

func TestTwoWorkersDoNoHarm(t *testing.T) {
	each(t, func(w *world) {
		w.furnish("acme", "canary-alice")
		w.archive.archived = w.now.Add(time.Hour)
		asked := w.ask("1")
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				if err := w.newWorker(w.store).Round(w.Context()); err != nil {
					w.Error(err)
				}
			})
		}
		wait.Wait()
		w.now = w.now.Add(2 * time.Second)
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateDone || e.Found.Sessions != 2 {
			w.Errorf("%+v", e)
		}
		w.wantTypes(audit.TypeSubjectErasureRequested, audit.TypeSubjectErased)
	})
}
