package codec_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestTheWrittenPersonalPartAndDecisionAreWhatTheGeneratedCodeReads(t *testing.T) {
	all := full(t)
	for name, e := range map[string]audit.Event{"full": all, "step": step(), "empty": {}} {
		b, err := codec.MarshalPersonal(&e.Personal)
		if err != nil {
			t.Fatal(err)
		}
		var personal posternv1.Personal
		if err := proto.Unmarshal(b, &personal); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := codec.PersonalToProto(&e.Personal)
		if want == nil {
			want = &posternv1.Personal{}
		}
		if !proto.Equal(&personal, want) {
			t.Errorf("%s: wrote\n%v\nwant\n%v", name, &personal, want)
		}
		b, err = codec.AppendDecision([]byte{}, 30, e.Decision)
		if err != nil {
			t.Fatal(err)
		}
		var event posternv1.Event
		if err := proto.Unmarshal(b, &event); err != nil || !proto.Equal(event.GetDecision(), codec.DecisionToProto(e.Decision)) {
			t.Errorf("%s: wrote %v, %v", name, event.GetDecision(), err)
		}
	}
	if n := (&posternv1.Personal{}).ProtoReflect().Descriptor().Fields().Len(); n != 17 {
		t.Errorf("postern.v1.Personal has %d fields: teach wire.go the new one, then this number", n)
	}
	bad := "\xff"
	if _, err := codec.MarshalPersonal(&audit.Personal{UserAgent: bad}); !errs.Is(err, "RECORD_TEXT") {
		t.Errorf("a personal part that is not UTF-8: %v", err)
	}
	if _, err := codec.AppendDecision(nil, 1, &audit.Decision{Rule: bad}); !errs.Is(err, "RECORD_TEXT") {
		t.Errorf("a decision that is not UTF-8: %v", err)
	}
}

// TestTheWrittenRecordIsWhatTheGeneratedCodeWouldWrite reads what is written by hand with the generated code, and compares.
func TestTheWrittenRecordIsWhatTheGeneratedCodeWouldWrite(t *testing.T) {
	c, _ := newCodec(t)
	all := full(t)
	odd := audit.Event{
		ID: "odd", Step: -3, Time: time.Unix(-5, 7).UTC(), Checks: []string{"", "x", ""}, Target: &audit.Target{}, Denial: &audit.Denial{},
		Decision: &audit.Decision{Demands: []audit.Demand{{}, {MetByProof: &audit.ProofRef{}}, {MaxAge: -1500 * time.Millisecond}}, Conditions: []audit.Condition{{}}, WouldBe: &audit.WouldBe{}},
		Steps:    []audit.StepSummary{{}, {Step: 1 << 20}}, Changes: []audit.Change{{}}, Tally: map[string]int64{"": 0, "a": 1 << 62, "b": -1},
		Enrolment: &audit.Enrolment{}, Uses: -1, Revision: -1, Counts: new(bool), OrganizationUID: organization,
	}
	long := step()
	for len(long.Changes) < 300 { // lengths of one, two and three bytes
		long.Changes = append(long.Changes, audit.Change{Field: "f", Before: string(make([]byte, len(long.Changes)))})
	}
	for name, e := range map[string]audit.Event{"full": all, "step": step(), "empty": {}, "odd": odd, "long": long} {
		e.RecordedTime, e.Sequence, e.Forked, e.PersonalState = time.Time{}, 0, false, ""
		if e.OrganizationUID != "" {
			e.Sealed, e.Indexes = nil, nil
			if err := c.SealEvent(&e); err != nil {
				t.Fatal(err)
			}
		}
		b, err := c.Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		var got storev1.EventRecord
		if err := proto.Unmarshal(b[1:], &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		public := e
		public.Personal = audit.Personal{}
		want := &storev1.EventRecord{Event: codec.ToProto(&public), Personal: codec.SealedToProto(e.Sealed), Indexes: codec.IndexesToProto(e.Indexes),
			Directory: generated(e.Directory), Named: e.Named || e.Personal.AccountID != ""}
		if !proto.Equal(&got, want) {
			t.Errorf("%s: wrote\n%v\nwant\n%v", name, &got, want)
		}
		if unknown := got.GetEvent().ProtoReflect().GetUnknown(); len(unknown) > 0 {
			t.Errorf("%s: fields nobody knows: %x", name, unknown)
		}
	}
	if n := (&posternv1.Event{}).ProtoReflect().Descriptor().Fields().Len(); n != 56 {
		t.Errorf("postern.v1.Event has %d fields: teach wire.go the new one, then this number", n)
	}
}
