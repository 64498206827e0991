package directory_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
)

const admins = `organization: acme
sites: [{id: wiki}, {id: shop, disabled: true}]
connections: [{id: okta, kind: sso, protocol: oidc, oidc: {issuer: "https://idp.partner-x.com", client_id: us, redirect_uris: ["https://login.acme-x.com/cb"]}}]
domains: [acme-x.com, {domain: acme-y.com, include_subdomains: true}]
claims: {addresses: [boss@elsewhere-x.com]}
policy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {methods: [password, "sso:okta"]}}], default: {methods: [password]}}
`

func whose(t *testing.T, s string) policy.Address {
	t.Helper()
	a, err := policy.ParseUsableAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheAdminsOwnAddressIsNotLockedOut(t *testing.T) {
	for name, c := range map[string]struct {
		admin, document string
		locked          bool
	}{
		"a rule that blocks them":              {"ann@partner-x.com", "policy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {block: true}}]}", true},
		"a rule that blocks others":            {"ann@partner-x.com", "policy: {rules: [{id: others, match: {domains: [other-x.com]}, demands: {block: true}}]}", false},
		"a stop of their domain":               {"ann@partner-x.com", "policy: {stops: {domains: [partner-x.com]}}", true},
		"a stop of another domain":             {"ann@partner-x.com", "policy: {stops: {domains: [other-x.com]}}", false},
		"a rule to come":                       {"ann@partner-x.com", "policy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {block: true}, enforce_from: 2199-01-01T00:00:00Z}]}", true},
		"a rule that only reports":             {"ann@partner-x.com", "policy: {rules: [{id: partners, mode: report_only, match: {domains: [partner-x.com]}, demands: {block: true}}]}", false},
		"single sign-on that is verified here": {"ann@partner-x.com", "policy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {sso: okta, mfa: {}}}]}", false},
		"single sign-on that is disabled":      {"ann@partner-x.com", "connections: [{id: okta, kind: sso, protocol: oidc, disabled: true}]\npolicy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {sso: okta}}]}", true},
		"managed, and externals blocked":       {"ann@acme-x.com", "policy: {rules: [{id: partners, match: {domains: [partner-x.com]}, demands: {block: true}}]}", false},
		"managed, and the domain goes":         {"ann@acme-x.com", "domains: [{domain: acme-y.com, include_subdomains: true}]\npolicy: {rules: [{id: old, match: {domains: [acme-x.com]}, demands: {block: true}}]}", true},
		"managed by a subdomain's parent":      {"ann@mail.acme-y.com", "domains: [acme-x.com, acme-y.com]\npolicy: {rules: [{id: old, match: {domains: [{domain: acme-y.com, include_subdomains: true}]}, demands: {block: true}}]}", true},
		"managed, and another domain goes":     {"ann@acme-x.com", "domains: [acme-x.com]", false},
		"claimed":                              {"boss@elsewhere-x.com", "policy: {rules: [{id: no, match: {domains: [elsewhere-x.com]}, demands: {block: true}}]}", false},
		"a demand only another network meets":  {"ann@partner-x.com", "policy: {rules: [{id: office, match: {domains: [partner-x.com], networks: [192.0.2.0/24]}, demands: {methods: [password]}}, {id: partners, match: {domains: [partner-x.com]}, demands: {block: true}}]}", false},
		"every network":                        {"ann@acme-x.com", "policy: {stops: {networks: [0.0.0.0/0]}}", true},
		"a site that was closed to everybody":  {"ann@partner-x.com", "sites: [{id: wiki}, {id: shop}]", false},
		"a site that is disabled":              {"ann@partner-x.com", "sites: [{id: wiki, disabled: true}, {id: shop, disabled: true}]", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			uid := w.must(directory.ApplyInput{Document: []byte(admins)}).Organization.UID
			in := directory.ApplyInput{Document: []byte("organization: acme\n" + c.document), Etag: w.etag(), RequestID: "r-1", Admin: whose(t, c.admin)}
			if name == "every network" { // denies everybody from outside too
				in.Force = true
			}
			before := len(w.events(uid))
			_, err := w.apply(in)
			if in.Force {
				if note := field(w.last(uid), "lock_out"); err != nil || !strings.Contains(note.After, "every external user is denied at wiki") || !strings.Contains(note.After, "the person whose address was given is denied at wiki") {
					t.Fatalf("%v, %+v", err, note)
				}
				return
			}
			if errs.Is(err, directory.ReasonLockOut) != c.locked || err != nil && !c.locked {
				t.Fatalf("locked out: %v", err)
			}
			if !c.locked {
				return
			}
			if strings.Contains(errs.As(err).Public, "@") || len(w.events(uid)) != before {
				t.Errorf("%v", err)
			}
			in.Admin = policy.Address{}
			if name != "managed, and the domain goes" {
				in.RequestID = "r-2"
				w.must(in) // nobody else's way in is lost
				return
			}
			in.Admin, in.Force, in.RequestID = whose(t, c.admin), true, "r-3"
			w.must(in)
			if note := forcedNote(w, uid); !strings.HasPrefix(note, "forced: ") || strings.Contains(note, "@") {
				t.Errorf("%q", note)
			}
		})
	}
}

// forcedNote is what the events of an organization say that was forced.
func forcedNote(w *world, uid string) string {
	note := ""
	for _, e := range w.events(uid) {
		note += field(e, "lock_out").After
	}
	return note
}

func TestADomainWhosePeopleWouldBeDeniedDoesNotGoUnforced(t *testing.T) {
	w := newWorld(t)
	uid := w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki}]\ndomains: [acme-x.com]\npolicy: {default: {block: true}}\n")}).Organization.UID
	in := directory.ApplyInput{Document: []byte("organization: acme\ndomains: []\n"), Etag: w.etag(), RequestID: "r-1"}
	_, err := w.apply(in)
	if !errs.Is(err, directory.ReasonLockOut) || !strings.Contains(errs.As(err).Public, "acme-x.com would be denied at site wiki") {
		t.Fatalf("%v", err)
	}
	in.Force, in.ValidateOnly = true, true
	r := w.must(in)
	if len(r.Changes) != 1 || len(r.Changes[0].Changes) != 1 || r.Changes[0].Changes[0].Field != "lock_out" {
		t.Errorf("%+v", r.Changes)
	}
	in.ValidateOnly = false
	w.must(in)
	if e := w.last(uid); field(e, "lock_out").After != "forced: everybody of acme-x.com is denied at wiki" {
		t.Errorf("%+v", e)
	}
}

func TestTheGuardStandsBeforeSitesAndConnectionsToo(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte(admins)}).Organization.UID
	w.must(directory.ApplyInput{Document: []byte("organization: acme\npolicy: {rules: [{id: all, demands: {sso: okta}}]}\n"), Etag: w.etag()})
	change := okta("okta", "disabled")
	change.Connection.Disabled = true
	if _, err := r.UpdateConnection(t.Context(), "unix:7", change); !errs.Is(err, directory.ReasonLockOut) {
		t.Fatalf("the only way in: %v", err)
	}
	change.Force, change.RequestID = true, "r-2"
	if _, err := r.UpdateConnection(t.Context(), "unix:7", change); err != nil {
		t.Fatal(err)
	}
	if note := field(w.last(uid), "lock_out").After; note != "forced: every external user is denied at wiki" {
		t.Errorf("%q", note)
	}
	w = newWorld(t)
	r = w.resources()
	w.must(directory.ApplyInput{Document: []byte("organization: acme\nsites: [{id: wiki, trusts_account_email: true}]\npolicy: {rules: [{id: p, match: {domains: [partner-x.com]}, demands: {methods: [password]}}], default: {block: true}}\n")})
	s := site("wiki", directory.FieldDisabled)
	s.Site.Disabled = true
	if _, err := r.UpdateSite(t.Context(), "unix:7", s); err != nil {
		t.Errorf("a site that is closed says so: %v", err)
	}
}
