package directory_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// large is an organization with more domains and claims than a commit takes away at once.
func large(domains, claims int) string {
	var b strings.Builder
	b.WriteString("organization: acme\ndisplay_name: Acme\nsites: [{id: wiki}]\nconnections: [{id: okta, kind: sso, protocol: oidc}]\ndomains:\n")
	for i := range domains {
		fmt.Fprintf(&b, "  - d%d.acme-x.com\n", i)
	}
	b.WriteString("claims:\n  addresses:\n")
	for i := range claims {
		fmt.Fprintf(&b, "    - p%d@elsewhere-x.com\n", i)
	}
	b.WriteString("policy: {rules: [{id: all, demands: {mfa: {}}}]}\n")
	return b.String()
}

func (w *world) disable() {
	w.t.Helper()
	in := directory.OrganizationInput{ResourceChange: of("acme"), Disabled: true, Fields: []string{directory.FieldDisabled}}
	if _, err := w.resources().UpdateOrganization(w.t.Context(), "unix:7", in); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deletion() directory.DeletionInput {
	return directory.DeletionInput{Organization: "acme", Etag: w.etag(), RequestID: uuid.NewString(), Reason: "sold"}
}

// dying is a store whose process dies at one of its commits, or of its steps behind them: before it happens, or when it has happened.
type dying struct {
	policy.DirectoryWriter
	policy.Deletions
	at    int // steps until then
	after bool
}

func killed() error { return errs.New(errs.Unavailable, "OUTCOME_UNKNOWN", "killed") }

func (d *dying) step(do func() error) error {
	d.at--
	if d.at == 0 && !d.after {
		return killed()
	}
	err := do()
	if d.at == 0 {
		return killed()
	}
	return err
}

func (d *dying) Commit(ctx context.Context, c policy.Change) (a policy.Applied, s policy.Stamp, err error) {
	err = d.step(func() error {
		a, s, err = d.DirectoryWriter.Commit(ctx, c)
		return err
	})
	return a, s, err
}

func (d *dying) Free(ctx context.Context, id, uid string, key policy.ApplyKey) error {
	return d.step(func() error { return d.Deletions.Free(ctx, id, uid, key) })
}

func TestADeletionResumesWhereverItsProcessDies(t *testing.T) {
	const domains, claims = 260, 510
	steps := []string{"domain.removed 250", "domain.removed 10", "account.released 500", "account.released 10", "organization.deleted 0"}
	for at := 1; at <= len(steps)+1; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d, after %t", at, after), func(t *testing.T) {
				w := newWorld(t)
				uid := w.must(directory.ApplyInput{Document: []byte(large(domains, claims))}).Organization.UID
				w.disable()
				before := len(w.events(uid))
				in := w.deletion()
				r := w.resources()
				d := &dying{DirectoryWriter: w.directory, Deletions: w.directory, at: at, after: after}
				r.Writer, r.Deletions = d, d
				if err := r.DeleteOrganization(t.Context(), "unix:7", in); !errs.Is(err, "OUTCOME_UNKNOWN") {
					t.Fatalf("%v", err)
				}
				w.process()
				for range 2 { // the second time changes nothing
					if err := w.resources().DeleteOrganization(t.Context(), "unix:7", in); err != nil {
						t.Fatal(err)
					}
				}
				var got []string
				items := map[string]int{}
				for _, e := range w.eventsOf(uid)[before:] {
					got = append(got, fmt.Sprintf("%s %d", e.Type, e.Target.Count))
					for _, s := range e.Personal.Items {
						items[s]++
					}
					if e.Personal.Detail != "sold" || e.Caller != "unix:7" || e.Origin != audit.OriginAPI {
						t.Errorf("%+v", e)
					}
				}
				if !slices.Equal(got, steps) || len(items) != domains+claims {
					t.Errorf("%v, %d names", got, len(items))
				}
				w.wantGone(uid)
			})
		}
	}
}

// eventsOf is events for a process that has not met the organization yet.
func (w *world) eventsOf(uid string) []audit.Event {
	w.t.Helper()
	if o, err := w.directory.Cached(w.t.Context(), uid); err != nil || !o.Gone() {
		w.t.Fatalf("deleted %t, %v", o.Gone(), err)
	}
	return w.events(uid)
}

// wantGone looks at all that must be left of acme, and at all that must not.
func (w *world) wantGone(uid string) {
	t := w.t
	t.Helper()
	if _, err := w.directory.Resolve(t.Context(), "acme"); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
		t.Errorf("it still has its name: %v", err)
	}
	if _, err := w.directory.Organization(t.Context(), uid); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
		t.Errorf("it still stands: %v", err)
	}
	o, err := w.directory.Cached(t.Context(), uid)
	if err != nil || !o.Gone() || o.ID != "acme" || len(o.Key.Wrapped) == 0 || len(o.Sites)+len(o.Connections)+len(o.Policy.Rules) != 0 || o.Revision < 5 {
		t.Errorf("%+v, %v", o, err)
	}
	page, err := w.directory.Domains(t.Context(), uid, policy.Domain{}, 10)
	if err != nil || len(page.Domains) != 0 || page.DomainCount != 0 || page.ClaimCount != 0 {
		t.Errorf("%+v, %v", page, err)
	}
	for _, k := range w.client.Keys(t.Context(), "*").Val() {
		if strings.Contains(k, ":claim:"+uid) || strings.Contains(k, ":domain:"+uid) || strings.Contains(k, ":challenge:"+uid) {
			t.Errorf("%s is left", k)
		}
	}
	if list, err := w.directory.Organizations(t.Context(), "", 10); err != nil || len(list) != 0 {
		t.Errorf("listed: %+v, %v", list, err)
	}
}

func TestAnIDThatWasGivenUpIsAnotherOrganizations(t *testing.T) {
	for name, freed := range map[string]bool{"after its deletion": true, "after a deletion that was cut off at its end": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			stale := *w
			stale.process()
			old := w.must(directory.ApplyInput{Document: []byte(large(3, 3))}).Organization
			if _, err := stale.directory.Organization(t.Context(), stale.uid()); err != nil { // it knows the id from now on
				t.Fatal(err)
			}
			w.disable()
			in := w.deletion()
			r := w.resources()
			if !freed {
				r.Deletions = &dying{Deletions: w.directory, at: 1}
			}
			if err := r.DeleteOrganization(t.Context(), "unix:7", in); (err == nil) != freed {
				t.Fatal(err)
			}
			if _, err := stale.resources().UpdateOrganization(t.Context(), "unix:7", directory.OrganizationInput{ResourceChange: of("acme"), Fields: []string{"disabled"}}); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
				t.Errorf("a process that knew the id: %v", err)
			}
			if list, err := w.directory.Organizations(t.Context(), "", 10); err != nil || len(list) != 0 {
				t.Errorf("listed: %+v, %v", list, err)
			}
			made, err := w.resources().CreateOrganization(t.Context(), "unix:7", making("acme"))
			if err != nil || made.UID == old.UID || made.Revision != 1 || len(made.Sites) != 0 {
				t.Fatalf("%+v, %v", made, err)
			}
			if got := stale.uid(); got != made.UID {
				t.Errorf("the other process finds %s", got)
			}
			if err := w.resources().DeleteOrganization(t.Context(), "unix:7", in); (err == nil) != freed {
				t.Errorf("the old call again: %v", err)
			}
			if o := stale.organization(); o.UID != made.UID || o.Disabled {
				t.Errorf("the new one: %+v", o)
			}
			again := w.must(directory.ApplyInput{Document: []byte(large(3, 3)), Etag: policypb.Etag(made.Stamp)}).Organization
			if again.UID != made.UID || len(again.Sites) != 1 {
				t.Errorf("what the old one had is free: %+v", again)
			}
		})
	}
}

func TestWhoMayNotBeDeletedYetIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(large(3, 3))})
	r := w.resources()
	before := w.dump()
	in := w.deletion()
	if err := r.DeleteOrganization(t.Context(), "unix:7", in); !errs.Is(err, directory.ReasonNotDisabled) || errs.KindOf(err) != errs.FailedPrecondition {
		t.Errorf("people can sign in: %v", err)
	}
	for name, c := range map[string]struct{ id, etag, want string }{
		"an old version": {"acme", strings.Repeat("1", 32), "ETAG_MISMATCH"},
		"no version":     {"acme", "", "ETAG_MISMATCH"},
		"an odd version": {"acme", "x", "ETAG_INVALID"},
		"nobody":         {"nobody", in.Etag, "ORGANIZATION_NOT_FOUND"},
		"system":         {audit.SystemID, in.Etag, "ORGANIZATION_RESERVED"},
	} {
		if err := r.DeleteOrganization(t.Context(), "unix:7", directory.DeletionInput{Organization: c.id, Etag: c.etag, RequestID: uuid.NewString(), Reason: "x"}); !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.dump() != before {
		t.Error("something was written")
	}
}

// enabling lets somebody enable the organization, or add to it, between two commits.
type enabling struct {
	policy.DirectoryWriter
	between func()
}

func (e *enabling) Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error) {
	a, s, err := e.DirectoryWriter.Commit(ctx, c)
	if between := e.between; between != nil && err == nil {
		e.between = nil
		between()
	}
	return a, s, err
}

func TestADeletionTakesWhatComesMeanwhileAndStopsWhenItIsEnabled(t *testing.T) {
	w := newWorld(t)
	uid := w.must(directory.ApplyInput{Document: []byte(large(3, 3))}).Organization.UID
	w.disable()
	r := w.resources()
	r.Writer = &enabling{w.directory, func() {
		in := directory.ClaimInput{Organization: "acme", Accounts: []directory.NewAccount{account(t, "late@elsewhere-x.com")}, RequestID: "late"}
		if _, err := w.resources().Accounts.CreateMany(t.Context(), "unix:8", in); err != nil {
			t.Error(err)
		}
	}}
	if err := r.DeleteOrganization(t.Context(), "unix:7", w.deletion()); err != nil {
		t.Fatal(err)
	}
	w.wantGone(uid)

	w = newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(large(3, 3))})
	w.disable()
	r = w.resources()
	r.Writer = &enabling{w.directory, func() {
		in := directory.OrganizationInput{ResourceChange: of("acme"), Fields: []string{directory.FieldDisabled}}
		if _, err := w.resources().UpdateOrganization(t.Context(), "unix:8", in); err != nil {
			t.Error(err)
		}
	}}
	if err := r.DeleteOrganization(t.Context(), "unix:7", w.deletion()); !errs.Is(err, directory.ReasonNotDisabled) {
		t.Errorf("%v", err)
	}
	if o := w.organization(); len(o.Sites) != 1 || o.Disabled {
		t.Errorf("%+v", o)
	}
}

// stale is a directory as a process has it that has not heard of a deletion.
type stale struct {
	policy.Directory
	old   string
	heard bool
}

func (s *stale) Resolve(ctx context.Context, id string) (string, error) {
	if !s.heard {
		return s.old, nil
	}
	return s.Directory.Resolve(ctx, id)
}

func (s *stale) Organization(ctx context.Context, uid string) (*policy.Organization, error) {
	s.heard = s.heard || uid == s.old
	return s.Directory.Organization(ctx, uid)
}

func TestAnIdThatWasGivenAwayAgainShowsNothingOfItsFirstOrganization(t *testing.T) {
	w := newWorld(t)
	old := w.must(directory.ApplyInput{Document: []byte(large(1, 1))}).Organization.UID
	w.disable()
	if err := w.resources().DeleteOrganization(t.Context(), "unix:7", w.deletion()); err != nil {
		t.Fatal(err)
	}
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\ndomains: [new.acme-x.com]\n")}).Organization.UID
	p := w.policies()
	p.Directory = &stale{Directory: w.directory, old: old}
	list, err := p.Revisions(t.Context(), "acme", 0, 10)
	if err != nil || len(list) != 1 || list[0].Event.OrganizationUID != uid {
		t.Errorf("revisions %+v, %v", list, err)
	}
	r := w.resources()
	r.Domains.Directory = &stale{Directory: w.directory, old: old}
	domains, err := r.Domains.List(t.Context(), "acme", policy.Domain{}, 10)
	if err != nil || len(domains) != 1 || domains[0].OrganizationUID != uid {
		t.Errorf("domains %+v, %v", domains, err)
	}
}
