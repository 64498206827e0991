package orgevents_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postern-audit/postern/audit"
)

const flowID = "01a1f978-9437-79a1-9c85-dce7e8e2197e"

func TestWhoseDoingItWas(t *testing.T) {
	for _, tt := range []struct {
		name  string
		event audit.Event
		want  string // id, name, email
	}{
		{"a subject with account and address", audit.Event{Type: audit.TypeSignInSucceeded, Flow: flowID, Personal: audit.Personal{AccountID: "acct-1", Email: "mia@partner.com"}},
			"account:acct-1 mia@partner.com mia@partner.com"},
		{"with a name", audit.Event{Type: audit.TypeSignInSucceeded, Flow: flowID, Personal: audit.Personal{AccountID: "acct-1", DisplayName: "Mia"}}, "account:acct-1 Mia "},
		{"an address that was typed", audit.Event{Type: audit.TypeSignInFailed, Flow: flowID, Personal: audit.Personal{TypedAddress: "mia@partner.com"}},
			"email:mia@partner.com mia@partner.com mia@partner.com"},
		{"nobody known", audit.Event{Type: audit.TypeSignInAbandoned, Flow: flowID}, "unknown:" + flowID + " unknown:" + flowID + " "},
		{"an erased one", audit.Event{Type: audit.TypeSignInDenied, Flow: flowID, PersonalState: "ERASED"}, "unknown:" + flowID + " unknown:" + flowID + " "},
		{"a token", audit.Event{Type: audit.TypeTokenBlocked, Session: "ab12"}, "unknown:ab12 unknown:ab12 "},
		{"an administrator", audit.Event{Type: audit.TypePolicyUpdated, Caller: "unix:1000"}, "unix:1000 unix:1000 "},
		{"an administrator in a flow", audit.Event{Type: audit.TypeAuthenticatorEnrolled, Flow: flowID, Caller: "unix:0", Personal: audit.Personal{AccountID: "a"}}, "unix:0 unix:0 "},
		{"the process", audit.Event{Type: audit.TypeUnreadable}, "postern postern "},
		{"nobody who calls", audit.Event{Type: audit.TypeAccessDenied}, "postern postern "},
	} {
		r := newRig(t)
		r.archive.add(uidA, tt.event)
		a := r.list("/acme/events", "steps").Data[0].Attributes.Actor
		if got := a.ID + " " + a.Name + " " + a.Email; got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func TestWhomAnActIsAboutStandsFirstInItsContext(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: audit.TypeAuthenticatorReset, Caller: "unix:0", Reason: "", Target: &audit.Target{Type: "authenticator", ID: "ab12"},
		Personal: audit.Personal{AccountID: "acct-1", Email: "mia@partner.com", Detail: "lost her phone"}})
	row := r.list("/acme/events", "flows").Data[0].Attributes
	first := row.Context[0]
	if first.Type != "users" || first.Attributes["email"] != "mia@partner.com" || first.Attributes["accountId"] != "acct-1" {
		t.Errorf("%+v", first)
	}
	var kinds []string
	for _, c := range row.Context {
		kinds = append(kinds, c.Type+"="+c.ID)
	}
	if got := strings.Join(kinds, " "); got != "users=account:acct-1 authenticator=ab12 details=detail" {
		t.Error(got)
	}
	if len(row.Container) != 1 || row.Container[0].Type != "orgs" || row.Container[0].ID != "acme" {
		t.Errorf("%+v", row.Container)
	}
}

func TestALongListIsCutAndSaysSo(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: audit.TypeAccountClaimed, Personal: audit.Personal{Items: slices.Repeat([]string{"someone"}, 5000)}})
	context := r.list("/acme/events", "flows").Data[0].Attributes.Context
	if len(context) != 101 || context[100].Attributes["count"] != 4900.0 {
		t.Errorf("%d items, last %+v", len(context), context[len(context)-1])
	}
}

func TestALongTextIsCutBetweenCharacters(t *testing.T) {
	r := newRig(t)
	r.archive.add(uidA, audit.Event{Type: audit.TypePolicyUpdated, Changes: []audit.Change{{Field: "rules", Before: "a", After: "x" + strings.Repeat("ü", 5000)}}})
	text, _ := r.list("/acme/events", "flows").Data[0].Attributes.Context[0].Attributes["after"].(string)
	if len(text) > 4100 || !strings.HasSuffix(text, "ü…") || !utf8.ValidString(text) {
		t.Errorf("%d bytes", len(text))
	}
}

func TestTheMessageNamesNobody(t *testing.T) {
	r := newRig(t)
	for _, info := range audit.Types() {
		r.archive.add(uidA, full(info.Type))
	}
	for _, row := range r.list("/acme/events?limit=500", "steps").Data {
		m := row.Message
		if m.Content == "" || m.Format != "simple" || strings.Contains(m.Content, "mia") || strings.Contains(m.Content, "acct") || strings.Contains(m.Content, "192.") {
			t.Errorf("%s: %+v", row.Attributes.Action, m)
		}
	}
}
