package authflow

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// find walks a value, unexported fields and all, and returns where one of the needles is.
func find(v reflect.Value, path string, needles []string, seen map[uintptr]bool) string {
	switch v.Kind() { //nolint:exhaustive // the rest holds no text
	case reflect.String:
		return holds([]byte(v.String()), path, needles)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && seen[v.Pointer()] {
			return ""
		}
		if v.Kind() == reflect.Pointer {
			seen[v.Pointer()] = true
		}
		return find(v.Elem(), path, needles, seen)
	case reflect.Struct:
		for i := range v.NumField() {
			if at := find(v.Field(i), path+"."+v.Type().Field(i).Name, needles, seen); at != "" {
				return at
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			return holds(b, path, needles)
		}
		for i := range v.Len() {
			if at := find(v.Index(i), fmt.Sprintf("%s[%d]", path, i), needles, seen); at != "" {
				return at
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if at := find(it.Key(), path+"[key]", needles, seen) + find(it.Value(), path+"[…]", needles, seen); at != "" {
				return at
			}
		}
	}
	return ""
}

func holds(b []byte, path string, needles []string) string {
	for _, n := range needles {
		if bytes.Contains(b, []byte(n)) {
			return path + " holds " + n
		}
	}
	return ""
}

func TestNoSecretIsLeftAnywhere(t *testing.T) {
	var log bytes.Buffer
	c := newClinic(t, strictMFA)
	c.flows.c.Log = slog.New(slog.NewTextHandler(&log, nil))
	flow := c.bound(alice)
	enrol := c.enrolIn(flow)
	e, err := c.auth.Enrol(t.Context(), caller, enrol)
	if err != nil {
		t.Fatal(err)
	}
	key := e.HandOut.Secret
	raw := string(scramble(c.store.subjects[c.key(alice)].Authenticator.Pending.Sealed))
	needles := []string{key, raw, handle, imported}
	var failed []error
	note := func(code string, err error) {
		if code != "" {
			needles = append(needles, code)
		}
		failed = append(failed, err)
	}
	confirm := func(request, code string) {
		_, err := c.auth.Confirm(t.Context(), caller, ConfirmInput{Organization: "acme", RequestID: request, Subject: e.Subject, Code: code})
		note(code, err)
	}
	confirm("c1", "9137462")
	confirm("c2", "9 9 9 9 9")
	confirm("c3", codeAt(t, key, c.clock()))
	codes, err := c.auth.GenerateRecoveryCodes(t.Context(), caller, RecoveryCodesInput{Organization: "acme", RequestID: "g", Subject: e.Subject, Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes.Codes {
		needles = append(needles, code, strings.ReplaceAll(code, "-", ""))
	}
	recover := func(request, code string) {
		_, err := c.flows.VerifyRecoveryCode(t.Context(), caller, RecoveryInput{Organization: "acme", Flow: flow, RequestID: request, Code: code})
		note("", err)
	}
	recover("r1", codes.Codes[0])
	recover("r2", codes.Codes[0])
	recover("r3", "not a code at all")
	for i, code := range []string{codeAt(t, key, c.clock()), "8812345", "77 88 99 1"} {
		_, err := c.totp(flow, fmt.Sprint("t", i), code)
		note(code, err)
	}
	_, err = c.totp(flowID(t, 77), "t9", "5512345")
	note("5512345", err)
	c.opened(alice, handle, KindOfToken)
	c.access(c.flows, KindOfToken, handle, "192.0.2.1")
	c.access(c.flows, KindOfSession, handle)
	c.step(c.start("reuse").Flow, "r", reuses(alice, handle, noon))
	_, err = c.auth.Import(t.Context(), caller, ImportInput{Organization: "acme", RequestID: "i", Reason: "x", Rows: []ImportRow{
		{AccountID: "acct-1", Secret: imported}, {AccountID: "acct-2", Secret: imported + "!"}}})
	failed = append(failed, err)
	NewUseFolder(c.flows).write(t.Context(), true)

	for what, v := range map[string]any{"flows": c.store.flows, "once": c.store.once, "sessions": c.store.sessions, "subjects": c.store.subjects,
		"claims": c.store.claims, "outbox": c.store.outbox, "cache": c.flows.known, "access": c.flows.access, "uses": c.flows.uses} {
		if at := find(reflect.ValueOf(v), what, needles, map[uintptr]bool{}); at != "" {
			t.Error(at)
		}
	}
	for _, err := range failed {
		if err != nil && holds([]byte(err.Error()+fmt.Sprintf("%+v", err)), "an error", needles) != "" {
			t.Errorf("%v", err)
		}
	}
	printed := fmt.Sprintf("%v %+v %#v %s", e.HandOut, e, e.HandOut, e.HandOut)
	if at := holds([]byte(printed), "print", needles); at != "" {
		t.Error(at)
	}
	if at := holds(log.Bytes(), "the log", needles); at != "" {
		t.Error(at)
	}
	if len(c.store.outbox) < 15 || c.last(flow).Type == audit.TypeSignInStarted {
		t.Fatalf("%d events: too little happened", len(c.store.outbox))
	}
}
