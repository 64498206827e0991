package directory_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
)

// accountWorld is two organizations and two processes, whose clock a test may move beside the store's.
type accountWorld struct {
	*world
	mu     sync.Mutex
	off    time.Duration
	uids   map[string]string
	first  *directory.Accounts
	second *directory.Accounts
}

func (w *accountWorld) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.off)
}

func (w *accountWorld) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off += d
}

func newAccountWorld(t *testing.T) *accountWorld {
	t.Helper()
	return accountsOn(t, newWorld(t))
}

func accountsOn(t *testing.T, base *world) *accountWorld {
	t.Helper()
	w := &accountWorld{world: base, uids: map[string]string{}}
	for _, id := range []string{"acme", "globex"} {
		w.uids[id] = w.must(directory.ApplyInput{Organization: id, Document: []byte("organization: " + id + "\n")}).Organization.UID
	}
	w.first = w.accounts()
	w.process()
	w.second = w.accounts()
	for _, uid := range w.uids { // for the events to be opened with
		if _, err := w.directory.Organization(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *accountWorld) accounts() *directory.Accounts {
	return &directory.Accounts{Directory: w.directory, Writer: w.directory, Claims: w.directory, Owners: w.directory, Sealer: w.keyring,
		Namer: naming.New(w.sets.Namer()), NewID: func() string { return uuid.Must(uuid.NewV7()).String() }, Now: w.clock}
}

// account reads "id", "address@domain" or either with "=note" behind it.
func account(t *testing.T, s string) directory.NewAccount {
	t.Helper()
	name, note, _ := strings.Cut(s, "=")
	id, email := name, ""
	if strings.Contains(name, "@") {
		id, email = "", name
	}
	a, err := directory.ParseAccount(id, email, note)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

func named(t *testing.T, s string) directory.AccountName {
	t.Helper()
	if !strings.Contains(s, "@") {
		return directory.AccountName{ID: s}
	}
	a, err := policy.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return directory.AccountName{Address: a}
}

func (w *accountWorld) input(organization string, accounts ...string) directory.ClaimInput {
	in := directory.ClaimInput{Organization: organization, RequestID: uuid.NewString(), Reason: "because"}
	for _, s := range accounts {
		in.Accounts = append(in.Accounts, account(w.t, s))
	}
	return in
}

func (w *accountWorld) claim(organization string, accounts ...string) directory.Claimed {
	w.t.Helper()
	done, err := w.first.CreateMany(w.t.Context(), "unix:7", w.input(organization, accounts...))
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func (w *accountWorld) naming(organization string, names ...string) directory.ReleaseInput {
	in := directory.ReleaseInput{Organization: organization, RequestID: uuid.NewString(), Reason: "moved"}
	for _, s := range names {
		in.Names = append(in.Names, named(w.t, s))
	}
	return in
}

// listed are all accounts of an organization as text, sorted.
func (w *accountWorld) listed(organization string) []string {
	w.t.Helper()
	var out []string
	for after := (policy.AccountKey{}); ; {
		page, err := w.second.List(w.t.Context(), organization, after, 7)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, a := range page.Accounts {
			out = append(out, a.ID+a.Email)
		}
		if after = page.Next; after == (policy.AccountKey{}) {
			if int64(len(out)) != page.Count {
				w.t.Errorf("%s: %d listed, %d counted", organization, len(out), page.Count)
			}
			slices.Sort(out)
			return out
		}
	}
}

// told are the account events of an organization, as type and what is listed.
func (w *accountWorld) told(organization string) []string {
	w.t.Helper()
	var out []string
	for _, e := range w.events(w.uids[organization]) {
		if e.OrganizationUID != w.uids[organization] || !strings.HasPrefix(string(e.Type), "account.") {
			continue
		}
		if e.Target == nil || e.Target.Type != "account" || e.Sealed == nil {
			w.t.Errorf("%+v", e)
		}
		out = append(out, string(e.Type)+" "+strings.Join(e.Personal.Items, " "))
	}
	return out
}

func TestAnAccountIsClaimedReadNotedAndReleased(t *testing.T) {
	w := newAccountWorld(t)
	a, err := w.first.Create(t.Context(), "unix:7", w.input("acme", "Jo.Doe@example.com=the boss"))
	if err != nil || a.Email != "Jo.Doe@example.com" || a.Note != "the boss" || a.ID != "" || a.Claim.Origin != audit.OriginAPI || a.Claim.Created.IsZero() || a.Claim.Revision != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, name := range []directory.AccountName{{Key: a.Claim.Key}, named(t, "jo.doe@EXAMPLE.com")} {
		got, err := w.second.Get(t.Context(), "acme", name)
		if err != nil || got.Email != a.Email || got.Etag() != a.Etag() {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := w.second.Get(t.Context(), "globex", directory.AccountName{Key: a.Claim.Key}); !errs.Is(err, "ACCOUNT_NOT_FOUND") {
		t.Errorf("in another organization: %v", err)
	}
	note := directory.NoteInput{Organization: "acme", Name: named(t, "jo.doe@example.com"), Note: "on leave", Etag: a.Etag(), RequestID: "n"}
	for range 2 { // the same request changes nothing more
		b, err := w.second.Update(t.Context(), "unix:7", note)
		if err != nil || b.Note != "on leave" || b.Etag() == a.Etag() || !b.Claim.Created.Equal(a.Claim.Created) || b.Claim.Revision != 3 {
			t.Fatalf("%+v, %v", b, err)
		}
	}
	note.RequestID = "another"
	if _, err := w.first.Update(t.Context(), "unix:7", note); !errs.Is(err, "ETAG_MISMATCH") || errs.KindOf(err) != errs.Conflict {
		t.Errorf("on an old version: %v", err)
	}
	out := w.naming("acme", "jo.doe@example.com")
	out.Etag = a.Etag()
	if err := w.first.Delete(t.Context(), "unix:7", out); !errs.Is(err, "ETAG_MISMATCH") {
		t.Errorf("on an old version: %v", err)
	}
	out.Etag, out.RequestID = "", "out"
	for range 2 {
		if err := w.first.Delete(t.Context(), "unix:7", out); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.first.Delete(t.Context(), "unix:7", w.naming("acme", "jo.doe@example.com")); !errs.Is(err, "ACCOUNT_NOT_FOUND") || errs.KindOf(err) != errs.NotFound {
		t.Errorf("gone already: %v", err)
	}
	want := []string{"account.claimed Jo.Doe@example.com", "account.updated Jo.Doe@example.com the boss on leave", "account.released Jo.Doe@example.com"}
	if got := w.told("acme"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	o, err := w.second.Directory.Organization(t.Context(), w.uids["acme"])
	if err != nil || o.Revision != 4 {
		t.Errorf("%d commits, %v", o.Revision, err)
	}
}

func TestWhatIsNoAccountIsRefusedWithItsReason(t *testing.T) {
	for _, c := range []struct{ id, email, note, want string }{
		{"", "", "", "ACCOUNT_INVALID"}, {"a", "a@example.com", "", "ACCOUNT_AMBIGUOUS"}, {strings.Repeat("x", 129), "", "", "ACCOUNT_INVALID"},
		{"a\x00b", "", "", "ACCOUNT_INVALID"}, {"a\u0085", "", "", "ACCOUNT_INVALID"}, {"a\xff", "", "", "ACCOUNT_INVALID"}, {"a", "", strings.Repeat("n", 257), "ACCOUNT_INVALID"},
		{"a", "", "two\nlines", "ACCOUNT_INVALID"}, {"", "nobody", "", "ADDRESS_NO_AT"}, {"", "a@localhost", "", "DOMAIN_SINGLE_LABEL"}, {"", "a@b@example.com", "", "ADDRESS_SEVERAL_AT"},
	} {
		if _, err := directory.ParseAccount(c.id, c.email, c.note); errs.KindOf(err) != errs.Invalid || !errs.Is(err, c.want) {
			t.Errorf("%q %q %q: %v", c.id, c.email, c.note, err)
		}
	}
	for _, email := range []string{"a@gmail.com", "a+b@example.com"} {
		if _, err := directory.ParseAccount("", email, ""); err != nil {
			t.Errorf("%s: %v", email, err)
		}
	}
	if _, err := directory.ParseAccount(strings.Repeat("x", 128), "", strings.Repeat("n", 256)); err != nil {
		t.Error(err)
	}
}

func TestABatchIsClaimedAndReleasedInOneCommitAllOrNone(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("acme", "a1")
	in := w.input("acme", "a2", "a1", "b@example.com", "a2", "c@example.com")
	for range 2 {
		done, err := w.first.CreateMany(t.Context(), "unix:7", in)
		if err != nil || done.Created != 3 || done.Revision != 3 || len(done.Accounts) != 5 || done.Accounts[1].ID != "a1" || done.Accounts[1].Claim.Revision != 2 ||
			done.Accounts[3].ID != "a2" || done.Accounts[4].Email != "c@example.com" {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	in.Accounts = in.Accounts[:4]
	if _, err := w.first.CreateMany(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another request: %v", err)
	}
	again := w.input("acme", "a2", "a1")
	for range 2 {
		if done, err := w.first.CreateMany(t.Context(), "unix:7", again); err != nil || done.Created != 0 || done.Revision != 0 || len(done.Accounts) != 2 {
			t.Errorf("nothing new: %+v, %v", done, err)
		}
	}
	if _, err := w.first.Create(t.Context(), "unix:7", w.input("acme", "a1")); !errs.Is(err, "ACCOUNT_EXISTS") || errs.KindOf(err) != errs.AlreadyExists {
		t.Errorf("one that is there: %v", err)
	}
	// Another organization loses all of it, and is told where.
	_, err := w.second.CreateMany(t.Context(), "unix:7", w.input("globex", "g1", "a2", "g2", "b@example.com"))
	if e := errs.As(err); e == nil || e.Reason != "ACCOUNT_TAKEN" || e.Kind != errs.AlreadyExists || len(e.Violations) != 2 || e.Violations[0].Field != "accounts[1]" ||
		strings.Contains(e.Public, "acme") {
		t.Errorf("%v", err)
	}
	if got := w.listed("globex"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	out := w.naming("acme", "a2", "nobody", "b@example.com", "a2")
	for range 2 {
		if done, err := w.first.DeleteMany(t.Context(), "unix:7", out); err != nil || done.Deleted != 2 || done.Revision != 4 {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if got := w.listed("acme"); !slices.Equal(got, []string{"a1", "c@example.com"}) {
		t.Errorf("%v", got)
	}
	if done, err := w.first.DeleteMany(t.Context(), "unix:7", w.naming("acme", "nobody")); err != nil || done.Deleted != 0 || done.Revision != 0 {
		t.Errorf("none: %+v, %v", done, err)
	}
	if done, err := w.second.CreateMany(t.Context(), "unix:7", w.input("globex", "a2", "b@example.com")); err != nil || done.Created != 2 {
		t.Errorf("what was given up: %+v, %v", done, err)
	}
	want := []string{"account.claimed a1", "account.claimed a2 b@example.com c@example.com", "account.released a2 b@example.com"}
	if got := w.told("acme"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestACheckAloneWritesNothing(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("acme", "a1")
	before := len(w.told("acme"))
	in := w.input("acme", "a1", "a2=note")
	in.ValidateOnly = true
	done, err := w.first.CreateMany(t.Context(), "unix:7", in)
	if err != nil || done.Created != 1 || len(done.Accounts) != 2 || done.Accounts[1].Note != "note" || done.Accounts[1].Claim.Revision != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	in.Organization = "globex"
	if _, err := w.first.CreateMany(t.Context(), "unix:7", in); !errs.Is(err, "ACCOUNT_TAKEN") {
		t.Errorf("%v", err)
	}
	owners, err := w.directory.AccountOwners(t.Context(), []policy.AccountKey{naming.New(w.sets.Namer()).AccountOwner("a2")})
	if err != nil || owners[0].OrganizationUID != "" || len(w.told("acme")) != before || len(w.listed("acme")) != 1 {
		t.Errorf("something was written: %+v, %v", owners, err)
	}
	in.Organization, in.ValidateOnly = "acme", false
	if done, err := w.first.CreateMany(t.Context(), "unix:7", in); err != nil || done.Created != 1 {
		t.Errorf("with the same request id: %+v, %v", done, err)
	}
}

func TestNoAccountsOfTheSidecarItselfOrOfNobody(t *testing.T) {
	w := newAccountWorld(t)
	for organization, want := range map[string]string{"system": "ORGANIZATION_RESERVED", "nobody": "ORGANIZATION_NOT_FOUND"} {
		if _, err := w.first.Create(t.Context(), "unix:7", w.input(organization, "a")); !errs.Is(err, want) {
			t.Errorf("%s: %v", organization, err)
		}
		if err := w.first.Delete(t.Context(), "unix:7", w.naming(organization, "a")); !errs.Is(err, want) {
			t.Errorf("%s: %v", organization, err)
		}
		if _, _, err := w.first.Import(t.Context(), "unix:7", directory.ImportBegin{Organization: organization, RequestID: "r"}); !errs.Is(err, want) {
			t.Errorf("%s: %v", organization, err)
		}
	}
	if _, err := w.first.CreateMany(t.Context(), "unix:7", directory.ClaimInput{Organization: "acme", RequestID: "r", Accounts: make([]directory.NewAccount, 501)}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("501: %v", err)
	}
}

func TestTheAdminsOwnAccountIsReleasedOnlyByForce(t *testing.T) {
	w := newAccountWorld(t)
	w.must(directory.ApplyInput{Etag: w.etag(), Force: true, Document: []byte("organization: acme\nsites: [{id: wiki}]\n" +
		"policy: {rules: [{id: guests, match: {domains: [partner-x.com]}, demands: {}}], default: {block: true}}\n")})
	w.claim("acme", "boss@example.com", "else@example.com")
	out := w.naming("acme", "boss@example.com", "else@example.com")
	out.Admin = named(t, "boss@example.com").Address
	if _, err := w.first.DeleteMany(t.Context(), "unix:7", out); !errs.Is(err, "LOCK_OUT") {
		t.Fatalf("%v", err)
	}
	if got := w.listed("acme"); len(got) != 2 {
		t.Errorf("%v", got)
	}
	out.Force = true
	if done, err := w.first.DeleteMany(t.Context(), "unix:7", out); err != nil || done.Deleted != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	all := w.events(w.uids["acme"])
	last := all[len(all)-1]
	if last.Type != audit.TypeAccountReleased || len(last.Changes) != 1 || last.Changes[0].Field != "lock_out" {
		t.Errorf("%+v", last)
	}
}
