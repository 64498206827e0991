package format_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

var begin = time.Date(2026, 5, 1, 8, 0, 0, 123456000, time.UTC)

// event is a sign-in's event with something in most fields.
func event(n int) audit.Event {
	yes := true
	return audit.Event{
		ID: fmt.Sprintf("0199c1f2-7f5e-7b9a-8c1d-%012d", n), Type: audit.TypePasswordRejected, Time: begin.Add(time.Duration(n) * time.Second), RecordedTime: begin.Add(time.Duration(n) * time.Second),
		Sequence: int64(n), Organization: "acme", OrganizationUID: "uid", Site: "wiki", Flow: fmt.Sprint("flow-", n/4), Step: n%4 + 1, Outcome: audit.OutcomeFailure,
		Reason: "BAD_CREDENTIALS", Class: audit.ClassExternal, Evidence: audit.EvidenceAsserted, Method: "password", Counts: &yes,
		Decision: &audit.Decision{Verdict: audit.VerdictDeny, Rule: "guests", PolicyRevision: 7, Demands: []audit.Demand{{Kind: "MFA"}, {Kind: "SSO", Met: true}}},
		Personal: audit.Personal{Email: fmt.Sprintf("guest%d@example.com", n), AccountID: fmt.Sprint("a", n), IP: "203.0.113.7", UserAgent: "Mozilla/5.0, like Gecko"},
		Steps:    []audit.StepSummary{{Step: 1, Type: audit.TypeSignInStarted}, {Step: 2, Type: audit.TypePasswordRejected, Reason: "BAD_CREDENTIALS"}},
		Tally:    map[string]int64{"b": 2, "a": 1}, Changes: []audit.Change{{Field: "x", Before: "1", After: "2"}}, Target: &audit.Target{Type: "site", ID: "wiki", Count: 3},
	}
}

// writer is a file that can be cut, with what its encoder keeps.
type writer struct {
	data bytes.Buffer
	kept []byte
}

func (w *writer) encoder(t *testing.T, f export.Format) export.Encoder {
	t.Helper()
	e, err := format.New(f, &w.data, int64(w.data.Len()), w.kept, func(b []byte) error {
		w.kept = append(w.kept, b...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func whole(t *testing.T, f export.Format, n int) []byte {
	t.Helper()
	w := &writer{}
	e := w.encoder(t, f)
	for i := range n {
		x := event(i + 1)
		if err := e.Append(&x); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return w.data.Bytes()
}

func rows(t *testing.T, b []byte) [][]string {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAFileThatWasCutAndGoneOnWithIsTheOneNobodyCut(t *testing.T) {
	const page = 1000
	for _, f := range []export.Format{export.FormatCSV, export.FormatJSONL, export.FormatParquet} {
		t.Run(f.String(), func(t *testing.T) {
			n := 8_003
			if f == export.FormatParquet {
				n = 21_003
			}
			want := whole(t, f, n)
			w := &writer{}
			cuts := 0
			for from := 0; ; {
				e := w.encoder(t, f)
				at, kept, next := w.data.Len(), len(w.kept), from
				for i := from; i < n; i++ {
					x := event(i + 1)
					if err := e.Append(&x); err != nil {
						t.Fatal(err)
					}
					if (i+1)%page != 0 {
						continue
					}
					done, err := e.Settle()
					if err != nil {
						t.Fatal(err)
					}
					if done {
						at, kept, next = w.data.Len(), len(w.kept), i+1
						if next-from >= 3*page {
							break
						}
					}
				}
				if next == from || next-from < 3*page {
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
					break
				}
				x := event(0) // begun, and lost with the process
				_ = e.Append(&x)
				w.data.Truncate(at)
				w.kept = w.kept[:kept]
				from = next
				cuts++
			}
			if cuts < 2 || !bytes.Equal(w.data.Bytes(), want) {
				t.Errorf("after %d cuts: %d bytes, want %d", cuts, w.data.Len(), len(want))
			}
		})
	}
}

func TestCSVHasTheDocumentedColumnsAndReadsBack(t *testing.T) {
	all := rows(t, whole(t, export.FormatCSV, 3))
	var names []string
	for _, c := range format.Columns() {
		names = append(names, c.Name)
	}
	if len(all) != 4 || !slices.Equal(all[0], names) {
		t.Fatalf("%d rows, columns %v", len(all), all[0])
	}
	cell := func(name string) string { return all[2][slices.Index(names, name)] }
	for name, want := range map[string]string{
		"sequence": "2", "time": "2026-05-01T08:00:02.123456Z", "type": "password.rejected", "category": "SIGN_IN", "outcome": "FAILURE", "class": "EXTERNAL",
		"email": "guest2@example.com", "user_agent": "Mozilla/5.0, like Gecko", "counts": "true", "user_verified": "", "verdict": "DENY", "unmet_demands": "MFA",
		"steps": "1 sign_in.started\n2 password.rejected BAD_CREDENTIALS", "tally": "a=1 b=2", "changes": "x: 1 -> 2", "target_count": "3", "step": "3", "revision": "",
	} {
		if got := cell(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !bytes.HasSuffix(whole(t, export.FormatCSV, 1), []byte("\r\n")) || len(rows(t, whole(t, export.FormatCSV, 0))) != 1 {
		t.Error("lines end with CR LF, and a file without events has its line of names")
	}
}

func TestACellNeverBeginsLikeAFormula(t *testing.T) {
	const column = "email"
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x", "=1,2", "=\"x\"", "-", "=cmd|' /C calc'!A0"} {
		w := &writer{}
		e := w.encoder(t, export.FormatCSV)
		x := event(1)
		x.Personal.Email = text
		if err := e.Append(&x); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		all := rows(t, w.data.Bytes())
		got := all[1][slices.Index(all[0], column)]
		if want := strings.ReplaceAll("'"+text, "\r\n", "\n"); got != want {
			t.Errorf("%q came as %q", text, got)
		}
	}
	for _, text := range []string{"a=1", "1-1", "x@y.z", " =1", "'=1", "a\nb", "a\"b", "a,b", "ü"} {
		w := &writer{}
		e := w.encoder(t, export.FormatCSV)
		x := event(1)
		x.Personal.Email = text
		if err := e.Append(&x); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if all := rows(t, w.data.Bytes()); all[1][slices.Index(all[0], column)] != text {
			t.Errorf("%q came as %q", text, all[1][slices.Index(all[0], column)])
		}
	}
}

func TestWhatIsNoTextDoesNotBreakAFile(t *testing.T) {
	for _, f := range []export.Format{export.FormatCSV, export.FormatParquet} {
		w := &writer{}
		e := w.encoder(t, f)
		x := event(1)
		x.Personal = audit.Personal{Email: "a\x00b", UserAgent: "\xff\xfe", DisplayName: strings.Repeat("ä\"", 1<<20)}
		if err := e.Append(&x); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if f == export.FormatCSV {
			all := rows(t, w.data.Bytes())
			if got := all[1][slices.Index(all[0], "email")]; got != "a\uFFFDb" {
				t.Errorf("%q", got)
			}
		}
	}
}

func TestJSONLinesAreEventsAsTheAPIShowsThem(t *testing.T) {
	lines := bytes.Split(bytes.TrimSuffix(whole(t, export.FormatJSONL, 3), []byte("\n")), []byte("\n"))
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, lines[1]); err != nil || !bytes.Equal(compact.Bytes(), lines[1]) {
		t.Errorf("white space that varies: %s", lines[1])
	}
	var got posternv1.Event
	if err := protojson.Unmarshal(lines[1], &got); err != nil {
		t.Fatal(err)
	}
	want := event(2)
	if !proto.Equal(&got, codec.ToProto(&want)) {
		t.Errorf("%v", &got)
	}
}

func TestParquetReadsBackWithTypesAndInOrder(t *testing.T) {
	const n = 25_003
	b := whole(t, export.FormatParquet, n)
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range f.Root().Columns() {
		names = append(names, c.Name())
	}
	var want []string
	for _, c := range format.Columns() {
		want = append(want, c.Name)
	}
	if !slices.Equal(names, want) || f.NumRows() != n || len(f.RowGroups()) != 3 {
		t.Fatalf("%d rows in %d groups, columns %v", f.NumRows(), len(f.RowGroups()), names)
	}
	type row struct {
		Sequence int64     `parquet:"sequence"`
		Time     time.Time `parquet:"time,timestamp(microsecond)"`
		Email    string    `parquet:"email"`
		Counts   *bool     `parquet:"counts"`
		Steps    string    `parquet:"steps"`
		Reason   *string   `parquet:"would_be_verdict"`
	}
	r := parquet.NewGenericReader[row](bytes.NewReader(b))
	defer func() { _ = r.Close() }()
	got := make([]row, n+1)
	count, _ := r.Read(got)
	if count != n {
		t.Fatalf("%d rows", count)
	}
	for i := range got[:n] {
		e := event(i + 1)
		if g := &got[i]; g.Sequence != int64(i+1) || g.Email != e.Personal.Email || !g.Time.Equal(e.Time) || g.Counts == nil || !*g.Counts || g.Reason != nil ||
			g.Steps != "1 sign_in.started\n2 password.rejected BAD_CREDENTIALS" {
			t.Fatalf("row %d: %+v", i, g)
		}
	}
}

func TestAParquetFileWithoutEventsCanBeRead(t *testing.T) {
	b := whole(t, export.FormatParquet, 0)
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil || f.NumRows() != 0 {
		t.Errorf("%v", err)
	}
}

func TestWhatWasKeptOfAParquetFileAndIsDamagedIsRefused(t *testing.T) {
	for _, kept := range [][]byte{{1}, {200, 1, 2}, bytes.Repeat([]byte{0xff}, 20)} {
		if _, err := format.New(export.FormatParquet, &bytes.Buffer{}, 10, kept, nil); err == nil {
			t.Errorf("%v was taken", kept)
		}
	}
}
