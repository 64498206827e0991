package authflow

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// fullStart has every field set.
func fullStart(t testing.TB) StartInput {
	yes, claimed, proven := true, true, true // apart, so that each can be changed alone
	sub := Subject{AccountID: "a", Address: address(t, "a@partner.example.com"), EmailVerified: &claimed, Kind: audit.SubjectService, DisplayName: "A"}
	ctx := Context{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "ua", DeviceID: "d", Client: audit.ClientCLI}
	about := sub
	about.EmailVerified = &proven
	return StartInput{Organization: "acme", Site: "portal", RequestID: "r", Subject: sub, Context: ctx, CorrelationID: "c", Lifetime: time.Minute,
		OccurredAt: noon, Finish: &Finish{Action: ActionRefuse, Reason: "NOT_INVITED", Detail: "x", OccurredAt: noon},
		Steps: []StepReport{{Type: audit.TypePasswordVerified, Method: "m", Connection: "c", Factor: "f", Reason: "r", Detail: "d", Subject: about,
			UserVerified: &yes, AuthenticatedAt: noon, Context: &ctx, OccurredAt: noon, AMR: []string{"pwd", "otp"}, ACR: "acr"}}}
}

// leaves calls visit with every field below v, settable, and its path.
func leaves(v reflect.Value, path string, visit func(reflect.Value, string)) {
	switch v.Kind() {
	case reflect.Pointer:
		leaves(v.Elem(), path, visit)
	case reflect.Slice:
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case reflect.Struct:
		switch v.Interface().(type) {
		case time.Time, netip.Addr, policy.Address:
			visit(v, path)
			return
		}
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	default:
		visit(v, path)
	}
}

func TestEveryFieldOfARequestIsInItsCanonicalForm(t *testing.T) {
	base := fullStart(t)
	want := base.canonical()
	var paths []string
	leaves(reflect.ValueOf(&base), "", func(_ reflect.Value, path string) { paths = append(paths, path) })
	if len(paths) < 30 {
		t.Fatalf("only %d fields", len(paths))
	}
	seen := map[string]string{}
	for _, p := range paths {
		if strings.HasSuffix(p, ".RequestID") || strings.HasSuffix(p, ".Identifier") {
			continue // the one is in the commit key; the other is read only without an address
		}
		in := fullStart(t)
		leaves(reflect.ValueOf(&in), "", func(v reflect.Value, path string) {
			if path == p {
				v.SetZero()
			}
		})
		got := in.canonical()
		if bytes.Equal(got, want) {
			t.Errorf("%s is not in the canonical form", p)
		}
		if other, ok := seen[string(got)]; ok {
			t.Errorf("%s and %s left out look alike", p, other)
		}
		seen[string(got)] = p
	}
}

func TestCanonicalFormsTellAlikeRequestsApart(t *testing.T) {
	no := false
	sub := func(f func(*StartInput)) string {
		in := StartInput{Organization: "acme", Site: "portal"}
		f(&in)
		return string(in.canonical())
	}
	forms := map[string]string{
		"nothing":                    sub(func(*StartInput) {}),
		"an address":                 sub(func(in *StartInput) { in.Subject.Address = address(t, "x@partner.example.com") }),
		"the same text as opaque":    sub(func(in *StartInput) { in.Subject.Identifier = "x@partner.example.com" }),
		"not verified, said":         sub(func(in *StartInput) { in.Subject.EmailVerified = &no }),
		"an empty finish":            sub(func(in *StartInput) { in.Finish = &Finish{} }),
		"an empty step":              sub(func(in *StartInput) { in.Steps = []StepReport{{}} }),
		"two empty steps":            sub(func(in *StartInput) { in.Steps = []StepReport{{}, {}} }),
		"a step with no context":     sub(func(in *StartInput) { in.Steps = []StepReport{{Type: "a"}} }),
		"a step with an empty one":   sub(func(in *StartInput) { in.Steps = []StepReport{{Type: "a", Context: &Context{}}} }),
		"amr in one order":           sub(func(in *StartInput) { in.Steps = []StepReport{{AMR: []string{"a", "b"}}} }),
		"amr in the other":           sub(func(in *StartInput) { in.Steps = []StepReport{{AMR: []string{"b", "a"}}} }),
		"amr in one word":            sub(func(in *StartInput) { in.Steps = []StepReport{{AMR: []string{"ab"}}} }),
		"a text in one field":        sub(func(in *StartInput) { in.Context.UserAgent = "u" }),
		"the same text in the next":  sub(func(in *StartInput) { in.Context.DeviceID = "u" }),
		"steps in one order":         sub(func(in *StartInput) { in.Steps = []StepReport{{Type: "a"}, {Type: "b"}} }),
		"steps in the other":         sub(func(in *StartInput) { in.Steps = []StepReport{{Type: "b"}, {Type: "a"}} }),
		"the epoch, which is a time": sub(func(in *StartInput) { in.OccurredAt = time.Unix(0, 0) }),
	}
	names := map[string]string{}
	for name, form := range forms {
		if other, ok := names[form]; ok {
			t.Errorf("%s looks like %s", name, other)
		}
		names[form] = name
	}
	east := time.FixedZone("east", 3600)
	if sub(func(in *StartInput) { in.OccurredAt = noon }) != sub(func(in *StartInput) { in.OccurredAt = noon.In(east) }) {
		t.Error("one moment in two zones looks like two")
	}
}

func TestSupportCodesReadBackInAnyForm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b [10]byte
		copy(b[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(rt, "random"))
		code := FormatSupportCode(b)
		for _, typed := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""),
			strings.NewReplacer("0", "O", "1", "l").Replace(code)} {
			if got, err := ParseSupportCode(typed); err != nil || got != code {
				rt.Fatalf("%q reads as %q, %v", typed, got, err)
			}
		}
	})
	for _, bad := range []string{"", "ABCDE", "ABCDE-FGHJU", "ABCDEF-GHJK", "ABCDE FGHJK", "ABCDE-FGHJKM", "ÄBCDE-FGHJ"} {
		if got, err := ParseSupportCode(bad); err == nil {
			t.Errorf("%q reads as %q", bad, got)
		}
	}
}

func FuzzParseFlowID(f *testing.F) {
	f.Add("01890000-0000-7000-8000-00000000000a")
	f.Add("01890000-0000-4000-8000-00000000000a")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseFlowID(s)
		if err == nil && (id.String() != s || id.IsZero() || len(s) != 36) {
			t.Fatalf("%q reads as %q", s, id)
		}
	})
}

func TestEveryAnswerHasSomethingToShow(t *testing.T) {
	keys := map[string]bool{}
	for _, m := range Messages() {
		if m.Key == "" || m.Text == "" || keys[m.Key] {
			t.Errorf("%+v", m)
		}
		keys[m.Key] = true
	}
	used := map[string]bool{}
	var reasons []string
	for _, info := range audit.Types() {
		for _, r := range info.Reasons {
			reasons = append(reasons, r.Reason)
		}
	}
	slices.Sort(reasons)
	yes := true
	for _, reason := range append(slices.Compact(reasons), "") {
		for ending := audit.EndingNone; ending <= audit.EndingSuperseded; ending++ {
			for verdict := audit.VerdictContinue; verdict <= audit.VerdictDeny; verdict++ {
				for _, o := range []Outcome{
					{Verdict: verdict, Ending: ending, Reason: reason},
					{Verdict: verdict, Ending: ending, Counts: &yes, Decision: audit.Decision{Reason: reason}},
				} {
					m := render(&o, nil)
					if m.Text == "" || !keys[m.Key] {
						t.Fatalf("%+v: %+v", o, m)
					}
					used[m.Key] = true
				}
			}
		}
	}
	used[render(&Outcome{Session: "s"}, nil).Key] = true
	for key := range keys {
		if !used[key] {
			t.Errorf("%s is never shown", key)
		}
	}
}

func TestEveryErrorIsDocumentedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Errors() {
		if e.Description == "" || seen[e.Reason] {
			t.Errorf("%+v", e)
		}
		seen[e.Reason] = true
		if err := refuse(e.Reason); err.Error() == "" {
			t.Errorf("%s has no text", e.Reason)
		}
	}
}

func TestTheCacheKeepsTheNewestAndForgetsTheOldest(t *testing.T) {
	c := newCache(2)
	flow := func(n, stamp int, p Phase) *Loaded {
		return &Loaded{State: &State{ID: flowID(t, n), OrganizationUID: "o", Phase: p}, Stamp: stampOf(byte(stamp))}
	}
	newer := flow(1, 5, PhaseBound)
	c.put(newer)
	c.put(flow(1, 4, PhaseOpen))
	if c.get("o", flowID(t, 1)) != newer {
		t.Fatal("an older state took the place of a newer one")
	}
	if c.get("other", flowID(t, 1)) != nil {
		t.Fatal("another organization's flow was given out")
	}
	c.put(flow(2, 1, PhaseOpen))
	c.get("o", flowID(t, 1))
	c.put(flow(3, 1, PhaseOpen))
	if c.get("o", flowID(t, 2)) != nil || c.get("o", flowID(t, 1)) == nil || c.get("o", flowID(t, 3)) == nil {
		t.Fatal("the flow touched last was forgotten, or the cache has no end")
	}
	c.put(flow(1, 6, PhaseEnded))
	if c.get("o", flowID(t, 1)) != nil {
		t.Fatal("an ended flow is kept")
	}
}
