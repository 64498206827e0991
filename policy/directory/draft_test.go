package directory_test

import (
	"reflect"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/simulate"
)

const drafted = `
organization: acme
sites: [{id: wiki}]
domains: [{domain: acme.com}, {domain: old.com}]
claims: {accounts: [acct-1]}
policy:
  rules: [{id: guests, demands: {mfa: {factors: [TOTP]}}}]
  stops: {domains: [stopped.com]}
`

// draft works out a draft, and fails the test when anything at all was written.
func (w *world) draft(in directory.DraftInput) (simulate.Draft, error) {
	w.t.Helper()
	uid, resolved := w.directory.Resolve(w.t.Context(), "acme")
	before := 0
	if resolved == nil {
		before = len(w.events(uid))
	}
	etag := ""
	if resolved == nil {
		etag = w.etag()
	}
	draft, err := directory.Draft(w.t.Context(), w.deps, in)
	if resolved == nil && (len(w.events(uid)) != before || w.etag() != etag) {
		w.t.Error("a draft was written")
	}
	return draft, err
}

// directoryChanges is how many domains a draft adds and drops, and claims it adds.
func directoryChanges(d simulate.Draft) [3]int {
	return [3]int{len(d.AddDomains), len(d.DropDomains), len(d.AddClaims)}
}

func TestADraftIsWhatAnApplyWouldMakeOfIt(t *testing.T) {
	w := newWorld(t)
	now := w.must(directory.ApplyInput{Document: []byte(drafted), Reason: "begin"}).Organization
	d, err := w.draft(directory.DraftInput{Organization: "acme"})
	if err != nil || d.Now.Stamp != now.Stamp || d.Organization != d.Now || directoryChanges(d) != [3]int{} {
		t.Errorf("without a draft: %+v, %v", d, err)
	}
	d, err = w.draft(directory.DraftInput{Organization: "acme", Policy: []byte("default: {block: true}")})
	got := d.Organization
	if err != nil || len(got.Policy.Rules) != 0 || !got.Policy.Default.Block || len(got.Policy.Stops.Domains) != 0 || len(got.Sites) != 1 || directoryChanges(d) != [3]int{} {
		t.Errorf("a policy: %+v, %v", got, err)
	}
	next := `
organization: acme
domains: [{domain: acme.com, include_subdomains: true}, {domain: new.com}]
claims: {accounts: [acct-1, acct-2], addresses: [pia@partner.com]}
policy: {default: {block: true}}
`
	d, err = w.draft(directory.DraftInput{Organization: "acme", Document: []byte(next)})
	got = d.Organization
	if err != nil || directoryChanges(d) != [3]int{2, 1, 2} || len(got.Policy.Rules) != 1 || !got.Policy.Default.Block || d.Now.Policy.Default.Block {
		t.Errorf("a document: %+v, %v", d, err)
	}
	applied := w.must(directory.ApplyInput{Document: []byte(next), Etag: w.etag(), Reason: "go on", Force: true}).Organization
	if !reflect.DeepEqual(got.Policy.Rules, applied.Policy.Rules) || !reflect.DeepEqual(got.Policy.Default, applied.Policy.Default) {
		t.Errorf("draft %+v, applied %+v", got.Policy, applied.Policy)
	}
}

func TestADraftThatLocksEverybodyOutMayBeTried(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(drafted), Reason: "begin"})
	if d, err := w.draft(directory.DraftInput{Organization: "acme", Policy: []byte("stops: {external: true}")}); err != nil || !d.Organization.Policy.Stops.External {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDraftsThatAreNone(t *testing.T) {
	w := newWorld(t)
	if _, err := w.draft(directory.DraftInput{Organization: "acme"}); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
		t.Errorf("of an organization that is none: %v", err)
	}
	w.must(directory.ApplyInput{Document: []byte(drafted), Reason: "begin"})
	for name, c := range map[string]struct {
		in   directory.DraftInput
		want string
	}{
		"a policy that is none":      {directory.DraftInput{Policy: []byte("rules: 7")}, "DOCUMENT_INVALID"},
		"a rule that rests on none":  {directory.DraftInput{Policy: []byte("rules: [{id: a, demands: {sso: nobody}}]")}, "DOCUMENT_INVALID"},
		"of another organization":    {directory.DraftInput{Document: []byte("organization: other")}, "ORGANIZATION_DIFFERS"},
		"a document that is none":    {directory.DraftInput{Document: []byte("\x00")}, "DOCUMENT_INVALID"},
		"of the sidecar itself":      {directory.DraftInput{Organization: "system"}, "ORGANIZATION_RESERVED"},
		"of one that does not exist": {directory.DraftInput{Organization: "nobody"}, "ORGANIZATION_NOT_FOUND"},
	} {
		if c.in.Organization == "" {
			c.in.Organization = "acme"
		}
		if _, err := w.draft(c.in); !errs.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
