package directorytest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

var same = cmp.Options{cmp.AllowUnexported(policy.Domain{}), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{})}

// rich is an organization with something in every field.
func rich(t *testing.T, o *policy.Organization) *policy.Organization {
	t.Helper()
	next := *o
	next.DisplayName, next.Disabled, next.AllowUnreadable = "Acme Inc.", true, true
	next.Sites = []policy.Site{{ID: "wiki", UID: newID(), DisplayName: "Wiki", Hostnames: []string{"wiki.example.org"}, TrustsAccountEmail: true, Origin: audit.OriginDocument,
		ProofsNotBefore: time.Date(2026, 11, 20, 8, 0, 0, 7, time.UTC)}}
	next.ProofsNotBefore = time.Date(2026, 11, 19, 8, 0, 0, 9, time.UTC)
	next.SuspendedUntil = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	next.Connections = []policy.Connection{{ID: "okta", UID: newID(), Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML, Disabled: true, Origin: audit.OriginAPI,
		Domains: []policy.DomainMatch{{Domain: domain(t, "partner.example.org"), Subdomains: true}}, TrustsEmail: true,
		SAML: &policy.SAML{EntityID: "urn:idp", PostURL: "https://idp.example.org/", Certificates: [][]byte{{1, 2}}, SPEntityID: "urn:sp", ACSURLs: []string{"https://login.example.org/"},
			Key: []byte("sealed key")}, SecretUpdated: time.Date(2026, 11, 18, 8, 0, 0, 5, time.UTC)},
		{ID: "corp", UID: newID(), Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, Origin: audit.OriginDocument, LinksByEmail: true,
			OIDC: &policy.OIDC{Issuer: "https://idp.example.org", ClientID: "us", Secret: []byte("sealed secret"), Scopes: []string{"openid"}}, SecretUpdated: time.Date(2026, 11, 18, 8, 0, 0, 6, time.UTC)},
		{ID: "google", UID: newID(), Kind: policy.ConnectionSocial, Protocol: policy.ProtocolOIDC, Preset: policy.PresetGoogle, OIDC: &policy.OIDC{ClientID: "us"}}}
	next.Policy = policy.Policy{
		Rules: []policy.Rule{{
			ID: "partners", Mode: policy.ModeReportOnly, EnforceFrom: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), EnrolmentGrace: time.Hour,
			Match: policy.Match{Domains: []policy.DomainMatch{{Domain: domain(t, "partner.example.org"), Subdomains: true}}, Accounts: []policy.AccountKey{{3}},
				Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Kinds: []audit.SubjectKind{audit.SubjectPerson}, Sites: []string{"wiki"}},
			Demands: policy.Demands{SSOConnection: "okta", MFA: &policy.MFADemand{Factors: []string{"TOTP"}, MaxAge: time.Minute}},
			Message: "Use your own sign-in.", Origin: audit.OriginDocument,
		}},
		Default: policy.Demands{Methods: []string{"password"}}, Stops: policy.Stops{External: true},
		AccountLists: []policy.AccountList{{Name: "board", Accounts: []policy.AccountKey{{4}}}}, RecordClasses: []audit.Class{audit.ClassManaged},
	}
	return &next
}

var readCases = map[string]func(*testing.T, *Harness){
	"an organization comes back as it was committed": func(t *testing.T, h *Harness) {
		o := rich(t, created(t, h, "acme"))
		must(t, h, policy.Change{Organization: o, WritePolicy: true})
		for name, d := range map[string]policy.Directory{"same": h.Directory, "other": h.Second} {
			got := current(t, d, o.UID)
			want := *o
			want.Stamp, want.PolicyStamp, want.Revision, want.Updated = got.Stamp, got.PolicyStamp, 2, got.Updated
			if diff := cmp.Diff(&want, got, same); diff != "" {
				t.Errorf("%s process (-committed +read):\n%s", name, diff)
			}
			if got.Stamp == o.Stamp || got.PolicyStamp == o.PolicyStamp || got.Created.IsZero() || got.Updated.Before(got.Created) {
				t.Errorf("%s process: stamps did not move, or times are wrong: %+v", name, got)
			}
		}
	},
	"an id leads to its organization once that exists": func(t *testing.T, h *Harness) {
		if _, err := h.Directory.Resolve(t.Context(), "acme"); !errs.Is(err, "ORGANIZATION_NOT_FOUND") || errs.KindOf(err) != errs.NotFound {
			t.Errorf("unknown: %v", err)
		}
		uid, err := h.Directory.Reserve(t.Context(), "acme", newID())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.Second.Reserve(t.Context(), "acme", newID()); err != nil || again != uid {
			t.Errorf("reserved twice: %s and %s, %v", uid, again, err)
		}
		if _, err := h.Second.Resolve(t.Context(), "acme"); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
			t.Errorf("only reserved: %v", err)
		}
		if list, err := h.Second.Organizations(t.Context(), "", 10); err != nil || len(list) != 0 {
			t.Errorf("only reserved, and listed: %v, %v", list, err)
		}
		o := created(t, h, "acme")
		for range 2 {
			if got, err := h.Second.Resolve(t.Context(), "acme"); err != nil || got != o.UID || got != uid {
				t.Errorf("%s, %v", got, err)
			}
		}
		if _, err := h.Directory.Organization(t.Context(), newID()); !errs.Is(err, "ORGANIZATION_NOT_FOUND") {
			t.Errorf("a uid of nobody: %v", err)
		}
	},
	"a read that asks sees the newest record, the cached one may be old and is never half": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		old := current(t, h.Second, o.UID)
		next := rich(t, o)
		must(t, h, policy.Change{Organization: next, WritePolicy: true})
		if got, err := h.Second.Cached(t.Context(), o.UID); err != nil || cmp.Diff(old, got, same) != "" {
			t.Errorf("cached: %v", err)
		}
		if got := current(t, h.Second, o.UID); got.DisplayName != "Acme Inc." || old.DisplayName != "The acme" {
			t.Errorf("read: %q, and what was read before is now %q", got.DisplayName, old.DisplayName)
		}
		if got, err := h.Second.Cached(t.Context(), o.UID); err != nil || got.DisplayName != "Acme Inc." {
			t.Errorf("cached after the read: %v", err)
		}
	},
	"a commit of domains moves the version and not the policy stamp": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		must(t, h, policy.Change{Organization: o, AddDomains: []policy.DomainRecord{record(t, "example.org")}})
		for _, d := range []policy.Directory{h.Directory, h.Second} {
			got := current(t, d, o.UID)
			if got.PolicyStamp != o.PolicyStamp || got.Stamp == o.Stamp || got.Revision != 2 || got.DisplayName != o.DisplayName {
				t.Errorf("%+v", got)
			}
		}
	},
	"domains and claims are found, counted, paged and dropped": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		var records []policy.DomainRecord
		for i := range 25 {
			records = append(records, record(t, fmt.Sprintf("d%02d.example.org", i)))
		}
		must(t, h, policy.Change{Organization: o, AddDomains: records})
		o = current(t, h.Directory, o.UID)
		must(t, h, policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{claim(1), claim(2)}})
		o = current(t, h.Directory, o.UID)
		must(t, h, policy.Change{Organization: o, AddDomains: records[:2], AddClaims: []policy.ClaimRecord{claim(2)}}) // there already
		o = current(t, h.Directory, o.UID)
		must(t, h, policy.Change{Organization: o, DropDomains: []policy.Domain{records[3].Domain, domain(t, "never.example.org")}})
		var names []string
		after := policy.Domain{}
		for {
			page, err := h.Second.Domains(t.Context(), o.UID, after, 10)
			if err != nil || page.DomainCount != 24 || page.ClaimCount != 2 {
				t.Fatalf("%d domains, %d claims, %v", page.DomainCount, page.ClaimCount, err)
			}
			for _, r := range page.Domains {
				names = append(names, r.Domain.String())
				after = r.Domain
			}
			if len(page.Domains) < 10 {
				break
			}
		}
		if len(names) != 24 || strings.Join(names, " ") < names[0] || names[0] != "d00.example.org" || names[3] != "d04.example.org" {
			t.Errorf("pages: %v", names)
		}
		got, err := h.Second.ListsDomains(t.Context(), o.UID, []policy.Domain{records[0].Domain, records[3].Domain, records[5].Domain})
		if err != nil || len(got) != 2 || got[records[0].Domain].Revision != 4 || got[records[5].Domain].Revision != 2 {
			t.Errorf("lists: %v, %v", got, err)
		}
		claims, err := h.Second.ListsClaims(t.Context(), o.UID, []policy.AccountKey{claim(1).Key, claim(9).Key})
		if err != nil || len(claims) != 1 || claims[claim(1).Key].Revision != 3 || claims[claim(1).Key].Kind != policy.ClaimAccount {
			t.Errorf("claims: %v, %v", claims, err)
		}
	},
	"a connection's secret moves the policy stamp when it comes and when it goes, and stays where it is": func(t *testing.T, h *Harness) {
		o := rich(t, created(t, h, "acme"))
		must(t, h, policy.Change{Organization: o, WritePolicy: true})
		o = current(t, h.Directory, o.UID)
		for _, sealed := range [][]byte{[]byte("another"), nil} {
			next := *o
			next.Connections = slices.Clone(o.Connections)
			next.Connections[1] = o.Connections[1].WithSecret(sealed, moment)
			must(t, h, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{event(o, audit.TypeConnectionUpdated)}})
			got := current(t, h.Second, o.UID)
			if got.PolicyStamp == o.PolicyStamp || string(got.Connections[1].Sealed()) != string(sealed) || string(got.Connections[0].Sealed()) != "sealed key" ||
				got.Connections[1].SecretUpdated.IsZero() != (sealed == nil) || len(got.Connections[2].Sealed()) != 0 {
				t.Errorf("%q: %+v", sealed, got.Connections)
			}
			if string(o.Connections[1].Sealed()) == string(sealed) {
				t.Error("what was read before has changed")
			}
			o = current(t, h.Directory, o.UID)
		}
	},
	"organizations are listed in order of their ids, in pages": func(t *testing.T, h *Harness) {
		for _, id := range []string{"delta", "alpha", "charlie", "bravo"} {
			created(t, h, id)
		}
		if _, err := h.Directory.Reserve(t.Context(), "beta", newID()); err != nil { // never created
			t.Fatal(err)
		}
		var got []string
		for after := ""; ; {
			page, err := h.Second.Organizations(t.Context(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				got, after = append(got, o.ID+" "+o.DisplayName), o.ID
				if o.UID == "" || o.Stamp.IsZero() || o.Revision != 1 || o.Created.IsZero() {
					t.Errorf("%+v", o)
				}
			}
			if len(page) < 2 {
				break
			}
		}
		if d := cmp.Diff([]string{"alpha The alpha", "bravo The bravo", "charlie The charlie", "delta The delta"}, got); d != "" {
			t.Error(d)
		}
	},
	"a record that is too large is refused": func(t *testing.T, h *Harness) {
		o := *created(t, h, "acme")
		for i := range 600 {
			o.Policy.Rules = append(o.Policy.Rules, policy.Rule{ID: fmt.Sprintf("r%d", i), Mode: policy.ModeEnforce, Message: strings.Repeat("x", 500)})
		}
		if _, _, err := h.Directory.Commit(t.Context(), policy.Change{Organization: &o, WritePolicy: true}); !errs.Is(err, "POLICY_TOO_LARGE") || errs.KindOf(err) != errs.Invalid {
			t.Errorf("%v", err)
		}
	},
}
