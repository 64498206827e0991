package past_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/past"
)

// same compares organizations as far as the history has them.
var same = cmp.Options{
	cmpopts.EquateComparable(policy.Domain{}),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(policy.Organization{}, "Stamp", "PolicyStamp", "Created", "Updated", "Key"),
}

var (
	someDomains = []string{"a.example.org", "example.org", "b.example.net"}
	someKeys    = []policy.AccountKey{{}, {1}, {2}, {'d', 'a'}}
)

// seen is what the live store said at a moment.
type seen struct {
	at           time.Time
	organization *policy.Organization
	records      map[policy.LookupKeys]policy.Records
}

func (w *world) see(t fataler, uid string) seen {
	t.Helper()
	s := seen{organization: w.current(t, uid), records: map[policy.LookupKeys]policy.Records{}}
	for i, d := range append(someDomains, "deep.a.example.org", "") {
		keys := policy.LookupKeys{Account: someKeys[i%len(someKeys)], Address: someKeys[(i+1)%len(someKeys)]}
		if d != "" {
			keys.Domain = domain(t, d)
		}
		s.records[keys] = w.read(t, uid, keys)
	}
	s.at = w.moment(t)
	return s
}

// change makes a change of any kind.
func (w *world) change(t *rapid.T, o *policy.Organization, n int) {
	names := func(label string) (out []policy.Domain) {
		for _, d := range rapid.SliceOfNDistinct(rapid.SampledFrom(someDomains), 1, 3, rapid.ID).Draw(t, label) {
			out = append(out, domain(t, d))
		}
		return out
	}
	keys := func(label string) []policy.AccountKey {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(someKeys[1:]), 1, 3, rapid.ID).Draw(t, label)
	}
	c := policy.Change{Organization: o}
	typ := audit.TypeOrganizationUpdated
	next := *o
	switch kind := rapid.IntRange(0, 6).Draw(t, "change"); kind {
	case 0, 1:
		typ, c.Organization, c.WritePolicy = audit.TypePolicyUpdated, &next, true
		next.Policy = policy.Policy{Default: policy.Demands{SessionLength: time.Duration(n+1) * time.Minute}, Stops: policy.Stops{External: kind == 0}}
		next.AllowUnreadable = kind == 1
	case 2:
		typ, c.Organization, c.WritePolicy = audit.TypeSiteUpdated, &next, true
		next.Sites = []policy.Site{{ID: "wiki", UID: o.Sites[0].UID, Disabled: n%2 == 0, Hostnames: []string{fmt.Sprintf("w%d.example.org", n)}}}
		next.Connections = []policy.Connection{{ID: "okta", UID: o.UID, Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, Origin: audit.OriginAPI,
			OIDC: &policy.OIDC{Issuer: "https://idp.example.org", ClientID: "us", Secret: []byte(fmt.Sprintf("hidden-%d", n))}, SecretUpdated: time.Unix(int64(n), 0).UTC()}}
	case 3:
		typ = audit.TypeDomainVerified
		for _, d := range names("added") {
			c.AddDomains = append(c.AddDomains, policy.DomainRecord{Domain: d, Subdomains: n%2 == 0, VerifiedBy: policy.VerifiedByOperator, Origin: audit.OriginAPI, Stale: n%3 == 0})
		}
	case 4:
		typ, c.DropDomains = audit.TypeDomainRemoved, names("dropped")
	case 5:
		typ = audit.TypeAccountClaimed
		for _, k := range keys("claimed") {
			c.AddClaims = append(c.AddClaims, policy.ClaimRecord{Key: k, Kind: policy.ClaimAddress, Origin: audit.OriginDocument, Created: time.Unix(5, 0),
				Personal: &audit.Sealed{Salt: []byte("s"), Data: []byte("hidden-person"), Digest: []byte("x")}})
		}
	case 6:
		typ, c.DropClaims = audit.TypeAccountReleased, keys("released")
	}
	c.Events = []audit.Event{event(o, typ)}
	w.commit(t, c)
}

// TestWhatWasIsFoundAtEachMoment makes changes at random and looks at what the live store says after each; later the history has to
// say the same of each of those moments.
func TestWhatWasIsFoundAtEachMoment(t *testing.T) {
	w := newWorld(t)
	before := w.moment(t)
	rapid.Check(t, func(t *rapid.T) {
		o := w.create(t, "org-"+newID()[24:])
		all := []seen{w.see(t, o.UID)}
		for n := range rapid.IntRange(1, 12).Draw(t, "changes") {
			w.change(t, w.current(t, o.UID), n)
			all = append(all, w.see(t, o.UID))
		}
		if _, err := w.past.At(w.ctx, o.UID, all[0].at); !errs.Is(err, audit.HistoryNotArchived) || errs.KindOf(err) != errs.FailedPrecondition {
			t.Fatalf("before anything is archived: %v", err)
		}
		w.flush(t)
		if _, err := w.past.At(w.ctx, o.UID, before); !errs.Is(err, audit.HistoryUnknown) || errs.KindOf(err) != errs.NotFound {
			t.Fatalf("before it existed: %v", err)
		}
		for i, s := range all {
			m, err := w.past.At(w.ctx, o.UID, s.at)
			if err != nil {
				t.Fatal(err)
			}
			want := *s.organization
			want.Connections = withoutSecrets(want.Connections)
			if diff := cmp.Diff(&want, m.Organization, same); diff != "" {
				t.Errorf("after change %d (-live +history):\n%s", i, diff)
			}
			if got, want := m.Organization.PolicyStamp.Counter(), s.organization.PolicyStamp.Counter(); got != want {
				t.Errorf("after change %d: policy of revision %d, was %d", i, got, want)
			}
			for keys, want := range s.records {
				got, err := w.past.Records(w.ctx, m, keys)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, same); diff != "" {
					t.Errorf("after change %d, %+v (-live +history):\n%s", i, keys, diff)
				}
			}
		}
	})
	w.nothingHidden(t)
}

// withoutSecrets is connections as the history has them.
func withoutSecrets(list []policy.Connection) (out []policy.Connection) {
	for _, c := range list {
		settings := *c.OIDC
		settings.Secret, c.SecretUpdated, c.OIDC = nil, time.Time{}, &settings
		out = append(out, c)
	}
	return out
}

// nothingHidden fails when anything secret or personal is in the archive's files.
func (w *world) nothingHidden(t *testing.T) {
	t.Helper()
	if err := w.archive.Close(); err != nil { // all of it is in the file then
		t.Fatal(err)
	}
	b, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte("idp.example.org")) {
		t.Error("the history is not in that file at all")
	}
	if i := bytes.Index(b, []byte("hidden")); i >= 0 {
		t.Errorf("the archive holds %q", b[i:min(i+40, len(b))])
	}
}

func TestAMomentThatIsNotArchivedIsToldFromOneThatIs(t *testing.T) {
	w := newWorld(t)
	o := w.create(t, "acme")
	created := w.moment(t)
	w.flush(t)
	o = w.revise(t, o, "why", func(o *policy.Organization) { o.Policy.Stops.External = true })
	revised := w.moment(t)
	if _, err := w.past.At(w.ctx, o.UID, created); err != nil {
		t.Errorf("archived before the change that waits: %v", err)
	}
	for _, at := range []time.Time{revised, revised.Add(time.Hour), time.Unix(math.MaxInt32, 0)} {
		_, err := w.past.At(w.ctx, o.UID, at)
		if !errs.Is(err, audit.HistoryNotArchived) || !strings.Contains(err.Error(), "archived until 20") || errs.As(err).Meta["archived_until"] == "" {
			t.Errorf("at %v: %v", at, err)
		}
	}
	w.flush(t)
	m, err := w.past.At(w.ctx, o.UID, revised)
	if err != nil || !m.Organization.Policy.Stops.External {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := w.past.At(w.ctx, o.UID, time.Now().Add(time.Hour)); !errs.Is(err, audit.HistoryNotArchived) {
		t.Errorf("the future: %v", err)
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1<<40, 0)} {
		if _, err := w.past.At(w.ctx, o.UID, at); !errs.Is(err, audit.HistoryUnknown) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

func TestTheChangeThatWroteThePolicyIsTold(t *testing.T) {
	w := newWorld(t)
	o := w.create(t, "acme")
	created := w.moment(t)
	o = w.revise(t, o, "the partner asked", func(o *policy.Organization) { o.Policy.Stops.External = true })
	w.commit(t, policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{{Key: policy.AccountKey{7}, Kind: policy.ClaimAccount}}, Events: []audit.Event{event(o, audit.TypeAccountClaimed)}})
	later := w.moment(t)
	w.flush(t)
	w.process(t) // another process: it has met no key yet
	for at, want := range map[time.Time]struct {
		number int64
		typ    audit.Type
		why    string
	}{created: {1, audit.TypeOrganizationCreated, ""}, later: {2, audit.TypePolicyUpdated, "the partner asked"}} {
		m, err := w.past.At(w.ctx, o.UID, at)
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.past.Written(w.ctx, m)
		if err != nil || r.Number != want.number || r.Event.Type != want.typ || r.Event.Personal.Detail != want.why || r.Event.Caller != "unix:7" || r.Event.RecordedTime.IsZero() {
			t.Errorf("at %v: %+v, %v", at, r, err)
		}
	}
}

func TestARecordOfAnotherOrganizationIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	a, b := w.create(t, "acme"), w.create(t, "bolt")
	at := w.moment(t)
	w.flush(t)
	m, err := w.past.At(w.ctx, a.UID, at)
	if err != nil || m.Organization.ID != "acme" {
		t.Fatalf("%+v, %v", m, err)
	}
	if m, err = w.past.At(w.ctx, b.UID, at); err != nil || m.Organization.ID != "bolt" {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, err = w.past.At(w.ctx, newID(), at); !errs.Is(err, audit.HistoryUnknown) {
		t.Errorf("nobody's history: %v", err)
	}
}

func TestAPartThatIsMissingIsNamed(t *testing.T) {
	if _, err := past.New(past.Config{}); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Error(err)
	}
}
