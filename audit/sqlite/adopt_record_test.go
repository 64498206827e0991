package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// oldRecord is what testdata/schema1.db.gz holds: a record of 200 days that the last binary with schema 1 (9482b16) has
// written, 30 entries in a batch. Two organizations, flows, administration, activity, late events, ids that tell no moment, one
// unreadable entry and an open flow.
func oldRecord(t testing.TB) []audit.Entry {
	t.Helper()
	var out []audit.Entry
	add := func(at time.Time, e audit.Event) {
		n := len(out)
		if e.ID == "" {
			e.ID = oldID(at, n)
		}
		e.Time, e.Outcome = at.Add(time.Duration(n)), audit.OutcomeOf(e.Type)
		e.Organization, e.OrganizationUID = "acme", "0189aaaa-0000-7000-8000-00000000000a"
		if int(at.Sub(oldBegan)/(24*time.Hour))%5 == 4 {
			e.Organization, e.OrganizationUID = "bolt", "0189aaaa-0000-7000-8000-00000000000b"
		}
		e.Sealed = &audit.Sealed{Salt: make([]byte, 16), Data: fmt.Appendf(nil, "sealed %d", n), Digest: make([]byte, 32)}
		e.Indexes = []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Appendf(nil, "account %d", n%9)}}
		out = append(out, audit.Entry{OutboxID: fmt.Sprintf("%d-0", at.UnixMilli()), RecordedTime: at.Add(time.Second), Event: e, Raw: encoded(t, &e)})
	}
	for day := range 200 {
		at := oldBegan.Add(time.Duration(day) * 24 * time.Hour)
		flow := oldID(at, 10_000+day)
		step := func(n int, kind audit.Type) audit.Event {
			return audit.Event{Type: kind, Flow: flow, Step: n, Site: fmt.Sprint("site-", day%3), SupportCode: fmt.Sprintf("ABCDE-%05d", day), Class: audit.ClassExternal}
		}
		add(at, step(1, audit.TypeSignInStarted))
		if day%10 != 7 {
			add(at.Add(time.Minute), step(2, audit.TypeSignInSucceeded))
		}
		if day%4 == 0 {
			add(at.Add(time.Hour), audit.Event{Type: audit.TypePolicyUpdated, Revision: int64(day + 1)})
		}
		if day%6 == 0 {
			add(at.Add(2*time.Hour), audit.Event{Type: audit.TypeTokenUsed, Site: "site-0"})
		}
		if day%50 == 20 {
			add(at.Add(3*time.Hour), audit.Event{ID: fmt.Sprintf("no uuid %d", day), Type: audit.TypeSiteTallied})
		}
		if day == 100 {
			e := audit.NewUnreadable(0, "1-1", []byte("not an event"), at)
			out = append(out, audit.Entry{OutboxID: "1-1", RecordedTime: at, Event: e, Raw: []byte("not an event")})
		}
	}
	return out
}

var oldBegan = time.Date(2026, 4, 7, 9, 0, 0, 0, time.UTC)

// oldID is a UUIDv7 of a moment.
func oldID(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012d", ms>>16, ms&0xffff, n)
}

// encoded is an event as it stands in an outbox.
func encoded(t testing.TB, e *audit.Event) []byte {
	t.Helper()
	raw, err := codec.New(nil).Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
