package codec_test

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestEveryFieldSurvivesTheRecord(t *testing.T) {
	c, _ := newCodec(t)
	e := full(t)
	e.Sealed, e.Indexes = nil, nil
	b, err := c.Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Personal, audit.Personal{}) || got.Sealed == nil || len(got.Indexes) == 0 {
		t.Fatalf("decoding must not open: %+v", got)
	}
	if err := c.Open(&got); err != nil {
		t.Fatal(err)
	}
	want := e
	for _, x := range e.Sought { // becomes one of the others
		if !slices.ContainsFunc(got.Indexes, func(y audit.Index) bool { return x.Purpose == y.Purpose && bytes.Equal(x.Value, y.Value) }) {
			t.Errorf("%v is not among the indexes", x)
		}
	}
	want.Sealed, want.Indexes, want.Sought = got.Sealed, got.Indexes, nil
	// What Redis, the archive and readers give is not in the record.
	want.RecordedTime, want.Sequence, want.Forked, want.PersonalState = got.RecordedTime, 0, false, ""
	if !got.RecordedTime.IsZero() {
		t.Error("the record must not hold a recorded time")
	}
	same(t, got, want)
}

func TestEveryFieldSurvivesThePublicForm(t *testing.T) {
	e := full(t)
	got, err := codec.FromProto(codec.ToProto(&e))
	if err != nil {
		t.Fatal(err)
	}
	want := e
	want.Sealed, want.Indexes, want.Sought, want.Directory, want.Named = nil, nil, nil, nil, false // never public
	same(t, got, want)
	// Each field alone, so that no field hides behind another one.
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() {
			continue
		}
		var one audit.Event
		reflect.ValueOf(&one).Elem().Field(i).Set(v.Field(i))
		got, err := codec.FromProto(codec.ToProto(&one))
		if err != nil || !reflect.DeepEqual(got, one) {
			t.Errorf("%s alone: got %+v, %v", name, got, err)
		}
	}
}

func TestEveryPublicFieldIsFilled(t *testing.T) {
	e := full(t)
	m := codec.ToProto(&e).ProtoReflect()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); !m.Has(f) {
			t.Errorf("postern.v1.Event.%s is never set", f.Name())
		}
	}
}

func same(t *testing.T, got, want audit.Event) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s: got %+v, want %+v", g.Type().Field(i).Name, g.Field(i).Interface(), w.Field(i).Interface())
		}
	}
}

func TestAnEmptyEventSurvives(t *testing.T) {
	c, _ := newCodec(t)
	e := audit.Event{ID: "x", Type: audit.TypePolicyUpdated, OrganizationUID: "01900000-0000-7000-8000-0000000000ff"}
	b, err := c.Encode(&e) // about nobody: needs no key
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(b)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.Open(&got); err != nil || got.PersonalState != "" {
		t.Errorf("nothing to open: %q, %v", got.PersonalState, err)
	}
}

func TestASealedEventIsEncodedAsItIs(t *testing.T) {
	c, _ := newCodec(t)
	e := step()
	if err := c.SealEvent(&e); err != nil {
		t.Fatal(err)
	}
	first, err := c.Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SealEvent(&e); err != nil {
		t.Fatal(err)
	}
	decoded, err := c.Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	for name, each := range map[string]*audit.Event{"the same event": &e, "the decoded event": &decoded} {
		again, err := c.Encode(each)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s has another record: %v", name, err)
		}
	}
	plain := step()
	a, errA := c.Encode(&plain)
	b, errB := c.Encode(&plain)
	if errA != nil || errB != nil || bytes.Equal(a, b) || plain.Sealed != nil {
		t.Errorf("encoding alone must seal anew and leave the event alone: %v %v", errA, errB)
	}
}

func TestNothingPersonalStandsInTheClear(t *testing.T) {
	c, _ := newCodec(t)
	e := full(t)
	e.Sealed, e.Indexes = nil, nil
	b, err := c.Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	var look func(v reflect.Value)
	look = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			looked++
			if bytes.Contains(b, []byte(v.String())) || bytes.Contains(b, []byte(strings.ToLower(v.String()))) {
				t.Errorf("%q stands in the record", v.String())
			}
		case reflect.Slice:
			for i := range v.Len() {
				look(v.Index(i))
			}
		default:
		}
	}
	p := reflect.ValueOf(e.Personal)
	for i := range p.NumField() {
		look(p.Field(i))
	}
	if looked < 17 {
		t.Errorf("looked for %d texts only", looked)
	}
	if !bytes.Contains(b, []byte(e.Caller)) {
		t.Error("what is not personal must be readable, or this test finds nothing")
	}
}

func TestEveryPersonalFieldAloneIsSealed(t *testing.T) {
	c, _ := newCodec(t)
	v := reflect.ValueOf(full(t).Personal)
	for i := range v.NumField() {
		e := audit.Event{ID: "x", OrganizationUID: organization}
		reflect.ValueOf(&e.Personal).Elem().Field(i).Set(v.Field(i))
		want := e.Personal
		if err := c.SealEvent(&e); err != nil || e.Sealed == nil {
			t.Errorf("%s alone: not sealed, %v", v.Type().Field(i).Name, err)
			continue
		}
		e.Personal = audit.Personal{}
		if err := c.Open(&e); err != nil || !reflect.DeepEqual(e.Personal, want) {
			t.Errorf("%s alone: opened %+v, %v", v.Type().Field(i).Name, e.Personal, err)
		}
	}
}

func TestOpenSaysWhatItCannotShow(t *testing.T) {
	c, _ := newCodec(t)
	stranger, _ := newCodec(t)
	e := step()
	if err := c.SealEvent(&e); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct {
		codec  *codec.Codec
		change func(*audit.Event)
		want   string
	}{
		"erased":                     {c, func(e *audit.Event) { e.Sealed = &audit.Sealed{Digest: e.Sealed.Digest} }, codec.StateErased},
		"moved to another event":     {c, func(e *audit.Event) { e.ID = "01900000-0000-7000-8000-0000000000ee" }, codec.StateUnreadable},
		"sealed with another key":    {stranger, func(*audit.Event) {}, codec.StateUnreadable},
		"of an unknown organization": {c, func(e *audit.Event) { e.OrganizationUID = "x" }, codec.StateUnreadable},
	} {
		one := e
		one.Personal = audit.Personal{}
		try.change(&one)
		if err := try.codec.Open(&one); err != nil || one.PersonalState != try.want || !reflect.DeepEqual(one.Personal, audit.Personal{}) {
			t.Errorf("%s: state %q, %+v, %v", name, one.PersonalState, one.Personal, err)
		}
	}
}

func TestDecodeRefusesWhatIsNoRecord(t *testing.T) {
	c, _ := newCodec(t)
	record := func(r *storev1.EventRecord) []byte {
		b, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{codec.Format}, b...)
	}
	for name, try := range map[string]struct {
		in     []byte
		reason string
	}{
		"nothing":        {nil, "RECORD_MALFORMED"},
		"format 0":       {[]byte{0, 1, 2}, "RECORD_MALFORMED"},
		"a newer format": {[]byte{codec.Format + 1}, "RECORD_FORMAT_NEWER"},
		"no event":       {[]byte{codec.Format}, "RECORD_MALFORMED"},
		"no protobuf":    {[]byte{codec.Format, 0xff, 0xff}, "RECORD_MALFORMED"},
		"a time no clock shows": {record(&storev1.EventRecord{Event: &posternv1.Event{
			Time: &timestamppb.Timestamp{Nanos: -1}}}), "RECORD_MALFORMED"},
		"a duration out of range": {record(&storev1.EventRecord{Event: &posternv1.Event{Decision: &posternv1.Decision{
			Demands: []*posternv1.Demand{{MaxAge: &durationpb.Duration{Seconds: 1 << 60}}}}}}), "RECORD_MALFORMED"},
	} {
		if _, err := c.Decode(try.in); !errs.Is(err, try.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTextThatIsNotUTF8IsRefusedWithoutShowingIt(t *testing.T) {
	c, _ := newCodec(t)
	for name, change := range map[string]func(*audit.Event){
		"clear":    func(e *audit.Event) { e.CorrelationID = "canary\xff" },
		"personal": func(e *audit.Event) { e.Personal.UserAgent = "canary\xff" },
	} {
		e := step()
		change(&e)
		if _, err := c.Encode(&e); !errs.Is(err, "RECORD_TEXT") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	c, _ := newCodec(f)
	e := step()
	good, err := c.Encode(&e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{codec.Format})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := c.Decode(b)
		if err != nil {
			return
		}
		if err := c.Open(&e); err != nil {
			t.Fatalf("Open must not fail: %v", err)
		}
		if e.Sealed == nil && len(e.Indexes) == 0 && e.IdentifierHash != "" {
			return // needs a key to index, which a hostile record may not have
		}
		again, err := c.Encode(&e)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second, err := c.Decode(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		second.Personal, second.PersonalState = e.Personal, e.PersonalState
		if !reflect.DeepEqual(e, second) {
			t.Fatalf("read %+v, then %+v", e, second)
		}
	})
}
