package recovery_test

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/apikey/rediskeys"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/archiver"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/recovery"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 4

// world is an embedded store with its archive, as one process after another has them.
type world struct {
	t       *testing.T
	dir     string
	sets    *seal.Keysets
	archive *sqlite.Archive
	process
}

// process is what a kill ends.
type process struct {
	store     *embedded.Store
	keyring   *seal.Keyring
	codec     *codec.Codec
	flows     *authflow.Flows
	live      *redisstore.Store
	apiKeys   *rediskeys.Store
	directory *redisdirectory.Directory
	archiver  *archiver.Archiver
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	var err error
	if w.sets, err = seal.LoadOrCreate(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if w.archive, err = sqlite.Open(t.Context(), filepath.Join(w.dir, "archive.db"), time.Now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.archive.Close() })
	w.start()
	return w
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// start is a process on what stands: the snapshot and the archive.
func (w *world) start() {
	w.t.Helper()
	log := slog.New(slog.DiscardHandler)
	p := process{keyring: w.sets.Keyring(0)}
	p.codec = codec.New(p.keyring)
	cache := redisdirectory.NewCache(p.keyring)
	var err error
	check := func() {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	p.store, err = embedded.Open(w.t.Context(), embedded.Config{File: filepath.Join(w.dir, "snapshot"), SaveEvery: time.Hour, Now: time.Now, Log: log})
	check()
	w.t.Cleanup(p.store.Kill)
	c := p.store.Client(-1)
	p.directory, err = redisdirectory.New(redisdirectory.Config{Client: c, Reader: c, Partitions: partitions, Codec: p.codec, Keys: p.keyring,
		Cache: cache, Now: time.Now})
	check()
	p.apiKeys, err = rediskeys.New(rediskeys.Config{Client: c, Reader: c, Partitions: partitions, Codec: p.codec})
	check()
	p.live, err = redisstore.New(redisstore.Config{Client: c, Reader: c, Partitions: partitions, Codec: p.codec, Keyring: p.keyring,
		Namer: w.sets.Namer(), Cache: cache, Now: time.Now})
	check()
	p.flows, err = authflow.New(authflow.Config{Store: p.live, Directory: p.directory, Namer: naming.New(w.sets.Namer()), Archive: w.archive,
		Now: time.Now, NewID: newID, Log: log, NewCode: func() string {
			var b [10]byte
			_, _ = rand.Read(b[:]) // never fails
			return authflow.FormatSupportCode(b)
		}})
	check()
	p.archiver, err = archiver.New(archiver.Config{Source: p.live.Source(c), Archive: w.archive, Codec: p.codec, Keys: p.keyring, Log: log,
		Now: time.Now, Partitions: []int{0, 1, 2, 3}, Holder: "test"})
	check()
	w.process = p
}

func (w *world) apply(doc string) *policy.Organization {
	w.t.Helper()
	in := directory.ApplyInput{Document: []byte(doc), RequestID: newID()}
	in.Organization = doc[len("organization: ") : len("organization: ")+4]
	if uid, err := w.directory.Resolve(w.t.Context(), in.Organization); err == nil {
		o, err := w.directory.Organization(w.t.Context(), uid)
		if err != nil {
			w.t.Fatal(err)
		}
		in.Etag = policypb.Etag(o.Stamp)
	}
	r, err := directory.Apply(w.t.Context(), directory.Deps{Directory: w.directory, Writer: w.directory, Namer: naming.New(w.sets.Namer()),
		Keys: w.keyring, Owners: w.directory, Sealer: w.keyring, NewID: newID, Now: time.Now}, "test", in)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Organization
}

var caller = authflow.Caller{Principal: "test"}

func (w *world) open(email string) authflow.FlowID {
	w.t.Helper()
	address, err := policy.ParseAddress(email)
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.flows.Start(w.t.Context(), caller, authflow.StartInput{Organization: "acme", Site: "wiki", RequestID: newID(),
		Subject: authflow.Subject{Address: address}})
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Flow
}

func (w *world) reject(id authflow.FlowID) {
	w.t.Helper()
	if _, err := w.flows.Step(w.t.Context(), caller, authflow.StepInput{Organization: "acme", Flow: id, RequestID: newID(),
		Step: authflow.StepReport{Type: audit.TypePasswordRejected, Reason: "BAD_CREDENTIALS"}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) cancel(id authflow.FlowID) error {
	_, err := w.flows.Finish(w.t.Context(), caller, authflow.FinishInput{Organization: "acme", Flow: id, RequestID: newID(),
		Finish: authflow.Finish{Action: authflow.ActionCancel}})
	return err
}

func (w *world) flush() {
	w.t.Helper()
	if err := w.archiver.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) save() {
	w.t.Helper()
	if err := w.store.Save(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// killed ends the process, starts the next one and recovers.
func (w *world) killed() recovery.Report {
	w.t.Helper()
	w.store.Kill()
	w.start()
	w.flush()
	report, err := recovery.Run(w.t.Context(), recovery.Config{Partitions: partitions, Archive: w.archive, Flows: w.live, Directory: w.directory,
		Outbox: w.live.Outbox(), Codec: w.codec, Keys: w.keyring, Namer: naming.New(w.sets.Namer()), APIKeys: w.apiKeys, Now: time.Now, NewID: newID})
	if err != nil {
		w.t.Fatal(err)
	}
	w.flush()
	return report
}

// record is a flow's archived events, which must be one story: steps without gaps, one ending at the end, nothing forked.
func (w *world) record(o *policy.Organization, id authflow.FlowID) []audit.Event {
	w.t.Helper()
	row, events, err := w.archive.Flow(w.t.Context(), o.UID, id.String())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, e := range events {
		if e.Step != i+1 || e.Forked || e.Ending != audit.EndingNone && i != len(events)-1 {
			w.t.Errorf("step %d of %s: %s, step %d, forked %t", i+1, id, e.Type, e.Step, e.Forked)
		}
	}
	if last := events[len(events)-1]; row.Ending != last.Ending || last.Ending != audit.EndingNone && len(last.Steps) != len(events)-1 && len(last.Steps) != len(events) {
		w.t.Errorf("%s ended %v in its row, %v in its record with %d of %d steps", id, row.Ending, last.Ending, len(last.Steps), len(events))
	}
	return events
}

func lost(e audit.Event) bool {
	return e.Type == audit.TypeSignInAbandoned && e.Ending == audit.EndingAbandoned && e.Reason == audit.ReasonStoreLost
}

const acme = "organization: acme\nsites: [{id: wiki}]\ndomains: [acme-corp.com]\n"

func TestAKillLosesOnlyWhatItSays(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	kept, behind, over, unrecorded := w.open("a@guest-firm.com"), w.open("b@guest-firm.com"), w.open("c@guest-firm.com"), w.open("d@acme-corp.com")
	pending := w.open("e@guest-firm.com")
	w.flush()
	w.reject(pending)
	w.save() // what follows is in no snapshot

	w.reject(behind)
	if err := w.cancel(over); err != nil {
		t.Fatal(err)
	}
	gone := w.open("f@guest-firm.com")
	w.reject(gone)
	w.flush()
	w.apply("organization: acme\ndisplay_name: Acme Inc\n")
	w.apply("organization: late\n")
	w.flush()
	never := w.open("g@guest-firm.com") // reached neither the archive nor a snapshot

	r := w.killed()
	if r.FlowsEnded != 2 || r.FlowsSetBack != 2 || !slices.Equal(r.Organizations, []string{"late"}) || !slices.Equal(r.Changed, []string{"acme"}) {
		t.Errorf("%+v", r)
	}
	for name, id := range map[string]authflow.FlowID{"behind": behind, "gone": gone} {
		events := w.record(o, id)
		if last := events[len(events)-1]; !lost(last) || last.Step != 3 || len(last.Steps) != 2 {
			t.Errorf("%s ends with %s %s, step %d", name, last.Type, last.Reason, last.Step)
		}
		if _, err := w.flows.Get(t.Context(), o.UID, id.String()); err == nil {
			t.Errorf("%s still lives", name)
		}
	}
	if events := w.record(o, over); events[len(events)-1].Type != audit.TypeSignInCancelled {
		t.Error("a flow that had ended got another ending")
	}
	for name, id := range map[string]authflow.FlowID{"kept": kept, "pending": pending, "unrecorded": unrecorded} {
		if err := w.cancel(id); err != nil {
			t.Errorf("%s does not go on: %v", name, err)
		}
	}
	w.flush()
	for _, id := range []authflow.FlowID{kept, pending} {
		if events := w.record(o, id); events[len(events)-1].Type != audit.TypeSignInCancelled {
			t.Errorf("%s is not cancelled", id)
		}
	}
	if err := w.cancel(never); err == nil {
		t.Error("a flow that nobody kept goes on")
	}
	if now, err := w.directory.Organization(t.Context(), o.UID); err != nil || now.Revision <= o.Revision+1 || now.DisplayName == "Acme Inc" {
		t.Errorf("the organization: %+v, %v", now, err)
	}
	w.toldSetBack(o)
}

// toldSetBack fails unless the record says once that the organization was set back, and the history has it as it is again.
func (w *world) toldSetBack(o *policy.Organization) {
	w.t.Helper()
	events, err := w.archive.Events(w.t.Context(), audit.Query{OrganizationUID: o.UID, Match: audit.Match{Types: []string{string(audit.TypeOrganizationSetBack)}}, Limit: 9})
	if err != nil || len(events) != 1 || events[0].Caller != "recovery" || events[0].Target.UID != o.UID {
		w.t.Fatalf("%+v, %v", events, err)
	}
	e := events[0]
	if want := []audit.Change{{Field: "revision", Before: strconv.FormatInt(e.Revision-1, 10), After: strconv.FormatInt(o.Revision, 10)}}; !slices.Equal(e.Changes, want) {
		w.t.Errorf("changes %+v, want %+v", e.Changes, want)
	}
	c, err := w.archive.CommitAt(w.t.Context(), o.UID, e.RecordedTime)
	if err != nil || c.Revision != e.Revision {
		w.t.Fatalf("%+v, %v", c, err)
	}
	v, err := w.archive.OrganizationAt(w.t.Context(), o.UID, c)
	if err != nil || v.Event.ID != e.ID {
		w.t.Fatalf("%+v, %v", v, err)
	}
	then, err := redisdirectory.PastOrganization(v.Record, v.Revision)
	if err != nil || then.DisplayName != o.DisplayName || len(then.Sites) != len(o.Sites) {
		w.t.Errorf("%+v, %v", then, err)
	}
}

func TestASecondRecoveryFindsNothing(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	w.save()
	id := w.open("a@guest-firm.com")
	w.flush()
	if r := w.killed(); r.FlowsEnded != 1 {
		t.Errorf("%+v", r)
	}
	w.save()
	if r := w.killed(); !r.Empty() {
		t.Errorf("again: %+v", r)
	}
	if n := len(w.record(o, id)); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestAKillDuringRecoveryIsRecoveredFrom(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	w.save()
	id := w.open("a@guest-firm.com")
	w.flush()
	if r := w.killed(); r.FlowsEnded != 1 {
		t.Errorf("%+v", r)
	}
	// No snapshot was taken after the recovery, but its ending is archived.
	if r := w.killed(); !r.Empty() {
		t.Errorf("again: %+v", r)
	}
	if events := w.record(o, id); len(events) != 2 || !lost(events[1]) {
		t.Errorf("%d events", len(events))
	}
}

func TestWithoutAnySnapshotEveryOpenFlowEnds(t *testing.T) {
	w := newWorld(t)
	o := w.apply(acme)
	ids := []authflow.FlowID{w.open("a@guest-firm.com"), w.open("b@guest-firm.com")}
	w.flush()
	r := w.killed()
	if r.FlowsEnded != 2 || !slices.Equal(r.Organizations, []string{"acme"}) {
		t.Errorf("%+v", r)
	}
	for _, id := range ids {
		if events := w.record(o, id); !lost(events[len(events)-1]) {
			t.Errorf("%s ends with %s", id, events[len(events)-1].Type)
		}
	}
	// The document makes it anew; the old record stays its own.
	if again := w.apply(acme); again.UID == o.UID {
		t.Error("a reused id opened the old record")
	}
	w.flush()
	if r := w.killed(); len(r.Organizations) == 0 {
		t.Error("the second organization was lost as well, and nobody says so")
	}
}

func TestNothingLostNothingSaid(t *testing.T) {
	w := newWorld(t)
	w.apply(acme)
	id := w.open("a@guest-firm.com")
	w.flush()
	if err := w.store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := w.killed(); !r.Empty() {
		t.Errorf("%+v", r)
	}
	if err := w.cancel(id); err != nil {
		t.Errorf("%v", err)
	}
}
