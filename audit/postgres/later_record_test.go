package postgres_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

// asBefore takes away from every shelf, and beside them, what came after schema version 2.
const asBefore = `DO $$
DECLARE n integer;
BEGIN
	FOR n IN SELECT shelf FROM shelf LOOP
		EXECUTE format('DROP TABLE presence_%s, hour_%s', n, n);
		EXECUTE format('ALTER TABLE event_%s DROP COLUMN evidence, DROP COLUMN method, DROP COLUMN factor, DROP COLUMN rule, DROP COLUMN target_type,
			DROP COLUMN target_id, DROP COLUMN caller, DROP COLUMN support_code', n);
		EXECUTE format('DROP INDEX event_%s_reason', n);
		EXECUTE format('ALTER TABLE flow_%s DROP COLUMN terms', n);
	END LOOP;
	DROP TABLE subject;
	ALTER TABLE installation DROP COLUMN region;
	DELETE FROM goose_db_version WHERE version_id > 2;
END $$`

// TestAnArchiveOfTheSecondSchemaIsFilledUp brings a record of before filters and counts up to date: it then answers as one that was
// written by this binary, and goes on.
func TestAnArchiveOfTheSecondSchemaIsFilledUp(t *testing.T) {
	o := postgres.Options{URL: pgtest.Start(t, "fsync=off").Schema(), Now: clock}
	a := open(t, o)
	fill(t, a, 5000)
	appendOdd(t, a)
	want := answers(t, a)
	if err := a.Exec(t.Context(), asBefore); err != nil {
		t.Fatal(err)
	}
	a.Close() //nolint:errcheck // it always succeeds
	b := open(t, o)
	if have, newest, err := b.SchemaVersions(t.Context()); err != nil || have != newest {
		t.Fatalf("schema version %d of %d, %v", have, newest, err)
	}
	got := answers(t, b)
	for name, w := range want {
		if !reflect.DeepEqual(got[name], w) {
			t.Errorf("%s:\n%+v\nwant\n%+v", name, got[name], w)
		}
	}
	fill(t, b, 5600)
	if f, err := b.Facets(t.Context(), audit.Query{OrganizationUID: "org"}, []audit.Field{audit.FieldMethod}, 5); err != nil || f.Total != 5601 || f.Fields[0].Values[0].Count != 5600 {
		t.Errorf("after more events: %+v, %v", f, err)
	}
}

// appendOdd stores an event on another shelf with a value of every field, one of them long.
func appendOdd(t *testing.T, a backend) {
	t.Helper()
	at := clock().Add(-40 * 24 * time.Hour)
	e := audit.Event{ID: eventID(at, 9, 1), Type: audit.TypePolicyUpdated, Time: at, Organization: "acme", OrganizationUID: "org", Site: strings.Repeat("s", 300),
		Connection: "partner", Reason: "ODD", Method: "sso", Factor: audit.FactorTOTP, Caller: "odd\x1f", SupportCode: "ODD01-ODD01", Sandbox: true,
		Decision: &audit.Decision{Rule: "guests"}, Target: &audit.Target{Type: "policy", ID: strings.Repeat("long-", 80)}}
	raw, err := codec.New(nil).Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := a.Take(t.Context(), 1, "odd")
	if err == nil {
		_, err = a.Append(t.Context(), audit.Batch{Partition: 1, Epoch: epoch, Entries: []audit.Entry{{OutboxID: "1-0", RecordedTime: at, Event: e, Raw: raw}}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func answers(t *testing.T, a backend) map[string]any {
	t.Helper()
	out := map[string]any{}
	fields := []audit.Field{}
	for f := audit.FieldType; f <= audit.FieldSite; f++ {
		fields = append(fields, f)
	}
	for name, q := range map[string]audit.Query{
		"all": {}, "site": {Match: audit.Match{Sites: []string{"site-3"}}}, "long site": {Match: audit.Match{Sites: []string{strings.Repeat("s", 300)}}},
		"method": {Match: audit.Match{Methods: []string{"sso"}}}, "support code": {Match: audit.Match{SupportCodes: []string{"00000-00007", "ODD01-ODD01"}}},
		"target": {Match: audit.Match{TargetIDs: []string{strings.Repeat("long-", 80)}}}, "words": {Text: []string{"odd"}}, "no sandbox": {NoSandbox: true},
		"evidence": {Exclude: audit.Match{Evidences: []audit.Evidence{audit.EvidenceAsserted}}},
	} {
		q.OrganizationUID, q.Limit = "org", 20
		events, err := a.Events(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		facets, err := a.Facets(t.Context(), q, fields, 10)
		if err != nil || facets.Total == 0 {
			t.Fatalf("%s: %+v, %v", name, facets, err)
		}
		histogram, err := a.Histogram(t.Context(), q, []time.Time{clock().Add(-90 * 24 * time.Hour), clock().Add(-24*time.Hour + time.Second), clock()})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = []any{events, facets, histogram}
	}
	return out
}
