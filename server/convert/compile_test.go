package convert

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestARequestFieldWithoutABoundDoesNotStart(t *testing.T) {
	for name := range Bounds() {
		b := Bounds()
		delete(b, name)
		if _, err := compile(b, Requests()); err == nil || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("without a bound for %s: %v", name, err)
		}
	}
}

func TestABoundThatDoesNotFitItsFieldDoesNotStart(t *testing.T) {
	for name, wrong := range map[string]Bound{
		"StartFlowRequest.parent": flag(), "StartFlowRequest.steps": message(), "StartFlowRequest.lifetime": moment(),
		"Subject.kind": count(), "Subject.email": {}, "StepReport.amr": text(5),
	} {
		b := Bounds()
		b[protoreflect.FullName("postern.v1."+name)] = wrong
		if _, err := compile(b, Requests()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with a wrong bound for %s: %v", name, err)
		}
	}
}

func TestABoundOfNoFieldDoesNotStart(t *testing.T) {
	b := Bounds()
	b["postern.v1.StartFlowRequest.no_such_field"] = text(1)
	if _, err := compile(b, Requests()); err == nil {
		t.Error("a bound of no field was taken")
	}
}

func TestAMessageWithoutAPlanIsRefused(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if c.Check(&posternv1.FlowAnswer{}) == nil {
		t.Error("a message without bounds was taken")
	}
}

func TestValuesAtTheirBoundPass(t *testing.T) {
	for name, b := range map[string]Bound{"text": text(10), "request id": requestID(), "upper": upper(), "lower": lower(64, "."), "token": opaque()} {
		value := strings.Repeat("a", b.max)
		if name == "upper" {
			value = strings.ToUpper(value)
		}
		if what := b.refuseText(value); what != "" {
			t.Errorf("%s at its bound: %s", name, what)
		}
		if what := b.refuseText(value + "a"); what == "" {
			t.Errorf("%s beyond its bound passes", name)
		}
	}
	if b := span(time.Second, time.Hour); b.shortest != time.Second || b.longest != time.Hour {
		t.Error("a span lost its ends")
	}
}

func TestTextWithLettersOutsideASCIIPasses(t *testing.T) {
	b := text(64)
	for _, s := range []string{"Jürgen", "李", "a b", "é", "😀"} {
		if what := b.refuseText(s); what != "" {
			t.Errorf("%q: %s", s, what)
		}
	}
}

func TestOnlyLinesTakeLineBreaks(t *testing.T) {
	one, many := text(64), lines(64)
	if one.refuseText("a\nb") == "" || many.refuseText("a\n\tb\r\n") != "" || many.refuseText("a\x00") == "" || many.refuseText("\u0085") == "" {
		t.Error("line breaks pass where they must not, or not where they must")
	}
}
