package convert_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

func TestEveryListOfAFilterReachesTheQuery(t *testing.T) {
	m := &posternv1.EventMatch{
		Sites: []string{"wiki"}, Emails: []string{"a@partner.com"}, Flows: []string{flowID}, Types: []string{"mfa.*"}, Outcomes: []posternv1.Outcome{1},
		Connections: []string{"okta"}, Networks: []string{"203.0.113.7"}, Reasons: []string{"WRONG_CODE"}, Methods: []string{"magic_link"}, Factors: []string{"TOTP"},
		Classes: []posternv1.Class{posternv1.Class_CLASS_EXTERNAL}, Evidences: []posternv1.Evidence{posternv1.Evidence_EVIDENCE_VERIFIED}, Rules: []string{"guests"},
		TargetTypes: []string{"domain"}, TargetIds: []string{"partner.com"}, SupportCodes: []string{"abcde-12345"}, Callers: []string{"unix:0"},
		EmailDomains: []string{"Bücher.example"}, DisplayNames: []string{" Ada Lovelace "},
	}
	want := audit.Match{
		Sites: m.GetSites(), Flows: m.GetFlows(), SupportCodes: []string{"ABCDE-12345"}, Types: m.GetTypes(), Outcomes: []audit.Outcome{audit.OutcomeInfo},
		Reasons: m.GetReasons(), Methods: m.GetMethods(), Factors: m.GetFactors(), Connections: m.GetConnections(), Classes: []audit.Class{audit.ClassExternal},
		Evidences: []audit.Evidence{audit.EvidenceVerified}, Rules: m.GetRules(), TargetTypes: m.GetTargetTypes(), TargetIDs: m.GetTargetIds(), Callers: m.GetCallers(),
	}
	q, err := convert.Events(&posternv1.EventFilter{Include: m, Exclude: m}, "uid-1", indexer{})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]audit.Match{"include": q.Match, "exclude": q.Exclude} {
		for i, index := range []struct {
			list    []audit.Index
			purpose audit.Purpose
			value   string
		}{
			{got.Subjects, audit.IndexEmail, "uid-1|a@partner.com"}, {got.Domains, audit.IndexEmailDomain, "uid-1|xn--bcher-kva.example"},
			{got.Names, audit.IndexName, "uid-1|ada lovelace"}, {got.Networks, audit.IndexNetwork32, "uid-1|203.0.113.7/32"},
		} {
			if len(index.list) != 1 || index.list[0].Purpose != index.purpose || string(index.list[0].Value) != index.value {
				t.Errorf("%s, index %d: %q", name, i, index.list)
			}
		}
		got.Subjects, got.Domains, got.Names, got.Networks = nil, nil, nil, nil
		if !sameMatch(got, want) {
			t.Errorf("%s: %+v\nwant %+v", name, got, want)
		}
	}
}

func sameMatch(a, b audit.Match) bool {
	return slices.Equal(a.Sites, b.Sites) && slices.Equal(a.Flows, b.Flows) && slices.Equal(a.SupportCodes, b.SupportCodes) && slices.Equal(a.Types, b.Types) &&
		slices.Equal(a.Outcomes, b.Outcomes) && slices.Equal(a.Reasons, b.Reasons) && slices.Equal(a.Methods, b.Methods) && slices.Equal(a.Factors, b.Factors) &&
		slices.Equal(a.Connections, b.Connections) && slices.Equal(a.Classes, b.Classes) && slices.Equal(a.Evidences, b.Evidences) && slices.Equal(a.Rules, b.Rules) &&
		slices.Equal(a.TargetTypes, b.TargetTypes) && slices.Equal(a.TargetIDs, b.TargetIDs) && slices.Equal(a.Callers, b.Callers)
}

func TestWordsAreLookedForUnlessTheyAreAFlow(t *testing.T) {
	for text, want := range map[string]struct {
		words, flows, codes []string
	}{
		"":                      {},
		"  okta \t Wrong ":      {words: []string{"okta", "Wrong"}},
		"okta " + flowID:        {words: []string{"okta"}, flows: []string{flowID}},
		"ABCDE-FGHJK":           {codes: []string{"ABCDE-FGHJK"}},
		"abcde12345":            {codes: []string{"ABCDE-12345"}},
		"department management": {words: []string{"department", "management"}}, // ten letters each that codes are made of
	} {
		q, err := convert.Events(&posternv1.EventFilter{Text: text}, "u", indexer{})
		if err != nil || !slices.Equal(q.Text, want.words) || !slices.Equal(q.Flows, want.flows) || !slices.Equal(q.SupportCodes, want.codes) {
			t.Errorf("%q: words %v, flows %v, codes %v, %v", text, q.Text, q.Flows, q.SupportCodes, err)
		}
	}
	for name, tt := range map[string]struct {
		f      *posternv1.EventFilter
		reason string
	}{
		"six words":             {&posternv1.EventFilter{Text: "a b c d e f"}, "FIELD_INVALID"},
		"two codes":             {&posternv1.EventFilter{Text: "ABCDE-12345 ABCDE-12346"}, "FIELD_UNEXPECTED"},
		"a flow beside a list":  {&posternv1.EventFilter{Text: flowID, Include: &posternv1.EventMatch{Flows: []string{flowID}}}, "FIELD_UNEXPECTED"},
		"a code beside another": {&posternv1.EventFilter{Text: "ABCDE-12345", Include: &posternv1.EventMatch{SupportCodes: []string{"ABCDE-12345"}}}, "FIELD_UNEXPECTED"},
	} {
		_, err := convert.Events(tt.f, "u", indexer{})
		t.Run(name, func(t *testing.T) { refused(t, err, tt.reason, "filter.text") })
	}
}

func TestWhatAFilterCannotMeanIsRefusedWhereItStands(t *testing.T) {
	for field, tt := range map[string]struct {
		m      *posternv1.EventMatch
		reason string
	}{
		"classes":       {&posternv1.EventMatch{Classes: []posternv1.Class{0}}, "FIELD_INVALID"},
		"evidences":     {&posternv1.EventMatch{Evidences: []posternv1.Evidence{0}}, "FIELD_INVALID"},
		"sites":         {&posternv1.EventMatch{Sites: []string{""}}, "FIELD_INVALID"},
		"callers":       {&posternv1.EventMatch{Callers: []string{"unix:0", ""}}, "FIELD_INVALID"},
		"support_codes": {&posternv1.EventMatch{SupportCodes: []string{"x"}}, "SUPPORT_CODE_INVALID"},
		"email_domains": {&posternv1.EventMatch{EmailDomains: []string{"localhost"}}, "DOMAIN_SINGLE_LABEL"},
		"account_ids":   {&posternv1.EventMatch{Emails: []string{"a@partner.com"}, AccountIds: []string{"a"}}, "FIELD_UNEXPECTED"},
	} {
		t.Run(field, func(t *testing.T) {
			_, err := convert.Events(&posternv1.EventFilter{Include: tt.m}, "u", indexer{})
			refused(t, err, tt.reason, "filter.include."+field)
			_, err = convert.Events(&posternv1.EventFilter{Exclude: tt.m}, "u", indexer{})
			refused(t, err, tt.reason, "filter.exclude."+field)
		})
	}
	_, err := convert.Events(&posternv1.EventFilter{SavedFilter: "x"}, "u", indexer{})
	refused(t, err, "FIELD_UNEXPECTED", "filter.saved_filter")
	_, err = convert.Events(&posternv1.EventFilter{Last: durationpb.New(time.Hour)}, "u", indexer{})
	refused(t, err, "FIELD_UNEXPECTED", "filter.last")
	_, err = convert.At(&posternv1.EventFilter{Last: durationpb.New(time.Hour), StartTime: timestamppb.Now()}, time.Now())
	refused(t, err, "FIELD_UNEXPECTED", "filter.last")
}

func TestListsAreBounded(t *testing.T) {
	c := newConverter(t)
	check := func(f *posternv1.EventFilter) error {
		return c.Check(&posternv1.CountEventsRequest{Parent: "organizations/acme", Filter: f})
	}
	refused(t, check(&posternv1.EventFilter{Exclude: &posternv1.EventMatch{Rules: slices.Repeat([]string{"a"}, 51)}}), "FIELD_INVALID", "filter.exclude.rules")
	refused(t, check(&posternv1.EventFilter{Text: strings.Repeat("a", 201)}), "FIELD_INVALID", "filter.text")
	refused(t, check(&posternv1.EventFilter{Last: durationpb.New(time.Millisecond)}), "FIELD_INVALID", "filter.last")
	refused(t, check(&posternv1.EventFilter{Include: &posternv1.EventMatch{Classes: []posternv1.Class{77}}}), "FIELD_INVALID", "filter.include.classes[0]")
}

func TestAFilterStandsInThePlaceOfTheSavedOne(t *testing.T) {
	saved := &posternv1.EventFilter{
		Include: &posternv1.EventMatch{Sites: []string{"wiki"}, Reasons: []string{"WRONG_CODE"}}, Exclude: &posternv1.EventMatch{Sites: []string{"test"}},
		Text: "okta", StartTime: timestamppb.New(time.Unix(5, 0)), EndTime: timestamppb.New(time.Unix(6, 0)), Sandbox: posternv1.EventFilter_SANDBOX_EXCLUDE,
	}
	before := proto.Clone(saved)
	given := &posternv1.EventFilter{
		SavedFilter: "organizations/acme/savedFilters/f", Include: &posternv1.EventMatch{Sites: []string{"chat"}, Methods: []string{"sso"}}, Last: durationpb.New(time.Hour),
	}
	want := &posternv1.EventFilter{
		Include: &posternv1.EventMatch{Sites: []string{"chat"}, Reasons: []string{"WRONG_CODE"}, Methods: []string{"sso"}}, Exclude: saved.GetExclude(),
		Text: "okta", Last: durationpb.New(time.Hour), Sandbox: posternv1.EventFilter_SANDBOX_EXCLUDE,
	}
	if got := convert.WithSaved(saved, given); !proto.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if !proto.Equal(saved, before) || given.GetSavedFilter() == "" {
		t.Errorf("changed what it was given: %v, %v", saved, given)
	}
	if got := convert.WithSaved(saved, &posternv1.EventFilter{SavedFilter: "x"}); !proto.Equal(got, before) {
		t.Errorf("alone: %v", got)
	}
}

func TestTheRecordSaysWhatAFilterSaysButNothingPersonal(t *testing.T) {
	content, err := proto.Marshal(&posternv1.EventFilter{
		Include: &posternv1.EventMatch{
			Emails: []string{"canary@partner.com"}, AccountIds: []string{"canary"}, Networks: []string{"203.0.113.77"}, DisplayNames: []string{"canary", "canary"},
			EmailDomains: []string{"canary.example"}, TargetIds: []string{"canary"}, Types: []string{"mfa.*", "sso.verified"}, Outcomes: []posternv1.Outcome{3},
		},
		Exclude: &posternv1.EventMatch{Sites: []string{"wiki"}, Reasons: slices.Repeat([]string{"A_VERY_LONG_REASON"}, 40)}, Text: "canary", Last: durationpb.New(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := convert.DescribeSaved(content)
	for field, want := range map[string]string{
		"include.emails": "1 value", "include.display_names": "2 values", "include.types": "mfa.*, sso.verified", "include.outcomes": "OUTCOME_FAILURE",
		"exclude.sites": "wiki", "exclude.reasons": "40 values", "text": "given", "last": "1h0m0s",
	} {
		if got[field] != want {
			t.Errorf("%s: %q, want %q", field, got[field], want)
		}
	}
	for field, value := range got {
		if strings.Contains(value, "canary") || strings.Contains(value, "203.0") {
			t.Errorf("%s says %q", field, value)
		}
	}
}
