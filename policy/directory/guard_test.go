package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

const open = "organization: acme\nsites: [{id: wiki}, {id: shop}]\nconnections: [{id: okta, kind: sso, protocol: oidc}]\n" +
	"policy: {rules: [{id: guests, demands: {sso: okta, evidence: asserted}}]}\n"

func (w *world) etag() string {
	w.t.Helper()
	uid, err := w.directory.Resolve(w.t.Context(), "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := w.directory.Organization(w.t.Context(), uid)
	if err != nil {
		w.t.Fatal(err)
	}
	return policypb.Etag(o.Stamp)
}

func TestAChangeThatLocksEverybodyOutIsRefusedUnlessForced(t *testing.T) {
	for name, c := range map[string]struct{ document, noted string }{
		"the default":       {"organization: acme\npolicy: {rules: [], default: {block: true}}", "wiki, shop"},
		"a rule":            {"organization: acme\npolicy: {rules: [{id: no, match: {sites: [shop]}, demands: {block: true}}]}", "shop"},
		"a rule to come":    {"organization: acme\npolicy: {rules: [{id: no, match: {sites: [shop]}, demands: {block: true}, enforce_from: 2199-01-01T00:00:00Z}]}", "shop from 2199-01-01T00:00:00Z on"},
		"a stop":            {"organization: acme\npolicy: {stops: {external: true}}", "wiki, shop"},
		"a connection":      {"organization: acme\nconnections: [{id: okta, kind: sso, protocol: oidc, disabled: true}]", "wiki, shop"},
		"stronger evidence": {"organization: acme\npolicy: {rules: [{id: guests, demands: {sso: okta}}]}", "wiki, shop"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.must(directory.ApplyInput{Document: []byte(open)})
			before := len(w.events(first.Organization.UID))
			in := directory.ApplyInput{Document: []byte(c.document), Etag: w.etag(), RequestID: "r-1"}
			for _, validate := range []bool{true, false} {
				in.ValidateOnly = validate
				_, err := w.apply(in)
				if !errs.Is(err, directory.ReasonLockOut) || errs.KindOf(err) != errs.FailedPrecondition || !strings.Contains(errs.As(err).Public, "at site ") {
					t.Fatalf("validate only %t: %v", validate, err)
				}
			}
			if got := w.etag(); got != in.Etag || len(w.events(first.Organization.UID)) != before {
				t.Fatal("a refused change was written")
			}
			in.Force, in.RequestID = true, "r-2"
			forced := w.must(in)
			if again := w.must(in); cmp.Diff(forced.Commits, again.Commits) != "" || len(again.Warnings) == 0 {
				t.Errorf("repeated: %+v", again)
			}
			events := w.events(first.Organization.UID)
			last := events[len(events)-1]
			i := slices.IndexFunc(last.Changes, func(c audit.Change) bool { return c.Field == "lock_out" })
			if i < 0 || last.Changes[i].After != "forced: every external user is denied at "+c.noted {
				t.Errorf("the event does not say so: %+v", last)
			}
			if !slices.ContainsFunc(codes(forced), func(s string) bool { return s == policy.CodeSiteClosed }) {
				t.Errorf("no warning: %v", forced.Warnings)
			}
		})
	}
}

func codes(r directory.ApplyResult) (all []string) {
	for _, p := range r.Warnings {
		all = append(all, p.Code)
	}
	return all
}

func TestWhatLocksNobodyOutNeedsNoForce(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki}]\npolicy: {default: {block: true}}")}) // nobody was in
	for _, document := range []string{
		"organization: acme\ndisplay_name: Closed as before",
		"organization: acme\npolicy: {stops: {external: true}}",
		"organization: acme\nsites: [{id: wiki}, {id: more}]",
		"organization: acme\nsites: [{id: wiki}, {id: more}]\npolicy: {default: {}, stops: {}}",
		"organization: acme\nsites: [{id: wiki, disabled: true}, {id: more}]",
		"organization: acme\nsites: [{id: wiki, disabled: true}, {id: more}]\npolicy: {rules: [{id: no, match: {sites: [wiki]}, demands: {block: true}}]}",
		"organization: acme\npolicy: {rules: [{id: partner, match: {domains: [partner-x.com]}}], default: {block: true}}",
		"organization: acme\npolicy: {rules: [{id: no, mode: report_only, demands: {block: true}}], default: {}}",
		"organization: acme\ndisabled: true",
		"organization: acme\npolicy: {rules: [], default: {block: true}}",
	} {
		r := w.must(directory.ApplyInput{Document: []byte(document), Etag: w.etag()})
		for _, e := range w.events(r.Organization.UID) {
			if slices.ContainsFunc(e.Changes, func(c audit.Change) bool { return c.Field == "lock_out" }) {
				t.Errorf("%s: noted as forced", document)
			}
		}
	}
}

func TestForceThatWasNotNeededIsNotNoted(t *testing.T) {
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Document: []byte(open), Force: true})
	for _, e := range w.events(r.Organization.UID) {
		if slices.ContainsFunc(e.Changes, func(c audit.Change) bool { return c.Field == "lock_out" }) {
			t.Errorf("%+v", e)
		}
	}
	in := directory.ApplyInput{Document: []byte(open), Etag: w.etag(), RequestID: "r"}
	w.must(in)
	in.Force = true
	if _, err := w.apply(in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another request under the same id: %v", err)
	}
}

func TestWarningsComeWithTheAnswerEachTime(t *testing.T) {
	w := newWorld(t)
	in := directory.ApplyInput{RequestID: "r", Document: []byte("organization: acme\nsites: [{id: wiki}]\npolicy:\n  rules:\n    - id: all\n    - id: late\n")}
	for _, r := range []directory.ApplyResult{w.must(directory.ApplyInput{Document: in.Document, ValidateOnly: true}), w.must(in), w.must(in)} {
		if len(r.Warnings) != 1 || r.Warnings[0].Code != policy.CodeRuleUnreachable || r.Warnings[0].Rule != "late" || r.Warnings[0].Line != 6 {
			t.Errorf("%+v", r.Warnings)
		}
	}
}

func TestAPlanIsToldObjectByObject(t *testing.T) {
	told := func(r directory.ApplyResult) (all []string) {
		for _, c := range r.Changes {
			s := fmt.Sprintf("%s %s %s %d %v", c.Type, c.Target.Type, c.Target.ID, c.Target.Count, c.Names)
			for _, f := range c.Changes {
				s += fmt.Sprintf(" %s:%s>%s", f.Field, f.Before, f.After)
			}
			all = append(all, s)
		}
		return all
	}
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Document: []byte(acme), ValidateOnly: true})
	if len(r.Changes) == 0 || r.Changes[0].Type != audit.TypeOrganizationCreated || r.Changes[0].Target.UID != "" {
		t.Errorf("%v", told(r))
	}
	w.must(directory.ApplyInput{Document: []byte(acme)})
	if r := w.must(directory.ApplyInput{Document: []byte(acme), Etag: w.etag(), ValidateOnly: true}); len(r.Changes) != 0 {
		t.Errorf("%v", told(r))
	}
	next := "organization: acme\ndisplay_name: Other\ndomains: [acme-corp.com, more-x.com]\nclaims: {addresses: [new@gmail.com]}"
	got := told(w.must(directory.ApplyInput{Document: []byte(next), Etag: w.etag(), ValidateOnly: true}))
	if d := cmp.Diff([]string{
		"domain.verified domain  1 [more-x.com]", "account.claimed account  1 [new@gmail.com]",
		"organization.updated organization acme 0 [] display_name:Acme>Other", "domain.removed domain  1 [acme-labs.net and subdomains]",
	}, got); d != "" {
		t.Error(d)
	}
}
