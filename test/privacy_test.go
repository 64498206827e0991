package test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// keptDocument is the canaries' organization, whose record keeps nothing of people that it can leave out, in one region.
var keptDocument = strings.Replace(canaryDocument, "sites: [{id: door}]",
	"privacy: {email: omitted, ip: omitted, user_content: omitted}\nsites: [{id: door, region: eu}]", 1)

// leftOut are the values that such a record has nowhere.
func leftOut() []string {
	return []string{"Canary0mail", "canary0mail", "canary0domain", canaryDisplay, canaryAgent, canaryDevice, canaryIP, canaryDetail, "canary0claims", "canary0claim@"}
}

// without looks for what must not be there in a message as callers get it.
func without(t *testing.T, what string, m proto.Message) {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range leftOut() {
		if strings.Contains(string(b), canary) {
			t.Errorf("%s has %q: %s", what, canary, b)
		}
	}
}

// TestWhatARecordDoesNotKeepIsInNoAnswer plays every sign-in of the canaries at an organization that keeps as little of people as can be,
// and reads them while they are under way and from the archive.
func TestWhatARecordDoesNotKeepIsInNoAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, "POSTERN_ARCHIVE_REGION=eu")
	s := &canaries{t: t, p: r.start("all", "signin", "archiver", "api")}
	s.p.apply(canaryOrganization, keptDocument)
	s.signIns()
	flows := posternv1.NewFlowServiceClient(s.p.conn)
	live, err := flows.GetFlow(s.ctx(), &posternv1.GetFlowRequest{Name: s.last})
	if err != nil || live.GetArchived() || len(live.GetSteps()) == 0 {
		t.Fatalf("%v, %v", live, err)
	}
	without(t, "a flow under way", live)
	var events []*posternv1.Event
	if err := eventually(30*time.Second, func(context.Context) (err error) {
		events, err = s.p.record(canaryOrganization)
		if err == nil && !slices.ContainsFunc(events, func(e *posternv1.Event) bool { return e.GetFlow() != "" && strings.HasSuffix(s.last, "/"+e.GetFlow()) }) {
			err = fmt.Errorf("the last flow is not archived: %d events", len(events))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	accounts := 0
	for _, e := range events {
		without(t, e.GetType(), e)
		if p := e.GetPrivacy(); p.GetEmail() != posternv1.Privacy_EMAIL_OMITTED || p.GetIp() != posternv1.Privacy_IP_OMITTED || p.GetUserContent() != posternv1.Privacy_USER_CONTENT_OMITTED {
			t.Errorf("%s says %v", e.GetType(), p)
		}
		if (e.GetSite() == "door") != (e.GetRegion() == "eu") {
			t.Errorf("%s of site %q says region %q", e.GetType(), e.GetSite(), e.GetRegion())
		}
		if e.GetPersonal().GetAccountId() == canaryAccount {
			accounts++
		}
	}
	if len(events) < 25 || accounts < 10 {
		t.Errorf("%d events, %d of the account: nothing was proved", len(events), accounts)
	}
	list, err := flows.ListFlows(s.ctx(), &posternv1.ListFlowsRequest{Parent: canaryOrganization})
	if err != nil || len(list.GetFlows()) < 4 {
		t.Fatalf("%v, %v", list, err)
	}
	without(t, "the list of flows", list)
	for _, f := range list.GetFlows() {
		whole, err := flows.GetFlow(s.ctx(), &posternv1.GetFlowRequest{Name: f.GetName()})
		if err != nil {
			t.Fatal(err)
		}
		without(t, "a flow of the archive", whole)
	}
}

// TestReasonsAndNamesKeepNoAddressWhereTheRecordKeepsNone asks for what is written by stores of its own, each time with an address.
func TestReasonsAndNamesKeepNoAddressWhereTheRecordKeepsNone(t *testing.T) {
	t.Parallel()
	r := newRig(t, "POSTERN_ARCHIVE_REGION=eu")
	p := r.start("all", "signin", "archiver", "api")
	p.apply(canaryOrganization, keptDocument)
	client, why := posternv1.NewEventServiceClient(p.conn), "asked by canary0claim@canary0domain.example"
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	_, exported := client.CreateExport(ctx, &posternv1.CreateExportRequest{Parent: canaryOrganization, Format: posternv1.Export_FORMAT_CSV, RequestId: "x-1", Reason: why})
	_, saved := client.CreateSavedFilter(ctx, &posternv1.CreateSavedFilterRequest{
		Parent: canaryOrganization, SavedFilterId: "theirs", RequestId: "f-1", SavedFilter: &posternv1.SavedFilter{DisplayName: why, Filter: &posternv1.EventFilter{}},
	})
	_, erased := client.EraseSubject(ctx, &posternv1.EraseSubjectRequest{Parent: canaryOrganization, AccountId: canaryAccount, RequestId: "e-1", Reason: why})
	if err := errors.Join(exported, saved, erased); err != nil {
		t.Fatal(err)
	}
	want := []string{"export.created", "filter.saved", "subject.erasure_requested"}
	var events []*posternv1.Event
	if err := eventually(30*time.Second, func(ctx context.Context) (err error) {
		events, err = p.record(canaryOrganization)
		for _, kind := range want {
			if err == nil && !slices.ContainsFunc(events, func(e *posternv1.Event) bool { return e.GetType() == kind }) {
				err = fmt.Errorf("%s is not archived", kind)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		without(t, e.GetType(), e)
		if slices.Contains(want, e.GetType()) && e.GetPersonal().GetDetail() != "asked by [omitted]" {
			t.Errorf("%s says %q", e.GetType(), e.GetPersonal().GetDetail())
		}
	}
}

// TestSettingsOfARecordAreSetAtATerminalAndReachTheArchive sets retention and privacy as an administrator would.
func TestSettingsOfARecordAreSetAtATerminalAndReachTheArchive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("all", "signin", "archiver", "api")
	p.apply(canaryOrganization, canaryDocument)
	out, _ := p.command("org", "get", "canary")
	if !strings.Contains(out, "sign-ins 180 days, administration 180 days, activity 180 days") || !strings.Contains(out, "e-mail full, ip full, user content kept") {
		t.Errorf("what is standard:\n%s", out)
	}
	out, _ = p.command("org", "update", "canary", "--retention-sign-in", "30", "--hold", "--hold-reason", "case 7", "--privacy-email", "pseudonym", "--reason", "review")
	if !strings.Contains(out, "sign-ins 30 days, administration 180 days, activity 180 days; ON HOLD (case 7)") || !strings.Contains(out, "e-mail pseudonym, ip full, user content kept") {
		t.Errorf("what was set:\n%s", out)
	}
	if err := eventually(30*time.Second, func(context.Context) error {
		for _, l := range p.logged("how long a record is kept has changed") {
			if strings.Contains(l, `"sign_in_days":30,"administration_days":180,"activity_days":180,"hold":true`) {
				return nil
			}
		}
		return fmt.Errorf("the archive has not heard of it")
	}); err != nil {
		t.Fatal(err)
	}
	out, _ = p.command("site", "update", "canary", "door", "--privacy-email", "full", "--privacy-ip", "truncated")
	if !strings.Contains(out, "e-mail full, ip truncated") {
		t.Errorf("of the site:\n%s", out)
	}
	if out, _ = p.command("org", "export", "canary"); !strings.Contains(out, "hold_reason: \"case 7\"") || !strings.Contains(out, "email: pseudonym") {
		t.Errorf("the document:\n%s", out)
	}
	d := posternv1.NewDirectoryServiceClient(p.conn)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	mask := func(id string, o *posternv1.Organization, paths ...string) error {
		o.Name = canaryOrganization
		q := &posternv1.UpdateOrganizationRequest{Organization: o, RequestId: id, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}}
		_, err := d.UpdateOrganization(ctx, q)
		return err
	}
	if err := mask("m-1", &posternv1.Organization{}, "retention.hold"); reason(err) != "REASON_REQUIRED" {
		t.Errorf("a hold is lifted without a reason: %v", err)
	}
	if err := mask("m-2", &posternv1.Organization{Retention: &posternv1.Retention{SignInDays: 3651}}, "retention.sign_in_days"); reason(err) != "FIELD_INVALID" {
		t.Errorf("more days than there may be: %v", err)
	}
	if err := mask("m-3", &posternv1.Organization{Privacy: &posternv1.Privacy{Email: 9}}, "privacy"); reason(err) != "FIELD_INVALID" {
		t.Errorf("a privacy that is none: %v", err)
	}
}

// TestARegionIsRememberedAndAnotherOneDoesNotStart starts processes of several regions on one archive.
func TestARegionIsRememberedAndAnotherOneDoesNotStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("none", "signin", "archiver", "api")
	p.apply("organizations/plain", "organization: plain\nsites: [{id: door}]\n")
	d := posternv1.NewDirectoryServiceClient(p.conn)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	bound := &posternv1.CreateSiteRequest{Parent: "organizations/plain", SiteId: "clinic", Site: &posternv1.Site{Region: "eu"}, RequestId: "c-1"}
	if _, err := d.CreateSite(ctx, bound); reason(err) != "REGION_MISMATCH" {
		t.Errorf("a process of no region takes a site of one: %v", err)
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "POSTERN_ARCHIVE_REGION=eu") // an archive without a region is given one
	p.run()
	p.awaitServing()
	if _, err := d.CreateSite(ctx, bound); err != nil {
		t.Errorf("a process of its region: %v", err)
	}
	if _, err := p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{Parent: "organizations/plain/sites/clinic", RequestId: "s-1"}); err != nil {
		t.Errorf("a sign-in at home: %v", err)
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"us", ""} {
		p.env = append(p.env, "POSTERN_ARCHIVE_REGION="+region)
		code, said := p.refused()
		if code != 3 || !strings.Contains(said, "the archive keeps the record of region eu") {
			t.Errorf("region %q: exit code %d with\n%s", region, code, said)
		}
	}
	p.env = append(p.env, "POSTERN_ARCHIVE_REGION=eu")
	p.run()
	p.awaitServing()
}
