package directory_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// resources are the use cases on what w's process knows.
func (w *world) resources() *directory.Resources {
	d := w.directory
	return &directory.Resources{Deps: w.deps, Deletions: d,
		Accounts: &directory.Accounts{Directory: d, Writer: d, Claims: d, Owners: d, Sealer: w.keyring, Namer: w.deps.Namer, NewID: w.deps.NewID, Now: w.deps.Now},
		Domains:  &directory.Domains{Directory: d, Writer: d, Challenges: d, Owners: d, Namer: w.deps.Namer, NewID: w.deps.NewID, Now: w.deps.Now}}
}

func of(organization string) directory.ResourceChange {
	return directory.ResourceChange{Organization: organization, RequestID: uuid.NewString(), Reason: "because"}
}

// making is an organization to make.
func making(id string) directory.OrganizationInput {
	return directory.OrganizationInput{ResourceChange: of(id), DisplayName: "The " + id, Sandbox: true}
}

// site is a site of acme as it is to be.
func site(id string, fields ...string) directory.SiteInput {
	return directory.SiteInput{ResourceChange: of("acme"), Site: policy.Site{ID: id, DisplayName: "Site " + id, Hostnames: []string{id + ".acme-x.com"}}, Fields: fields}
}

func field(e audit.Event, name string) audit.Change {
	i := slices.IndexFunc(e.Changes, func(c audit.Change) bool { return c.Field == name })
	if i < 0 {
		return audit.Change{}
	}
	return e.Changes[i]
}

func TestAnOrganizationIsMadeAndChangedWithOneEventEach(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	in := making("acme")
	o, err := r.CreateOrganization(t.Context(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	if o.ID != "acme" || o.UID == "" || o.DisplayName != "The acme" || !o.Sandbox || o.Disabled || o.Revision != 1 || len(o.Sites) != 0 {
		t.Errorf("%+v", o)
	}
	events := w.events(o.UID)
	e := events[0]
	if len(events) != 1 || e.Type != audit.TypeOrganizationCreated || e.Origin != audit.OriginAPI || e.Caller != "unix:7" || !e.Sandbox || e.Personal.Detail != "because" ||
		field(e, "sandbox").After != "true" {
		t.Errorf("%+v", events)
	}
	again, err := r.CreateOrganization(t.Context(), "unix:7", in)
	if err != nil || again.Stamp != o.Stamp || len(w.events(o.UID)) != 1 {
		t.Errorf("the same call again: %+v, %v", again, err)
	}
	in.DisplayName = "another"
	if _, err := r.CreateOrganization(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another organization under the same request id: %v", err)
	}
	if _, err := r.CreateOrganization(t.Context(), "unix:7", making("acme")); !errs.Is(err, directory.ReasonOrganizationExists) || errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("made twice: %v", err)
	}
	change := directory.OrganizationInput{ResourceChange: of("acme"), DisplayName: "not taken", Disabled: true, Fields: []string{directory.FieldDisabled, directory.FieldSandbox}}
	change.Etag = policypb.Etag(o.Stamp)
	next, err := r.UpdateOrganization(t.Context(), "unix:7", change)
	if err != nil || !next.Disabled || next.Sandbox || next.DisplayName != "The acme" || next.Revision != 2 || next.UID != o.UID {
		t.Errorf("%+v, %v", next, err)
	}
	if e := w.last(o.UID); e.Type != audit.TypeOrganizationUpdated || e.Sandbox || field(e, "disabled").After != "true" || field(e, "display_name").Field != "" ||
		e.Personal.Detail != "because" || e.Revision != 2 {
		t.Errorf("%+v", e)
	}
	change.RequestID = uuid.NewString()
	if _, err := r.UpdateOrganization(t.Context(), "unix:7", change); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("an old version: %v", err)
	}
	change.Etag = ""
	if same, err := r.UpdateOrganization(t.Context(), "unix:7", change); err != nil || same.Stamp != next.Stamp || len(w.events(o.UID)) != 2 {
		t.Errorf("nothing to change: %+v, %v", same, err)
	}
}

func TestWhatIsOnlyValidatedIsAnsweredAndNotWritten(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	in := making("acme")
	in.ValidateOnly = true
	before := w.dump()
	if o, err := r.CreateOrganization(t.Context(), "unix:7", in); err != nil || o.DisplayName != "The acme" || w.dump() != before {
		t.Fatalf("%+v, %v", o, err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki}]\nconnections: [{id: google, kind: social}]\n")})
	before = w.dump()
	s := site("more")
	s.ValidateOnly = true
	o, err := r.CreateSite(t.Context(), "unix:7", s)
	if err != nil || len(o.Sites) != 2 || o.Sites[1].ID != "more" || o.Sites[1].UID != "" {
		t.Errorf("%+v, %v", o, err)
	}
	s = site("wiki", directory.FieldHostnames)
	s.ValidateOnly = true
	if o, err := r.UpdateSite(t.Context(), "unix:7", s); err != nil || !slices.Equal(o.Sites[0].Hostnames, []string{"wiki.acme-x.com"}) {
		t.Errorf("%+v, %v", o, err)
	}
	s.Site.Hostnames = []string{"WIKI.acme-x.com"}
	if _, err := r.UpdateSite(t.Context(), "unix:7", s); !errs.Is(err, "FIELD_INVALID") {
		t.Errorf("what cannot be: %v", err)
	}
	if w.dump() != before {
		t.Error("something was written")
	}
}

func TestOrganizationsThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	before := w.dump()
	for name, c := range map[string]struct {
		change func(*directory.OrganizationInput)
		want   string
	}{
		"system":        {func(in *directory.OrganizationInput) { in.Organization = audit.SystemID }, "ORGANIZATION_RESERVED"},
		"an odd id":     {func(in *directory.OrganizationInput) { in.Organization = "Acme" }, "FIELD_INVALID"},
		"a long name":   {func(in *directory.OrganizationInput) { in.DisplayName = strings.Repeat("a", 513) }, "FIELD_INVALID"},
		"a control":     {func(in *directory.OrganizationInput) { in.DisplayName = "a\x00b" }, "FIELD_INVALID"},
		"not UTF-8":     {func(in *directory.OrganizationInput) { in.DisplayName = "a\xff" }, "RECORD_TEXT"},
		"a long reason": {func(in *directory.OrganizationInput) { in.Reason = strings.Repeat("a\xff", 9) }, ""},
	} {
		in := making("acme")
		c.change(&in)
		_, err := r.CreateOrganization(t.Context(), "unix:7", in)
		if err == nil || c.want != "" && !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range strings.Split(w.dump(), "\n") {
		if e != "" && !strings.Contains(before, e) && strings.Contains(e, "org:") {
			t.Errorf("written: %s", e)
		}
	}
	if _, err := r.UpdateOrganization(t.Context(), "unix:7", directory.OrganizationInput{ResourceChange: of("nobody"), Fields: []string{directory.FieldDisabled}}); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
		t.Errorf("no such organization: %v", err)
	}
}

func TestASiteIsMadeChangedAndRemoved(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki, display_name: Wiki}]\n")}).Organization.UID
	in := site("shop")
	o, err := r.CreateSite(t.Context(), "unix:7", in)
	if err != nil || len(o.Sites) != 2 {
		t.Fatalf("%+v, %v", o, err)
	}
	made := o.Sites[1]
	if made.ID != "shop" || made.UID == "" || made.Origin != audit.OriginAPI || made.DisplayName != "Site shop" || o.PolicyStamp != o.Stamp {
		t.Errorf("%+v", made)
	}
	if e := w.last(uid); e.Type != audit.TypeSiteCreated || e.Target.ID != "shop" || e.Target.UID != made.UID || field(e, "hostnames").After != "shop.acme-x.com" ||
		field(e, "maintained_by").After != "API" || e.Revision != o.Revision {
		t.Errorf("%+v", e)
	}
	if again, err := r.CreateSite(t.Context(), "unix:7", in); err != nil || again.Stamp != o.Stamp {
		t.Errorf("the same call again: %v", err)
	}
	if _, err := r.CreateSite(t.Context(), "unix:7", site("shop")); !errs.Is(err, directory.ReasonSiteExists) {
		t.Errorf("made twice: %v", err)
	}
	document := o.Sites[0]
	change := site("wiki", directory.FieldHostnames, directory.FieldDisabled)
	change.Site.Disabled = true
	if o, err = r.UpdateSite(t.Context(), "unix:7", change); err != nil {
		t.Fatal(err)
	}
	is := o.Sites[0]
	if is.UID != document.UID || is.Origin != audit.OriginAPI || !is.Disabled || is.DisplayName != "Wiki" || !slices.Equal(is.Hostnames, []string{"wiki.acme-x.com"}) {
		t.Errorf("%+v", is)
	}
	if e := w.last(uid); e.Type != audit.TypeSiteUpdated || field(e, "maintained_by").After != "API" || field(e, "display_name").Field != "" {
		t.Errorf("%+v", e)
	}
	if err := r.DeleteSite(t.Context(), "unix:7", site("wiki")); err != nil {
		t.Fatal(err)
	}
	if e := w.last(uid); e.Type != audit.TypeSiteDeleted || e.Target.UID != document.UID || field(e, "id").Before != "wiki" {
		t.Errorf("%+v", e)
	}
	for name, err := range map[string]error{
		"change": errorOf(r.UpdateSite(t.Context(), "unix:7", site("wiki", directory.FieldDisabled))),
		"remove": r.DeleteSite(t.Context(), "unix:7", site("wiki")),
	} {
		if !errs.Is(err, directory.ReasonSiteNotFound) {
			t.Errorf("%s what is not there: %v", name, err)
		}
	}
}

func errorOf(_ *policy.Organization, err error) error { return err }

func TestSitesThatCannotBeAreRefusedByTheRulesOfDocuments(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki, hostnames: [wiki.acme-x.com]}]\n" +
		"policy: {rules: [{id: guests, match: {sites: [wiki]}, demands: {methods: [password]}}]}\n")}).Organization.UID
	before := w.dump()
	for name, c := range map[string]struct {
		change func(*directory.SiteInput)
		field  string
	}{
		"upper case":      {func(in *directory.SiteInput) { in.Site.Hostnames = []string{"Shop.acme-x.com"} }, "site.hostnames[0]"},
		"a scheme":        {func(in *directory.SiteInput) { in.Site.Hostnames = []string{"a.b", "https://x.y"} }, "site.hostnames[1]"},
		"empty":           {func(in *directory.SiteInput) { in.Site.Hostnames = []string{""} }, "site.hostnames[0]"},
		"somebody's":      {func(in *directory.SiteInput) { in.Site.Hostnames = []string{"wiki.acme-x.com"} }, "site.hostnames[0]"},
		"twice":           {func(in *directory.SiteInput) { in.Site.Hostnames = []string{"a.b", "a.b"} }, "site.hostnames[1]"},
		"too many":        {func(in *directory.SiteInput) { in.Site.Hostnames = slices.Repeat([]string{"a.b"}, 21) }, "site.hostnames"},
		"an odd id":       {func(in *directory.SiteInput) { in.Site.ID = "-" }, "site_id"},
		"a control":       {func(in *directory.SiteInput) { in.Site.DisplayName = "\x1b[31m" }, "site.display_name"},
		"a long name too": {func(in *directory.SiteInput) { in.Site.DisplayName = strings.Repeat("a", 513) }, "site.display_name"},
	} {
		in := site("shop")
		c.change(&in)
		_, err := r.CreateSite(t.Context(), "unix:7", in)
		if e := errs.As(err); !errs.Is(err, "FIELD_INVALID") || !slices.ContainsFunc(e.Violations, func(v errs.Violation) bool { return v.Field == c.field }) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	err := r.DeleteSite(t.Context(), "unix:7", site("wiki"))
	if !errs.Is(err, directory.ReasonSiteInUse) || errs.KindOf(err) != errs.FailedPrecondition || !strings.Contains(errs.As(err).Public, "policy.rules[guests].match.sites") {
		t.Errorf("a site that a rule names: %v", err)
	}
	if w.dump() != before {
		t.Errorf("something was written: %+v", w.last(uid))
	}
	many := "organization: acme\nsites:\n  - {id: wiki, hostnames: [wiki.acme-x.com]}\n"
	for i := range policy.MaxSites - 1 {
		many += "  - id: s" + strings.Repeat("x", i%40) + uuid.NewString()[:8] + "\n"
	}
	w.must(directory.ApplyInput{Document: []byte(many), Etag: w.etag()})
	if _, err := r.CreateSite(t.Context(), "unix:7", site("shop")); !errs.Is(err, "FIELD_INVALID") {
		t.Errorf("one site too many: %v", err)
	}
}

func TestOfTwoAdminsWhoRaceOnOneVersionOneIsToldAndWithoutVersionBothWin(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki}]\n")})
	other := *w
	other.process()
	etag := w.etag()
	race := func(in ...directory.SiteInput) (wins int, lost []error) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		for i := range in {
			r := w.resources()
			if i%2 == 1 {
				r = other.resources()
			}
			wait.Go(func() {
				_, err := r.CreateSite(context.Background(), "unix:7", in[i])
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					lost = append(lost, err)
				} else {
					wins++
				}
			})
		}
		wait.Wait()
		return wins, lost
	}
	var based, free []directory.SiteInput
	for i := range 6 {
		in := site("a" + string(rune('a'+i)))
		in.Etag = etag
		based = append(based, in)
		free = append(free, site("b"+string(rune('a'+i))))
	}
	wins, lost := race(based...)
	if wins != 1 || len(lost) != 5 {
		t.Errorf("%d won: %v", wins, lost)
	}
	for _, err := range lost {
		if !errs.Is(err, "ETAG_MISMATCH") {
			t.Errorf("%v", err)
		}
	}
	if wins, lost := race(free...); wins != 6 {
		t.Errorf("%d won: %v", wins, lost)
	}
	same := site("c")
	if wins, lost := race(same, same, same, same); wins != 4 {
		t.Errorf("one call sent four times: %d, %v", wins, lost)
	}
	o, err := w.directory.Organization(t.Context(), w.last(w.uid()).OrganizationUID)
	if err != nil || len(o.Sites) != 1+1+6+1 || int64(len(w.events(o.UID))) != o.Revision {
		t.Errorf("%d sites, %d events at revision %d, %v", len(o.Sites), len(w.events(o.UID)), o.Revision, err)
	}
}

func (w *world) uid() string {
	w.t.Helper()
	uid, err := w.directory.Resolve(w.t.Context(), "acme")
	if err != nil {
		w.t.Fatal(err)
	}
	return uid
}

func TestTwoWhoMakeTheSameOrganizationMakeOne(t *testing.T) {
	w := newWorld(t)
	other := *w
	other.process()
	var wait sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 6 {
		r := w.resources()
		if i%2 == 1 {
			r = other.resources()
		}
		wait.Go(func() {
			_, err := r.CreateOrganization(context.Background(), "unix:7", making("acme"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case !errs.Is(err, directory.ReasonOrganizationExists):
				t.Errorf("%v", err)
			}
		})
	}
	wait.Wait()
	if made != 1 || len(w.events(w.uid())) != 1 {
		t.Errorf("%d made", made)
	}
}
