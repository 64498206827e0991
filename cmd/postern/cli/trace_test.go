package cli

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestWhatWasOnlyTypedLeadsNowhereElse(t *testing.T) {
	yes, no := true, false
	proven := func(email, account string, verified *bool) *posternv1.Flow {
		return &posternv1.Flow{Personal: &posternv1.Personal{Email: email, AccountId: account, EmailVerified: verified}}
	}
	tr := &tracer{emails: []string{"mia@guest.org"}, flows: map[string]*posternv1.Flow{
		"hers":       proven("Mia@guest.org", "acct-mia", &yes),
		"another's":  proven("bob@guest.org", "acct-bob", &yes), // who typed mia's address
		"not proven": proven("mia@guest.org", "acct-eve", &no),
		"nobody's":   {},
	}}
	tr.learn()
	if !slices.Equal(tr.accounts, []string{"acct-mia"}) || !slices.Equal(tr.emails, []string{"mia@guest.org"}) {
		t.Errorf("known as %v and %v", tr.emails, tr.accounts)
	}
	tr.flows["later"] = proven("mia@new.org", "acct-mia", &yes)
	tr.learn()
	if !slices.Equal(tr.emails, []string{"mia@guest.org", "mia@new.org"}) {
		t.Errorf("known as %v", tr.emails)
	}
}

func TestChangesThatBearOnThePersonAreTold(t *testing.T) {
	tr := &tracer{site: "wiki", emails: []string{"mia@lab.guest.org"}, accounts: []string{"acct-mia"}}
	event := func(kind, site, target string, items ...string) *posternv1.Event {
		return &posternv1.Event{Type: kind, Site: site, Target: &posternv1.Target{Id: target}, Personal: &posternv1.Personal{Items: items}}
	}
	for _, c := range []struct {
		event *posternv1.Event
		bears bool
	}{
		{event("policy.updated", "", ""), true},
		{event("organization.updated", "", "acme"), true},
		{event("connection.updated", "", "okta"), true},
		{event("site.updated", "wiki", "wiki"), true},
		{event("site.updated", "", "wiki"), true},
		{event("site.updated", "tracker", "tracker"), false},
		{event("domain.verified", "", "", "guest.org"), true},
		{event("domain.verified", "", "", "lab.guest.org"), true},
		{event("domain.verified", "", "", "other.org", "b.guest.org"), false},
		{event("domain.verified", "", "", "notguest.org"), false},
		{event("domain.verified", "", ""), false},
		{event("account.claimed", "", "", "acct-mia"), true},
		{event("account.claimed", "", "", "acct-bob"), false},
	} {
		if got := tr.bears(c.event); got != c.bears {
			t.Errorf("%v bears: %t", c.event, got)
		}
	}
}

func TestAStoryIsInTheOrderInWhichItHappened(t *testing.T) {
	at := func(minute int) *timestamppb.Timestamp {
		return timestamppb.New(time.Date(2026, 3, 29, 10, minute, 0, 0, time.UTC))
	}
	tr := &tracer{
		flows: map[string]*posternv1.Flow{"f": {Id: "f", StartTime: at(5)}},
		events: map[string]*posternv1.Event{
			"step":    {Type: "password.verified", Flow: "f", Step: 2, Time: at(6)}, // stands in its sign-in
			"session": {Type: "session.started", Flow: "f", Time: at(7), Sequence: 9},
			"policy":  {Type: "policy.updated", Time: at(1)},
			"reset":   {Type: "authenticator.reset", Time: at(7), Sequence: 8},
		},
	}
	var got []string
	for _, e := range tr.story() {
		got = append(got, e.kind+" "+e.event.GetType())
	}
	if want := []string{"change policy.updated", "flow ", "event authenticator.reset", "event session.started"}; !slices.Equal(got, want) {
		t.Errorf("told as %q", got)
	}
}
