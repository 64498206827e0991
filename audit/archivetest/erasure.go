package archivetest

import (
	"bytes"
	"reflect"
	"slices"
	"sync"

	"github.com/postern-audit/postern/audit"
)

// eraser is the archive as one that forgets people: every one must.
func (w *world) eraser(b Backend) audit.Eraser {
	w.Helper()
	e, ok := b.(audit.Eraser)
	if !ok {
		w.Fatal("the archive forgets nobody: it must implement audit.Eraser")
	}
	return e
}

// People of the tests, by the indexes an erasure looks for.
func person(name string) []audit.Index {
	return []audit.Index{index(audit.IndexAccount, name), index(audit.IndexEmail, name)}
}

// by makes an event one of a person: with what it is found by, and a network all of them share.
func by(names ...string) func(*audit.Event) {
	return func(e *audit.Event) {
		for _, n := range names {
			e.Indexes = append(e.Indexes, person(n)...)
		}
		e.Indexes = append(e.Indexes, index(audit.IndexNetwork24, "office"))
	}
}

// forever is after everything a test stores.
const forever = 1 << 30

// erase erases a person from organization A in batches of limit, and returns how many events that were.
func (w *world) erase(name string, upTo int64, limit int) (erased int) {
	w.Helper()
	e := audit.Erasure{OrganizationUID: orgA, Subjects: person(name), UpTo: upTo, Limit: limit}
	for range 100 {
		n, more, err := w.eraser(w.Backend).Erase(w.Context(), e)
		if err != nil {
			w.Fatalf("erasing: %v", err)
		}
		erased += n
		if !more {
			return erased
		}
	}
	w.Fatal("the erasure does not come to an end")
	return 0
}

// wantErased fails unless exactly these events of an organization are erased, and every other one is as it was before.
func (w *world) wantErased(organizationUID string, before []audit.Event, ids ...string) {
	w.Helper()
	after := w.all(organizationUID)
	if len(after) != len(before) {
		w.Fatalf("%d events, there were %d", len(after), len(before))
	}
	for i := range before {
		want := before[i]
		if slices.Contains(ids, want.ID) {
			want.Indexes = nil
			if want.Sealed != nil {
				want.Sealed = &audit.Sealed{Digest: want.Sealed.Digest}
			}
		}
		got := after[i]
		if !equalIndexes(got.Indexes, want.Indexes) || !equalSealed(got.Sealed, want.Sealed) {
			w.Errorf("event %d (%s) has sealed part %v and indexes %v", i+1, got.Type, got.Sealed, got.Indexes)
		}
		got.Indexes, want.Indexes, got.Sealed, want.Sealed = nil, nil, nil, nil
		if !reflect.DeepEqual(got, want) {
			w.Errorf("event %d is\n%+v, was\n%+v", i+1, got, want)
		}
	}
}

// equalSealed compares sealed parts; what is gone is nil or empty.
func equalSealed(a, b *audit.Sealed) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Salt, b.Salt) && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Digest, b.Digest)
}

// wantFound fails unless a person is found in exactly these events and flows of organization A.
func (w *world) wantFound(name string, events, flows []string) {
	w.Helper()
	for _, x := range person(name) {
		got := must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 1000, Match: audit.Match{Subjects: []audit.Index{x}}}))(w)
		if !slices.Equal(ids(got), events) {
			w.Errorf("%s is found in %v, want %v", name, ids(got), events)
		}
		rows := must(w.Flows(w.Context(), audit.FlowQuery{OrganizationUID: orgA, Limit: 1000, FlowMatch: audit.FlowMatch{Subjects: []audit.Index{x}}}))(w)
		var found []string
		for i := range rows {
			found = append(found, rows[i].ID)
		}
		slices.Sort(found)
		if !slices.Equal(found, flows) {
			w.Errorf("%s is found in flows %v, want %v", name, found, flows)
		}
	}
}

var erasureCases = []testCase{
	{"erased events keep their place and lose the person", func(w *world) {
		alice, bob, both := w.event(by("alice")), w.event(by("bob")), w.event(by("alice", "bob"))
		nobody := w.event(func(e *audit.Event) { e.Sealed = nil })
		indexed := w.event(by("alice"), func(e *audit.Event) { e.Sealed = nil })
		w.add(alice, bob, both, nobody, indexed)
		before := w.all(orgA)
		if n := w.erase("alice", forever, 10); n != 3 {
			w.Errorf("%d erased, want 3", n)
		}
		w.wantErased(orgA, before, alice.ID, both.ID, indexed.ID)
		w.wantFound("alice", nil, nil)
		w.wantFound("bob", []string{bob.ID}, nil)
		w.gapless(orgA, 5)
		if n := w.erase("alice", forever, 10); n != 0 {
			w.Errorf("%d erased again", n)
		}
	}},
	{"an index of either kind finds a person", func(w *world) {
		account, address := w.event(func(e *audit.Event) { e.Indexes = person("alice")[:1] }), w.event(func(e *audit.Event) { e.Indexes = person("alice")[1:] })
		w.add(account, address)
		before := w.all(orgA)
		n, more, err := w.eraser(w.Backend).Erase(w.Context(), audit.Erasure{OrganizationUID: orgA, Subjects: person("alice")[1:], UpTo: forever, Limit: 10})
		if n != 1 || more || err != nil {
			w.Errorf("erased %d, %v, %v", n, more, err)
		}
		w.wantErased(orgA, before, address.ID)
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, account.ID, address.ID)
	}},
	{"batches go on where the one before ended", func(w *world) {
		var mine []string
		for range 7 {
			e := w.event(by("alice"))
			w.add(e, w.event(by("bob")))
			mine = append(mine, e.ID)
		}
		before := w.all(orgA)
		e := audit.Erasure{OrganizationUID: orgA, Subjects: person("alice"), UpTo: forever, Limit: 3}
		for i, want := range []int{3, 3, 1, 0} {
			n, more, err := w.eraser(w.Backend).Erase(w.Context(), e)
			if n != want || more != (i < 2) || err != nil {
				w.Fatalf("batch %d erased %d, more %v, %v", i+1, n, more, err)
			}
			w.wantErased(orgA, before, mine[:min(7, 3*(i+1))]...)
		}
	}},
	{"what comes after the last sequence number of the erasure stays", func(w *world) {
		first, second := w.event(by("alice")), w.event(by("alice"))
		w.add(first)
		w.add(second)
		before := w.all(orgA)
		for _, none := range []int64{0, -1} {
			if n := w.erase("alice", none, 10); n != 0 {
				w.Errorf("up to %d: %d erased", none, n)
			}
		}
		w.erase("alice", 1, 10)
		w.wantErased(orgA, before, first.ID)
		w.wantFound("alice", []string{second.ID}, nil)
	}},
	{"what arrives after an erasure is found by the next, what comes again is not brought back", func(w *world) {
		first := w.event(by("alice"))
		w.add(first)
		w.erase("alice", forever, 10)
		if done := must(w.Append(w.Context(), w.batch(0, first)))(w); done.Duplicates != 1 {
			w.Errorf("appended %+v", done)
		}
		w.wantFound("alice", nil, nil)
		second := w.event(by("alice"))
		w.add(second)
		w.wantFound("alice", []string{second.ID}, nil)
		if n := w.erase("alice", forever, 10); n != 1 {
			w.Errorf("%d erased", n)
		}
		w.wantFound("alice", nil, nil)
	}},
	{"another organization keeps its own", func(w *world) {
		w.add(w.event(by("alice")), w.event(by("alice"), ofB))
		before := w.all(orgB)
		w.erase("alice", forever, 10)
		w.wantErased(orgB, before)
		got := must(w.Events(w.Context(), audit.Query{OrganizationUID: orgB, Limit: 10, Match: audit.Match{Subjects: person("alice")}}))(w)
		if len(got) != 1 {
			w.Errorf("found %v", ids(got))
		}
	}},
	{"nobody, nothing and nowhere are erased without harm", func(w *world) {
		w.add(w.event(by("alice")))
		before := w.all(orgA)
		for _, e := range []audit.Erasure{{}, {OrganizationUID: orgA, UpTo: forever, Limit: 10}, {OrganizationUID: orgA, Subjects: person("alice"), UpTo: forever},
			{OrganizationUID: orgB, Subjects: person("alice"), UpTo: forever, Limit: 10}, {OrganizationUID: orgA, Subjects: person("alice"), UpTo: forever, Limit: -1},
			{OrganizationUID: orgA, Subjects: []audit.Index{{}, {Purpose: -1, Value: bytes.Repeat([]byte{0}, 4000)}}, UpTo: 1<<63 - 1, Limit: 10}} {
			if n, more, err := w.eraser(w.Backend).Erase(w.Context(), e); n != 0 || more || err != nil {
				w.Errorf("%+v: %d, %v, %v", e, n, more, err)
			}
		}
		w.wantErased(orgA, before)
	}},
	{"what retention hides but has not dropped is erased as well", func(w *world) {
		old := w.event(by("alice"))
		w.add(old)
		before := w.all(orgA)
		w.retain(orgA, audit.Retention{SignIn: 1, Administration: 1, Activity: 1})
		w.set(at(3 * 86400))
		if n := len(w.all(orgA)); n != 0 {
			w.Fatalf("%d events are shown", n)
		}
		w.erase("alice", forever, 10)
		w.retain(orgA, audit.StandardRetention())
		w.wantErased(orgA, before, old.ID)
	}},
	{"events on every shelf are erased", func(w *world) {
		w.add(w.event(by("alice")))
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 700, Activity: 30})
		w.add(w.event(by("alice")), w.event(by("alice"), func(e *audit.Event) { e.ID = "no uuid" }), w.event(by("alice"), func(e *audit.Event) { e.Type = audit.TypeTokenUsed }))
		if n := w.erase("alice", forever, 2); n != 4 {
			w.Errorf("%d erased, want 4", n)
		}
		w.wantFound("alice", nil, nil)
	}},
	{"the history of the directory forgets who wrote it, not what", func(w *world) {
		mine, other := w.commit(audit.TypePolicyUpdated, 1, "one"), w.commit(audit.TypePolicyUpdated, 2, "two")
		mine.Indexes, other.Indexes = person("alice"), person("bob")
		w.add(mine, other)
		w.erase("alice", forever, 10)
		got := must(w.historian(w.Backend).Versions(w.Context(), audit.VersionQuery{OrganizationUID: orgA, WithRecords: true, Limit: 10}))(w)
		if len(got) != 2 || string(got[0].Record) != "two" || string(got[1].Record) != "one" {
			w.Fatalf("versions %+v", got)
		}
		if s := got[1].Event.Sealed; s == nil || len(s.Salt)+len(s.Data) != 0 || !bytes.Equal(s.Digest, mine.Sealed.Digest) {
			w.Errorf("the erased event's part is %+v", s)
		}
		if s := got[0].Event.Sealed; !equalSealed(s, other.Sealed) {
			w.Errorf("the other event's part is %+v", s)
		}
	}},
	{"two erase and two append at the same time", func(w *world) {
		const each = 40
		var wait sync.WaitGroup
		failed := make(chan error, 4)
		for p := range 2 {
			w.batch(p)
			wait.Go(func() {
				v := &world{T: w.T, Backend: w.Backend, epochs: map[int]audit.Epoch{p: w.epochs[p]}, count: 1000 * p}
				for range each {
					if _, err := v.Append(v.Context(), v.batch(p, v.event(by("alice")), v.event(by("bob")))); err != nil {
						failed <- err
						return
					}
				}
			})
			wait.Go(func() {
				for range each {
					e := audit.Erasure{OrganizationUID: orgA, Subjects: person("alice"), UpTo: forever, Limit: 5}
					if _, _, err := w.eraser(w.Backend).Erase(w.Context(), e); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		wait.Wait()
		close(failed)
		for err := range failed {
			w.Error(err)
		}
		w.erase("alice", forever, 1000)
		for i, e := range w.gapless(orgA, 4*each) {
			if erased := len(e.Sealed.Data) == 0; erased != (len(e.Indexes) == 0) {
				w.Errorf("event %d is half erased: %+v", i+1, e)
			}
		}
		w.wantFound("alice", nil, nil)
		if got := must(w.Events(w.Context(), audit.Query{OrganizationUID: orgA, Limit: 1000, Match: audit.Match{Subjects: person("bob")}}))(w); len(got) != 2*each {
			w.Errorf("bob is found %d times, want %d", len(got), 2*each)
		}
	}},
}

var forgetCases = []testCase{
	{"a destroyed key is gone and does not come back", func(w *world) {
		b := w.batch(0, w.event(by("alice")))
		b.Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("a")}, {OrganizationUID: orgB, Wrapped: []byte("b")}}
		must(w.Append(w.Context(), b))(w)
		want := []audit.OrganizationKey{audit.DestroyedKey(orgA), {OrganizationUID: orgB, Wrapped: []byte("b")}}
		before := w.all(orgA)
		for range 2 {
			if err := w.eraser(w.Backend).Forget(w.Context(), orgA); err != nil {
				w.Fatal(err)
			}
			if got := must(w.Keys(w.Context(), "", 10))(w); !reflect.DeepEqual(got, want) {
				w.Fatalf("keys %v, want %v", got, want)
			}
		}
		again := w.batch(0, w.event())
		again.Keys = b.Keys
		must(w.Append(w.Context(), again))(w)
		other := w.Another(w)
		defer other.Close()
		if got, err := other.Keys(w.Context(), "", 10); err != nil || !reflect.DeepEqual(got, want) || !got[0].Destroyed() || got[1].Destroyed() {
			w.Errorf("keys %v, %v, want %v", got, err, want)
		}
		if after := w.all(orgA); !reflect.DeepEqual(after[:1], before) {
			w.Errorf("the record is %+v, was %+v", after[:1], before)
		}
	}},
	{"a key can be destroyed before the archive has it", func(w *world) {
		if err := w.eraser(w.Backend).Forget(w.Context(), orgA); err != nil {
			w.Fatal(err)
		}
		b := w.batch(0, w.event())
		b.Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("a")}}
		must(w.Append(w.Context(), b))(w)
		if got := must(w.Keys(w.Context(), "", 10))(w); !reflect.DeepEqual(got, []audit.OrganizationKey{audit.DestroyedKey(orgA)}) {
			w.Errorf("keys %v", got)
		}
	}},
}
