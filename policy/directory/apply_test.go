package directory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a directory on an embedded store.
type world struct {
	t         *testing.T
	deps      directory.Deps
	directory *redisdirectory.Directory
	client    redis.UniversalClient
	codec     *codec.Codec
	outboxes  *redisx.Keys
	sets      *seal.Keysets
	keyring   *seal.Keyring
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := embedded.Open(t.Context(), embedded.Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	sets, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: s.Client(-1), sets: sets}
	w.process()
	return w
}

// process gives w the memory of a process that has just started.
func (w *world) process() {
	w.t.Helper()
	keyring := w.sets.Keyring(0)
	w.keyring, w.codec = keyring, codec.New(keyring)
	var err error
	w.directory, err = redisdirectory.New(redisdirectory.Config{Client: w.client, Reader: w.client, Partitions: 4, Codec: w.codec, Keys: keyring,
		Cache: redisdirectory.NewCache(keyring), Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.outboxes, err = redisx.NewKeys(4); err != nil {
		w.t.Fatal(err)
	}
	w.deps = directory.Deps{Directory: w.directory, Writer: w.directory, Namer: naming.New(w.sets.Namer()), Keys: keyring, Owners: w.directory, Sealer: keyring, Now: time.Now,
		NewID: func() string { return uuid.Must(uuid.NewV7()).String() }}
}

func (w *world) apply(in directory.ApplyInput) (directory.ApplyResult, error) {
	if in.Organization == "" {
		in.Organization = "acme"
	}
	if in.RequestID == "" {
		in.RequestID = uuid.NewString()
	}
	return directory.Apply(w.t.Context(), w.deps, "unix:0", in)
}

func (w *world) must(in directory.ApplyInput) directory.ApplyResult {
	w.t.Helper()
	r, err := w.apply(in)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// events are all events of an organization, opened.
func (w *world) events(uid string) []audit.Event {
	w.t.Helper()
	var out []audit.Event
	for _, m := range w.client.XRange(w.t.Context(), w.outboxes.Of(uid).Outbox(), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := w.codec.Decode([]byte(raw))
		if err == nil {
			err = w.codec.Open(&e)
		}
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func kinds(commits []policy.Applied) (all []string) {
	for _, c := range commits {
		all = append(all, fmt.Sprintf("%s %d", c.Kind, c.Count))
	}
	return all
}

func types(events []audit.Event) (all []string) {
	for _, e := range events {
		all = append(all, string(e.Type))
	}
	return all
}

const acme = `organization: acme
display_name: Acme
sites:
  - id: wiki
    display_name: Wiki
connections:
  - {id: okta, kind: SSO, protocol: OIDC}
domains: [acme-corp.com, {domain: acme-labs.net, include_subdomains: true}]
claims:
  accounts: [svc-1]
  addresses: [owner@gmail.com]
policy:
  rules:
    - id: partners
      match: {domains: [partner-firm.com]}
      demands: {mfa: {factors: [TOTP]}}
      mode: ENFORCE
`

var everything = []string{"POLICY 1", "ADD_DOMAINS 2", "ADD_CLAIMS 2", "POLICY 3"}

func TestADocumentMakesAnOrganizationInCommitsWithTheirEvents(t *testing.T) {
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Document: []byte(acme), Reason: "the first"})
	if d := cmp.Diff(everything, kinds(r.Commits)); d != "" {
		t.Error(d)
	}
	o := r.Organization
	if o.DisplayName != "Acme" || len(o.Sites) != 1 || len(o.Connections) != 1 || len(o.Policy.Rules) != 1 || o.Revision != 4 || o.Created.IsZero() {
		t.Errorf("%+v", o)
	}
	events := w.events(o.UID)
	want := []string{"organization.created", "domain.verified", "account.claimed", "site.created", "connection.created", "policy.updated"}
	if d := cmp.Diff(want, types(events)); d != "" {
		t.Error(d)
	}
	var ids []string
	for _, e := range events {
		ids = append(ids, e.ID)
		if e.Caller != "unix:0" || e.Organization != "acme" || e.OrganizationUID != o.UID || e.Origin != audit.OriginDocument || e.Target == nil || e.Revision == 0 {
			t.Errorf("%s: %+v", e.Type, e)
		}
		if e.Personal.Detail != "the first" {
			t.Errorf("%s does not say why", e.Type)
		}
	}
	var answered []string
	for _, c := range r.Commits {
		answered = append(answered, c.Events...)
	}
	if d := cmp.Diff(ids, answered); d != "" {
		t.Errorf("the answer names other events than the record:\n%s", d)
	}
	if d := cmp.Diff([]string{"acme-corp.com", "acme-labs.net"}, events[1].Personal.Items); d != "" || events[1].Target.Count != 2 {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"svc-1", "owner@gmail.com"}, events[2].Personal.Items); d != "" || events[2].Sealed == nil {
		t.Error(d)
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	if _, err := w.apply(directory.ApplyInput{Document: []byte(acme), Etag: strings.Repeat("0", 32)}); !errs.Is(err, "ETAG_UNEXPECTED") {
		t.Errorf("an etag for an organization that does not exist: %v", err)
	}
	first := w.must(directory.ApplyInput{Document: []byte(acme)})
	etag := policypb.Etag(first.Organization.Stamp)
	for name, in := range map[string]struct{ etag, reason string }{
		"none": {"", "ETAG_REQUIRED"}, "not one": {"x", "ETAG_INVALID"}, "another": {strings.Repeat("1", 32), "ETAG_MISMATCH"},
	} {
		if _, err := w.apply(directory.ApplyInput{Document: []byte(acme), Etag: in.etag}); !errs.Is(err, in.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	changed := strings.Replace(acme, "display_name: Acme", "display_name: Acme Ltd", 1)
	second := w.must(directory.ApplyInput{Document: []byte(changed), Etag: etag})
	if d := cmp.Diff([]string{"POLICY 1"}, kinds(second.Commits)); d != "" {
		t.Error(d)
	}
	if _, err := w.apply(directory.ApplyInput{Document: []byte(acme), Etag: etag}); !errs.Is(err, "ETAG_MISMATCH") || errs.KindOf(err) != errs.Conflict {
		t.Errorf("an old etag: %v", err)
	}
	same := w.must(directory.ApplyInput{Document: []byte(changed), Etag: policypb.Etag(second.Organization.Stamp)})
	if d := cmp.Diff([]string{"NOTHING 0"}, kinds(same.Commits)); d != "" || same.Organization.Stamp != second.Organization.Stamp {
		t.Error(d)
	}
}

func TestDomainsThatTheDocumentDropsGoLast(t *testing.T) {
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(acme)})
	next := strings.Replace(acme, "domains: [acme-corp.com, {domain: acme-labs.net, include_subdomains: true}]", "domains: [acme-corp.com, acme-new.org]", 1)
	next = strings.Replace(next, "id: wiki", "id: docs", 1)
	r := w.must(directory.ApplyInput{Document: []byte(next), Etag: policypb.Etag(first.Organization.Stamp)})
	if d := cmp.Diff([]string{"ADD_DOMAINS 1", "POLICY 2", "REMOVE_DOMAINS 1"}, kinds(r.Commits)); d != "" {
		t.Error(d)
	}
	all := w.events(r.Organization.UID)
	last := all[len(all)-1]
	if last.Type != audit.TypeDomainRemoved || !slices.Equal(last.Personal.Items, []string{"acme-labs.net"}) {
		t.Errorf("%+v", last)
	}
}

func TestAMillionIsManyCommits(t *testing.T) {
	w := newWorld(t)
	var b strings.Builder
	b.WriteString("organization: acme\nsites: [{id: wiki}]\nclaims:\n  accounts:\n")
	for i := range 1201 {
		fmt.Fprintf(&b, "    - acct-%d\n", i)
	}
	r := w.must(directory.ApplyInput{Document: []byte(b.String())})
	if d := cmp.Diff([]string{"POLICY 1", "ADD_CLAIMS 500", "ADD_CLAIMS 500", "ADD_CLAIMS 201", "POLICY 1"}, kinds(r.Commits)); d != "" {
		t.Error(d)
	}
	page, err := w.directory.Domains(t.Context(), r.Organization.UID, policy.Domain{}, 1)
	if err != nil || page.ClaimCount != 1201 {
		t.Errorf("%d claims, %v", page.ClaimCount, err)
	}
}

func TestValidationWritesNothing(t *testing.T) {
	w := newWorld(t)
	r := w.must(directory.ApplyInput{Document: []byte(acme), ValidateOnly: true})
	if d := cmp.Diff(everything, kinds(r.Commits)); d != "" || r.Organization != nil {
		t.Error(d)
	}
	if keys := w.client.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("it wrote %v", keys)
	}
	w.must(directory.ApplyInput{Document: []byte(acme), RequestID: "r"})
	if _, err := w.apply(directory.ApplyInput{Document: []byte(acme), ValidateOnly: true}); !errs.Is(err, "ETAG_REQUIRED") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, in := range map[string]struct {
		organization, document, reason string
	}{
		"the reserved organization": {audit.SystemID, "organization: system", "ORGANIZATION_RESERVED"},
		"a document of another":     {"other", acme, "ORGANIZATION_DIFFERS"},
		"no document":               {"acme", "organization: [", "DOCUMENT_INVALID"},
		"a free-mail domain":        {"acme", "organization: acme\ndomains: [gmail.com]", "DOCUMENT_INVALID"},
	} {
		if _, err := w.apply(directory.ApplyInput{Organization: in.organization, Document: []byte(in.document)}); !errs.Is(err, in.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if keys := w.client.Keys(t.Context(), "postern:{0*").Val(); len(keys) != 0 {
		t.Errorf("it wrote %v", keys)
	}
}

// failing makes the n-th commit fail, before or after it happened.
type failing struct {
	policy.DirectoryWriter
	n     int
	after bool
}

var errLost = errors.New("lost")

func (f *failing) Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error) {
	f.n--
	if f.n == 0 && !f.after {
		return policy.Applied{}, policy.Stamp{}, errLost
	}
	a, s, err := f.DirectoryWriter.Commit(ctx, c)
	if f.n == 0 {
		return policy.Applied{}, policy.Stamp{}, errLost
	}
	return a, s, err
}

func TestTheSameRequestCarriesOnWhereverItStopped(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= len(everything); n++ {
			t.Run(fmt.Sprintf("commit %d, after %t", n, after), func(t *testing.T) {
				w := newWorld(t)
				in := directory.ApplyInput{Document: []byte(acme), RequestID: "r-1"}
				whole := w.deps.Writer
				w.deps.Writer = &failing{whole, n, after}
				if _, err := w.apply(in); !errors.Is(err, errLost) {
					t.Fatalf("%v", err)
				}
				w.deps.Writer = whole
				r := w.must(in)
				if d := cmp.Diff(everything, kinds(r.Commits)); d != "" {
					t.Error(d)
				}
				if d := cmp.Diff([]string{"organization.created", "domain.verified", "account.claimed", "site.created", "connection.created",
					"policy.updated"}, types(w.events(r.Organization.UID))); d != "" {
					t.Error(d)
				}
				again := w.must(in)
				if d := cmp.Diff(r.Commits, again.Commits); d != "" || again.Organization.Stamp != r.Organization.Stamp {
					t.Errorf("repeated:\n%s", d)
				}
				in.Document = append(in.Document, '\n')
				if _, err := w.apply(in); !errs.Is(err, "REQUEST_ID_REUSED") {
					t.Errorf("another document under the same request id: %v", err)
				}
			})
		}
	}
}

func TestACallThatStoppedDoesNotGoOnOverSomebodyElsesChange(t *testing.T) {
	w := newWorld(t)
	in := directory.ApplyInput{Document: []byte(acme), RequestID: "r-1"}
	whole := w.deps.Writer
	w.deps.Writer = &failing{whole, 2, false}
	if _, err := w.apply(in); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	w.deps.Writer = whole
	uid, err := w.directory.Resolve(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	o, err := w.directory.Organization(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	w.must(directory.ApplyInput{Document: []byte("organization: acme\ndisplay_name: Other"), Etag: policypb.Etag(o.Stamp)})
	if _, err := w.apply(in); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("%v", err)
	}
}
