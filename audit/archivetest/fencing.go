package archivetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/postern-audit/postern/audit"
)

var fencingCases = []testCase{
	{"taking a partition raises its epoch alone", func(w *world) {
		var last audit.Epoch
		for range 3 {
			e := must(w.Take(w.Context(), 5, "one"))(w)
			if e <= last {
				w.Errorf("epoch %d after %d", e, last)
			}
			last = e
		}
		must(w.Append(w.Context(), audit.Batch{Partition: 5, Epoch: last, Entries: []audit.Entry{w.entry(w.event())}}))(w)
		must(w.Take(w.Context(), 6, "two"))(w)
		must(w.Append(w.Context(), audit.Batch{Partition: 5, Epoch: last, Entries: []audit.Entry{w.entry(w.event())}}))(w)
	}},
	{"who was paused while another took over writes nothing", func(w *world) {
		stale := w.batch(0, w.event(), w.event(ofB))
		stale.Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("k")}}
		other := w.Another(w)
		defer other.Close()
		taken := must(other.Take(w.Context(), 0, "other"))(w)
		done, err := w.Append(w.Context(), stale)
		if !errors.Is(err, audit.ErrFenced) || done != (audit.Appended{}) {
			w.Errorf("appended %+v, %v", done, err)
		}
		if !must(w.Empty(w.Context()))(w) || len(must(w.Keys(w.Context(), "", 9))(w)) != 0 {
			w.Error("a fenced batch left something")
		}
		if done := must(other.Append(w.Context(), audit.Batch{Partition: 0, Epoch: taken, Entries: stale.Entries}))(w); done.Inserted != 2 {
			w.Errorf("the new holder appended %+v", done)
		}
		if _, err := w.Append(w.Context(), stale); !errors.Is(err, audit.ErrFenced) {
			w.Errorf("again: %v", err)
		}
		w.gapless(orgA, 1)
	}},
	{"a partition nobody took, an epoch from the future and the epoch of another partition are fenced", func(w *world) {
		b := w.batch(1, w.event())
		for _, wrong := range []audit.Batch{
			{Partition: 2, Epoch: b.Epoch, Entries: b.Entries}, {Partition: 2, Entries: b.Entries},
			{Partition: 1, Epoch: b.Epoch + 1, Entries: b.Entries}, {Partition: 1, Entries: b.Entries},
		} {
			if _, err := w.Append(w.Context(), wrong); !errors.Is(err, audit.ErrFenced) {
				w.Errorf("partition %d epoch %d: %v", wrong.Partition, wrong.Epoch, err)
			}
		}
		if !must(w.Empty(w.Context()))(w) {
			w.Error("a fenced batch left something")
		}
	}},
	{"two archivers that keep taking the partition from each other lose and double nothing", contend},
}

// contend lets two handles fight over partition 0 until everything of one outbox is stored.
func contend(w *world) {
	const events, size = 120, 7
	var outbox []audit.Entry
	for range events {
		outbox = append(outbox, w.entry(w.event()))
	}
	other := w.Another(w)
	defer other.Close()
	var wg sync.WaitGroup
	problems := make(chan error, 2)
	var mu sync.Mutex
	inserted := 0
	for n, b := range []Backend{w.Backend, other} {
		wg.Go(func() {
			takes := 25 // the second one gives up at some time, or the two could go on for ever
			if n == 0 {
				takes = 1 << 30
			}
			done, err := drain(w, b, fmt.Sprint(n), takes, outbox, size)
			mu.Lock()
			inserted += done
			mu.Unlock()
			if err != nil {
				problems <- err
			}
		})
	}
	wg.Wait()
	close(problems)
	for err := range problems {
		w.Error(err)
	}
	if inserted != events {
		w.Errorf("%d insertions were acknowledged, want %d", inserted, events)
	}
	w.gapless(orgA, events)
}

// drain appends the outbox from its head; fenced, it takes the partition again and starts over, as if it had to read anew.
func drain(w *world, b Backend, holder string, takes int, outbox []audit.Entry, size int) (inserted int, err error) {
	for range takes {
		epoch, err := b.Take(w.Context(), 0, holder)
		if err != nil {
			return inserted, err
		}
		fenced := false
		for from := 0; from < len(outbox) && !fenced; from += size {
			done, err := b.Append(w.Context(), audit.Batch{Epoch: epoch, Entries: outbox[from:min(from+size, len(outbox))]})
			if fenced = errors.Is(err, audit.ErrFenced); err != nil && !fenced {
				return inserted, err
			}
			inserted += done.Inserted
		}
		if !fenced {
			return inserted, nil
		}
	}
	return inserted, nil
}

var batchCases = []testCase{
	{"batches of several partitions are stored together, fenced ones left out", func(w *world) {
		all, ok := w.Backend.(audit.BatchArchive)
		if !ok {
			return // this archive appends one batch at a time
		}
		batches := []audit.Batch{w.batch(0, w.event(), w.event(ofB)), w.batch(1, w.event()), w.batch(2, w.event(), w.event()), w.batch(3)}
		batches[1].Keys = []audit.OrganizationKey{{OrganizationUID: orgB, Wrapped: []byte("fenced")}}
		batches[2].Keys = []audit.OrganizationKey{{OrganizationUID: orgA, Wrapped: []byte("k")}}
		must(w.Take(w.Context(), 1, "other"))(w)
		done := must(all.AppendAll(w.Context(), batches))(w)
		want := []audit.Appended{{Inserted: 2}, {Fenced: true}, {Inserted: 2}, {}}
		if fmt.Sprint(done) != fmt.Sprint(want) {
			w.Errorf("appended %+v, want %+v", done, want)
		}
		w.gapless(orgA, 3)
		if keys := must(w.Keys(w.Context(), "", 9))(w); len(keys) != 1 || keys[0].OrganizationUID != orgA {
			w.Errorf("keys %v", keys)
		}
		again := must(all.AppendAll(w.Context(), batches))(w)
		if fmt.Sprint(again) != fmt.Sprint([]audit.Appended{{Duplicates: 2}, {Fenced: true}, {Duplicates: 2}, {}}) {
			w.Errorf("again %+v", again)
		}
		if none := must(all.AppendAll(w.Context(), nil))(w); len(none) != 0 {
			w.Errorf("no batches: %+v", none)
		}
	}},
}
