package server_test

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func maskOf(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }

// requests counts request ids.
type requests struct{ n int }

func (r *requests) id() string {
	r.n++
	return fmt.Sprintf("r-%d", r.n)
}

func TestMasksNameWhatACallChangesAndNothingElse(t *testing.T) {
	s := newSidecar(t)
	var r requests
	before, err := s.dir.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: acme})
	if err != nil {
		t.Fatal(err)
	}
	update := map[string]func(mask *fieldmaskpb.FieldMask) error{
		"organization": func(mask *fieldmaskpb.FieldMask) error {
			_, err := s.dir.UpdateOrganization(s.ctx(), &posternv1.UpdateOrganizationRequest{Organization: &posternv1.Organization{Name: acme, DisplayName: "no"}, UpdateMask: mask, RequestId: r.id()})
			return err
		},
		"site": func(mask *fieldmaskpb.FieldMask) error {
			_, err := s.dir.UpdateSite(s.ctx(), &posternv1.UpdateSiteRequest{Site: &posternv1.Site{Name: acme + "/sites/wiki", DisplayName: "no"}, UpdateMask: mask, RequestId: r.id()})
			return err
		},
		"connection": func(mask *fieldmaskpb.FieldMask) error {
			_, err := s.dir.UpdateConnection(s.ctx(), &posternv1.UpdateConnectionRequest{Connection: &posternv1.Connection{Name: acme + "/connections/google", DisplayName: "no"}, UpdateMask: mask, RequestId: r.id()})
			return err
		},
	}
	for what, call := range update {
		failed(t, call(nil), "INVALID_ARGUMENT", "FIELD_REQUIRED")
		failed(t, call(maskOf()), "INVALID_ARGUMENT", "FIELD_REQUIRED")
		failed(t, call(maskOf("display name")), "INVALID_ARGUMENT", "FIELD_INVALID")
		failed(t, call(maskOf(slices.Repeat([]string{"display_name"}, 65)...)), "INVALID_ARGUMENT", "FIELD_INVALID")
		for _, path := range []string{"*", "uid", "etag", "name", "origin", "nobody", "display_name.x", "", "disabled.", "kind", "protocol", "id", "oidc.nobody", "secret", "revision"} {
			if err := call(maskOf("display_name", path)); err == nil {
				t.Errorf("%s: %q was taken", what, path)
			} else {
				failed(t, err, "INVALID_ARGUMENT", "MASK_INVALID")
			}
		}
	}
	after, err := s.dir.GetOrganization(s.ctx(), &posternv1.GetOrganizationRequest{Name: acme})
	if err != nil || !proto.Equal(before, after) {
		t.Errorf("something changed: %v, %v", after, err)
	}
}

func TestWhatWasReadCanBeSentBackChanged(t *testing.T) {
	s := newSidecar(t)
	var r requests
	site, err := s.dir.GetSite(s.ctx(), &posternv1.GetSiteRequest{Name: acme + "/sites/wiki"})
	if err != nil || site.GetName() != acme+"/sites/wiki" || site.GetEtag() == "" || site.GetOrigin() != posternv1.Origin_ORIGIN_DOCUMENT {
		t.Fatalf("%v, %v", site, err)
	}
	sent, _ := proto.Clone(site).(*posternv1.Site)
	sent.DisplayName, sent.Disabled = "Wiki", true
	got, err := s.dir.UpdateSite(s.ctx(), &posternv1.UpdateSiteRequest{Site: sent, UpdateMask: maskOf("display_name"), RequestId: r.id()})
	if err != nil || got.GetDisplayName() != "Wiki" || got.GetDisabled() || got.GetUid() != site.GetUid() || got.GetEtag() == site.GetEtag() || got.GetOrigin() != posternv1.Origin_ORIGIN_API {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = s.dir.UpdateSite(s.ctx(), &posternv1.UpdateSiteRequest{Site: sent, UpdateMask: maskOf("disabled"), RequestId: r.id()})
	failed(t, err, "ABORTED", "ETAG_MISMATCH") // the version within counts when none is given beside
	c, err := s.dir.GetConnection(s.ctx(), &posternv1.GetConnectionRequest{Name: acme + "/connections/okta"})
	if err != nil {
		t.Fatal(err)
	}
	c.Oidc = &posternv1.Connection_Oidc{Issuer: "https://idp.partner-postern-demo.com", ClientId: "us"}
	c.Domains = []*posternv1.DomainMatch{{Domain: "Partner-Postern-Demo.COM"}}
	c, err = s.dir.UpdateConnection(s.ctx(), &posternv1.UpdateConnectionRequest{Connection: c, UpdateMask: maskOf("oidc", "domains"), RequestId: r.id()})
	if err != nil || c.GetOidc().GetClientId() != "us" || c.GetDomains()[0].GetDomain() != "partner-postern-demo.com" || c.GetProtocol() != posternv1.Connection_PROTOCOL_OIDC {
		t.Fatalf("%v, %v", c, err)
	}
}

func TestWhatSomebodyElseFillsInIsNotTakenWithANewResource(t *testing.T) {
	s := newSidecar(t)
	var r requests
	for _, o := range []*posternv1.Organization{{Uid: "x"}, {Name: "organizations/new"}, {Etag: "aa"}, {Revision: 3}, {ClaimCount: 1}} {
		_, err := s.dir.CreateOrganization(s.ctx(), &posternv1.CreateOrganizationRequest{OrganizationId: "new", Organization: o, RequestId: r.id()})
		failed(t, err, "INVALID_ARGUMENT", "FIELD_UNEXPECTED")
	}
	for _, o := range []*posternv1.Organization{{Sites: []*posternv1.Site{{Id: "wiki"}}}, {Policy: &posternv1.Policy{}}, {Domains: []*posternv1.Domain{{}}}, {Connections: []*posternv1.Connection{{}}}} {
		_, err := s.dir.CreateOrganization(s.ctx(), &posternv1.CreateOrganizationRequest{OrganizationId: "new", Organization: o, RequestId: r.id()})
		failed(t, err, "INVALID_ARGUMENT", "FIELD_INVALID")
	}
	for _, site := range []*posternv1.Site{{Uid: "x"}, {Id: "shop"}, {Origin: posternv1.Origin_ORIGIN_DOCUMENT}, {Name: acme + "/sites/shop"}} {
		_, err := s.dir.CreateSite(s.ctx(), &posternv1.CreateSiteRequest{Parent: acme, SiteId: "shop", Site: site, RequestId: r.id()})
		failed(t, err, "INVALID_ARGUMENT", "FIELD_UNEXPECTED")
	}
	sso := posternv1.Connection_KIND_SSO
	for _, c := range []*posternv1.Connection{{Kind: sso, HasSecret: true}, {Kind: sso, Uid: "x"}, {Kind: sso, Etag: "aa"}, {Kind: sso, Id: "x"}} {
		_, err := s.dir.CreateConnection(s.ctx(), &posternv1.CreateConnectionRequest{Parent: acme, ConnectionId: "new", Connection: c, RequestId: r.id()})
		failed(t, err, "INVALID_ARGUMENT", "FIELD_UNEXPECTED")
	}
	_, err := s.dir.CreateConnection(s.ctx(), &posternv1.CreateConnectionRequest{Parent: acme, ConnectionId: "new", Connection: &posternv1.Connection{}, RequestId: r.id()})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_REQUIRED")
	_, err = s.dir.DeleteOrganization(s.ctx(), &posternv1.DeleteOrganizationRequest{Name: acme, RequestId: r.id(), Reason: "x"})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_REQUIRED")
	_, err = s.dir.UpdateSite(s.ctx(), &posternv1.UpdateSiteRequest{UpdateMask: maskOf("disabled"), RequestId: r.id()})
	failed(t, err, "INVALID_ARGUMENT", "NAME_INVALID")
	_, err = s.dir.DeleteSite(s.ctx(), &posternv1.DeleteSiteRequest{Name: acme + "/sites/wiki"})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_REQUIRED")
	_, err = s.dir.CreateSite(s.ctx(), &posternv1.CreateSiteRequest{Parent: acme, SiteId: "shop", RequestId: r.id(), AdminEmail: "not an address"})
	failed(t, err, "INVALID_ARGUMENT", "ADDRESS_NO_AT")
}

func TestSitesAreListedInPagesByID(t *testing.T) {
	s := newSidecar(t)
	var r requests
	for _, id := range []string{"b", "a", "zoo"} {
		if _, err := s.dir.CreateSite(s.ctx(), &posternv1.CreateSiteRequest{Parent: acme, SiteId: id, RequestId: r.id()}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	q := &posternv1.ListSitesRequest{Parent: acme, PageSize: 2}
	for {
		page, err := s.dir.ListSites(s.ctx(), q)
		if err != nil || len(page.GetSites()) == 0 || len(page.GetSites()) > 2 {
			t.Fatalf("%v, %v", page, err)
		}
		for _, site := range page.GetSites() {
			got = append(got, site.GetId())
			if site.GetName() != acme+"/sites/"+site.GetId() || site.GetEtag() == "" {
				t.Errorf("%v", site)
			}
		}
		if q.PageToken = page.GetNextPageToken(); q.GetPageToken() == "" {
			break
		}
	}
	if !slices.Equal(got, []string{"a", "b", "closed", "wiki", "zoo"}) {
		t.Errorf("%v", got)
	}
	q.PageToken = "bm9uc2Vuc2U"
	_, err := s.dir.ListSites(s.ctx(), q)
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
	_, err = s.dir.ListSites(s.ctx(), &posternv1.ListSitesRequest{Parent: "organizations/nobody"})
	failed(t, err, "NOT_FOUND", "ORGANIZATION_NOT_FOUND")
	_, err = s.dir.GetSite(s.ctx(), &posternv1.GetSiteRequest{Name: acme + "/sites/nobody"})
	failed(t, err, "NOT_FOUND", "SITE_NOT_FOUND")
}
