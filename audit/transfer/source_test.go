package transfer_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
)

func now() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

const day = 24 * time.Hour

// source is an archive with everything in it that a copy must not lose.
func source(t *testing.T, path string, flows int) *sqlite.Archive {
	t.Helper()
	a, err := sqlite.Open(t.Context(), path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() }) //nolint:errcheck // a test may have closed it
	w := writer{T: t, a: a}
	must(t, a.SetInstallation(t.Context(), audit.Installation{ID: "i", Partitions: 64, StateFormat: 1, Created: now()}))
	w.retain("acme", audit.Retention{SignIn: 20, Administration: 365, Activity: 7})
	w.keys("acme", "bolt", "gone")
	for n := range flows {
		w.flow("acme", n, now().Add(-19*day).Add(time.Duration(n)*time.Hour/10))
	}
	w.retain("acme", audit.Retention{SignIn: 400, Administration: 30, Activity: 30})
	for n := range flows / 2 {
		w.flow("acme", flows+n, now().Add(-time.Duration(n)*time.Minute))
		w.flow("bolt", 10*flows+n, now().Add(-100*day))
	}
	w.odd()
	w.directory("acme", 1)
	w.retain("gone", audit.Retention{SignIn: 1, Administration: 1, Activity: 1})
	w.event(audit.Event{ID: id(now().Add(-9*day), 1), Type: audit.TypePolicyUpdated, OrganizationUID: "gone", Organization: "gone", Time: now().Add(-9 * day), Revision: 4,
		Directory: &audit.DirectoryWrite{Organization: []byte("gone"), Items: []audit.DirectoryItem{{Key: audit.DomainKey("gone.example")}}}}, now().Add(-9*day))
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type writer struct {
	*testing.T
	a     *sqlite.Archive
	epoch audit.Epoch
	n     int
}

func (w *writer) retain(uid string, r audit.Retention) {
	w.Helper()
	must(w.T, w.a.SetRetention(w.Context(), uid, r))
}

// keys stores an organization key each.
func (w *writer) keys(uids ...string) {
	w.Helper()
	b := w.batch()
	for _, uid := range uids {
		b.Keys = append(b.Keys, audit.OrganizationKey{OrganizationUID: uid, Wrapped: []byte(uid + "\x00key")})
	}
	_, err := w.a.Append(w.Context(), b)
	must(w.T, err)
}

func (w *writer) batch(entries ...audit.Entry) audit.Batch {
	w.Helper()
	if w.epoch == 0 {
		var err error
		w.epoch, err = w.a.Take(w.Context(), 3, "test")
		must(w.T, err)
	}
	return audit.Batch{Partition: 3, Epoch: w.epoch, Entries: entries}
}

func id(at time.Time, n int) string { return fmt.Sprintf("%s-7000-8000-%012x", audit.FirstID(at), n) }

func (w *writer) entry(e audit.Event, recorded time.Time) audit.Entry {
	w.Helper()
	w.n++
	sum := sha256.Sum256(append([]byte("salt"), fmt.Sprint("data", w.n)...))
	e.Sealed = &audit.Sealed{Salt: []byte("salt"), Data: fmt.Append(nil, "data", w.n), Digest: sum[:]}
	e.Named = true
	e.Indexes = []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Append(nil, "account", w.n%7)}, {Purpose: audit.IndexNetwork24, Value: []byte("net")}}
	raw, err := codec.New(nil).Encode(&e)
	must(w.T, err)
	return audit.Entry{OutboxID: fmt.Sprint(w.n, "-0"), RecordedTime: recorded, Event: e, Raw: raw}
}

func (w *writer) event(e audit.Event, recorded time.Time) {
	w.Helper()
	_, err := w.a.Append(w.Context(), w.batch(w.entry(e, recorded)))
	must(w.T, err)
}

// flow appends a sign-in of four steps, every third one left open, every fifth with a second event for a step.
func (w *writer) flow(org string, n int, at time.Time) {
	w.Helper()
	var entries []audit.Entry
	step := func(no int, kind audit.Type, more ...func(*audit.Event)) {
		e := audit.Event{ID: id(at.Add(time.Duration(no)*time.Second), n*100+len(entries)), Type: kind, Time: at.Add(time.Duration(no) * time.Second), Organization: org, OrganizationUID: org,
			Site: "portal", SiteUID: "site-uid", Flow: id(at, n), Step: no, SupportCode: fmt.Sprintf("CODE-%05d", n), Outcome: audit.OutcomeOf(kind), Class: audit.ClassExternal, Ending: audit.EndingOf(kind)}
		for _, m := range more {
			m(&e)
		}
		entries = append(entries, w.entry(e, at.Add(time.Minute)))
	}
	step(1, audit.TypeSignInStarted)
	step(2, audit.TypePasswordRejected)
	if n%5 == 0 {
		step(2, audit.TypePasswordVerified)
	}
	step(3, audit.TypePasswordVerified)
	if n%3 > 0 {
		step(4, audit.TypeSignInDenied, func(e *audit.Event) { e.Reason = "SSO_REQUIRED" })
	}
	step(0, audit.TypeTokenUsed)
	_, err := w.a.Append(w.Context(), w.batch(entries...))
	must(w.T, err)
}

// directory appends 60 commits to an organization's directory, from a revision on: policies, one after the other with new domains, ones
// that are gone, claims, and a store that was set back.
func (w *writer) directory(org string, revision int) {
	w.Helper()
	for n := range 60 {
		at := now().Add(-8 * day).Add(time.Duration(revision+n) * time.Minute)
		d := &audit.DirectoryWrite{Organization: fmt.Append(nil, "record\x00", n)}
		kind := audit.TypePolicyUpdated
		switch n % 6 {
		case 1:
			kind, d.Organization = audit.TypeAccountClaimed, nil
			for i := range 120 {
				d.Items = append(d.Items, audit.DirectoryItem{Key: audit.ClaimKey(fmt.Append(nil, i, "hash\xff", n%12)), Record: []byte{byte(n)}})
			}
		case 3:
			d.Items = []audit.DirectoryItem{{Key: audit.DomainKey("a.example")}, {Key: audit.DomainKey(strings.Repeat("long", n*10)), Record: []byte{}}}
		case 5:
			kind, d.BackTo = audit.TypeOrganizationSetBack, int64(revision+n-4)
		}
		w.event(audit.Event{ID: id(at, int(org[0])<<32+revision*100+n), Type: kind, OrganizationUID: org, Organization: org, Time: at, Revision: int64(revision + n), Directory: d}, at)
	}
}

// odd appends what nobody sends.
func (w *writer) odd() {
	w.Helper()
	for n, s := range []string{"a\x00b", strings.Repeat("x'\"", 50_000), "\x1fescape", "ß𝄞\u202e"} {
		at := now().Add(-time.Duration(n) * day)
		w.event(audit.Event{ID: "id " + s, Type: audit.TypeSignInStarted, Time: at, Organization: "acme", OrganizationUID: "acme", Site: s, SiteUID: s,
			Flow: "flow " + s, Step: 1000 * n, SupportCode: s, CorrelationID: s, Reason: s, Connection: s}, at)
		w.event(audit.Event{ID: id(at, 1<<20+n), Type: audit.TypeSignInStarted, Time: time.Date(1, 1, 1, 1, 1, 1, 1, time.UTC), Organization: "acme", OrganizationUID: "acme",
			Flow: id(at, 1<<21+n), Step: 70}, at.Add(-500*day))
	}
	b := w.batch(audit.Entry{OutboxID: "9-9", RecordedTime: now(), Raw: []byte("\xff\x00garbage"), Event: audit.NewUnreadable(3, "9-9", []byte("\xff\x00garbage"), now())})
	_, err := w.a.Append(w.Context(), b)
	must(w.T, err)
}
