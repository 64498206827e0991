package server

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// How reads are folded.
const (
	maxReadings  = 10_000 // readers told apart at once, and events that wait to be written
	readingBatch = 64     // events in one commit
	readingTexts = 8      // different things looked for that the count of an hour names
	readingText  = 512    // bytes of each
	readingTick  = time.Second
)

// Reading is one read of an organization's record.
type Reading struct {
	Organization, OrganizationUID string
	Caller                        string        // who read
	Call                          string        // through what, from a closed set
	Text                          string        // what was looked for; may be personal
	Subjects                      []audit.Index // whom, by account or e-mail
}

// Readings puts reads of the record on the record, as log.searched. Reads that are alike (organization, reader, call) are folded by
// the UTC hour: the first one is written at once, with what it looked for, unless the same reader looked for the same in the hour
// before; the others are counted and written as one event when the hour is over or the process stops.
//
// Nobody waits for it and no read fails because of it: what is noted lies in memory until its goroutine, which runs from
// newReadings to Close, has written it. Whoever kills the process loses the counts of at most an hour. Beyond maxReadings readers
// are counted together, in system.
type Readings struct {
	outbox audit.Outbox
	now    func() time.Time
	newID  func() string
	lost   func(n int64) // hears of reads that no event will tell of; may be nil
	log    *slog.Logger
	seed   maphash.Seed

	mu      sync.Mutex
	held    map[readerKey]*reader
	waiting []audit.Event // made and not written yet; their ids stay, so that the archive keeps one of each
	flying  int           // taken out of waiting to be written now

	wake   chan struct{}
	stop   context.CancelFunc
	done   chan struct{}
	broken chan error // what its goroutine ended with, if that was a panic
	away   bool       // the last writing failed; the goroutine's, then Close's
}

// readerKey says which reads are alike.
type readerKey struct{ organizationUID, caller, call string }

// reader is what one reader did through one call in one hour.
type reader struct {
	organization string
	hour         time.Time
	count        int64         // reads that no event tells of
	last         time.Time     // the latest of them
	texts        []string      // what they looked for, different ones, at most readingTexts
	sought       []audit.Index // whom, in those texts
	seen, before []uint64      // hashes of what was looked for in this hour and in the one before
}

// newReadings starts to write to the outbox.
func newReadings(outbox audit.Outbox, now func() time.Time, newID func() string, lost func(int64), log *slog.Logger) *Readings {
	r := &Readings{
		outbox: outbox, now: now, newID: newID, lost: lost, log: log, seed: maphash.MakeSeed(), held: map[readerKey]*reader{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), broken: make(chan error, 1),
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() {
		defer close(r.done)
		if err := errs.Guard(func() error { return r.run(ctx) }); err != nil {
			r.broken <- err
		}
	}()
	return r
}

// Note puts one read on the record, soon.
func (r *Readings) Note(in Reading) {
	now := r.now().UTC()
	text := cut(in.Text, readingText)
	r.mu.Lock()
	defer r.mu.Unlock()
	key, f := r.reader(&in, now)
	if key.caller == everybody {
		text = ""
	}
	hash := maphash.String(r.seed, text)
	fresh := !slices.Contains(f.seen, hash) && len(f.seen) < readingTexts
	first := len(f.seen) == 0 && f.count == 0 && !slices.Contains(f.before, hash)
	if fresh {
		f.seen = append(f.seen, hash)
	}
	if first && r.room() {
		r.waiting = append(r.waiting, r.event(key, f.organization, now, 1, text, nil, in.Subjects))
		r.rouse()
		return
	}
	f.count++
	if now.After(f.last) {
		f.last = now
	}
	if fresh && text != "" {
		f.texts, f.sought = append(f.texts, text), append(f.sought, in.Subjects...)
	}
}

// everybody stands for readers that are not told apart.
const everybody = "*"

// reader finds who reads, in this hour.
func (r *Readings) reader(in *Reading, now time.Time) (readerKey, *reader) {
	key, organization := readerKey{in.OrganizationUID, in.Caller, in.Call}, in.Organization
	if r.held[key] == nil && len(r.held) >= maxReadings {
		key, organization = readerKey{audit.SystemUID, everybody, everybody}, audit.SystemID
	}
	hour := now.Truncate(time.Hour)
	f := r.held[key]
	if f == nil {
		f = &reader{organization: organization, hour: hour}
		r.held[key] = f
	}
	if hour.After(f.hour) && r.turn(key, f) {
		f.hour = hour
	}
	return key, f
}

// turn ends a reader's hour: what was counted becomes an event. It reports false, and nothing has changed, while there is no room for
// one.
func (r *Readings) turn(key readerKey, f *reader) bool {
	if f.count > 0 {
		if !r.room() {
			return false
		}
		var first string
		if len(f.texts) > 0 {
			first = f.texts[0]
		}
		r.waiting = append(r.waiting, r.event(key, f.organization, f.last, f.count, first, f.texts, f.sought))
	}
	f.before, f.seen, f.texts, f.sought, f.count, f.last = f.seen, nil, nil, nil, 0, time.Time{}
	return true
}

func (r *Readings) room() bool { return len(r.waiting)+r.flying < maxReadings }

// event says that somebody read. Nothing in system is sealed: there it says nothing of what was looked for.
func (r *Readings) event(key readerKey, organization string, at time.Time, uses int64, text string, texts []string, whom []audit.Index) audit.Event {
	e := audit.Event{
		ID: r.newID(), Type: audit.TypeLogSearched, Time: at, Organization: organization, OrganizationUID: key.organizationUID,
		Caller: key.caller, Outcome: audit.OutcomeOf(audit.TypeLogSearched), Target: &audit.Target{Type: "call", ID: key.call}, Uses: uses,
	}
	if key.organizationUID == audit.SystemUID {
		return e
	}
	if e.Personal.Detail = text; text != "" {
		e.Sought = audit.Sought(whom)
	}
	if len(texts) > 1 {
		e.Personal.Items, e.Target.Count = texts, int64(len(texts))
	}
	return e
}

// rouse asks the goroutine to write.
func (r *Readings) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// cut shortens a text to so many bytes, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
