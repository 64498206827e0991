package postgres_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// TestTheMigrationKnowsWhatAppendingDoes holds what migration 4 makes of stored events to what appending made of the same ones.
func TestTheMigrationKnowsWhatAppendingDoes(t *testing.T) {
	const n = 9000 // more than two stretches
	a := open(t, postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema()})
	epoch, err := a.Take(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []audit.Type{audit.TypePasswordVerified, audit.TypeMFAVerified, audit.TypeMFARejected, audit.TypeSignInSucceeded, audit.TypeAuthenticatorConfirmed}
	b := audit.Batch{Epoch: epoch}
	for i := range n {
		at := clock().Add(-time.Duration(n-i) * 7 * time.Minute)
		e := audit.Event{ID: fmt.Sprintf("%s-7000-8000-%012d", audit.FirstID(at), i), Type: kinds[i%5], Time: at, Organization: "org", OrganizationUID: fmt.Sprint("uid ", i/10%3),
			Class: audit.ClassExternal, Site: fmt.Sprint("site-", i/10%4), Method: fmt.Sprint("method-", i%3), Named: true,
			Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Appendf(nil, "person %d", i/10%50)}, {Purpose: audit.IndexNetwork24, Value: []byte("net")}},
			Sealed:  &audit.Sealed{Salt: []byte("s"), Data: []byte("d"), Digest: []byte("x")}}
		if i%5 < 4 {
			e.Flow, e.Step = fmt.Sprintf("%s-7001-8000-%012d", audit.FirstID(clock().Add(-time.Duration(n-i/10*10)*7*time.Minute)), i/10), i%10+1
		}
		raw, err := codec.New(nil).Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		b.Entries = append(b.Entries, audit.Entry{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw})
	}
	if _, err := a.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	state := func() (out []any) {
		t.Helper()
		for uid := range 3 {
			organization := fmt.Sprint("uid ", uid)
			for _, site := range []string{"", "site-0", "site-1", "site-2", "site-3"} {
				people, err := a.Subjects(t.Context(), audit.SubjectQuery{OrganizationUID: organization, Site: site, Limit: 1000})
				if err != nil || len(people) == 0 {
					t.Fatal(len(people), err)
				}
				out = append(out, people)
			}
			for _, m := range []audit.FlowMatch{{}, {Methods: []string{"method-1"}}, {Networks: []audit.Index{{Purpose: audit.IndexNetwork24, Value: []byte("net")}}}} {
				flows, err := a.Flows(t.Context(), audit.FlowQuery{OrganizationUID: organization, Limit: n, FlowMatch: m})
				if err != nil || len(flows) == 0 {
					t.Fatal(len(flows), err)
				}
				out = append(out, flows)
			}
		}
		return out
	}
	want := state()
	if err := a.RedoPeople(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := state(); !reflect.DeepEqual(got, want) {
		t.Error("the migration made something else of the same events")
	}
}
