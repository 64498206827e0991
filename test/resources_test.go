package test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/sqlite"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/status"
)

func (w *tide) directory() posternv1.DirectoryServiceClient {
	return posternv1.NewDirectoryServiceClient(w.change.conn)
}

// short opens a flow that is over in a few seconds.
func (w *tide) short(account string) *posternv1.FlowAnswer {
	w.t.Helper()
	a, err := w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideSite, RequestId: w.id(), Lifetime: durationpb.New(6 * time.Second),
		Subject: &posternv1.Subject{Email: account + "@guest-tide.com"}})
	return must(w.t, err, a)
}

// wantReason fails the test unless a call was refused for that reason.
func wantReason(t *testing.T, what string, err error, reason string) {
	t.Helper()
	if got, _ := status.Reason(err); got != reason {
		t.Errorf("%s: %v", what, err)
	}
}

// A site goes: who is under way there is denied at the next step, on a process that had nothing to do with it, and no new sign-in begins.
func TestASiteThatIsRemovedEndsItsSignInsDenied(t *testing.T) {
	w := newTide(t)
	if _, err := w.directory().CreateSite(w.ctx(), &posternv1.CreateSiteRequest{Parent: tideOrganization, SiteId: "pier", RequestId: w.id()}); err != nil {
		t.Fatal(err)
	}
	started, err := w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideOrganization + "/sites/pier", RequestId: w.id(),
		Subject: &posternv1.Subject{Email: "cy@guest-tide.com"}})
	if err != nil {
		t.Fatal(err)
	}
	bound, err := w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideOrganization + "/sites/pier", RequestId: w.id(),
		Subject: &posternv1.Subject{Email: "di@guest-tide.com"}})
	if err != nil {
		t.Fatal(err)
	}
	w.bind(bound.GetFlow(), "di")
	if _, err := w.directory().DeleteSite(w.ctx(), &posternv1.DeleteSiteRequest{Name: tideOrganization + "/sites/pier", RequestId: w.id()}); err != nil {
		t.Fatal(err)
	}
	for name, flow := range map[string]string{"open": started.GetFlow(), "bound": bound.GetFlow()} {
		a, err := w.signs.signIn().ReportStep(w.ctx(), &posternv1.ReportStepRequest{Flow: flow, RequestId: w.id(),
			Step: &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "di", Email: "di@guest-tide.com"}}})
		if err != nil || a.GetVerdict() != posternv1.Verdict_VERDICT_DENY || a.GetEnding() != posternv1.Ending_ENDING_DENIED || a.GetReason() != "SITE_DISABLED" {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	_, err = w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideOrganization + "/sites/pier", RequestId: w.id()})
	wantReason(t, "a new sign-in", err, "SITE_NOT_FOUND")
}

// An organization goes: from then on no call on any process finds it, what was under way ends when it is due, and another one of that id knows
// nothing of it.
func TestADeletedOrganizationIsGoneOnEveryProcessAndItsFlowsEnd(t *testing.T) {
	w := newTide(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s")
	claimed, err := w.directory().CreateAccount(w.ctx(), &posternv1.CreateAccountRequest{Parent: tideOrganization, RequestId: w.id(), Account: &posternv1.Account{AccountId: "di"}})
	must(t, err, claimed)
	late := w.change.rig.start("late", "signin") // knows the organization, and hears of nothing until there is another one
	lateStart := func() (*posternv1.FlowAnswer, error) {
		return late.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideSite, RequestId: w.id(), Lifetime: durationpb.New(6 * time.Second),
			Subject: &posternv1.Subject{Email: "al@guest-tide.com"}})
	}
	if a, err := lateStart(); err != nil {
		t.Fatalf("%v, %v", a, err)
	}
	open, bound := w.short("cy"), w.short("di")
	w.bind(bound.GetFlow(), "di")
	old, err := w.directory().UpdateOrganization(w.ctx(), &posternv1.UpdateOrganizationRequest{Organization: &posternv1.Organization{Name: tideOrganization, Disabled: true, Sandbox: true},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"disabled", "sandbox"}}, RequestId: w.id()})
	must(t, err, old)
	gone := &posternv1.DeleteOrganizationRequest{Name: tideOrganization, Etag: old.GetEtag(), RequestId: w.id(), Reason: "sold"}
	for range 2 {
		if _, err := w.directory().DeleteOrganization(w.ctx(), gone); err != nil {
			t.Fatal(err)
		}
	}
	signs, other := w.signs.signIn(), posternv1.NewDirectoryServiceClient(w.signs.conn)
	for name, call := range map[string]func() error{
		"StartFlow": func() error {
			_, err := signs.StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideSite, RequestId: w.id()})
			return err
		},
		"ReportStep": func() error {
			_, err := signs.ReportStep(w.ctx(), &posternv1.ReportStepRequest{Flow: open.GetFlow(), RequestId: w.id(),
				Step: &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "cy"}}})
			return err
		},
		"FinishFlow": func() error {
			_, err := signs.FinishFlow(w.ctx(), &posternv1.FinishFlowRequest{Flow: bound.GetFlow(), RequestId: w.id(), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}})
			return err
		},
		"RecordSession": func() error {
			_, err := signs.RecordSession(w.ctx(), &posternv1.RecordSessionRequest{Parent: tideSite, RequestId: w.id(), Event: posternv1.RecordSessionRequest_EVENT_STARTED,
				SessionHandle: []byte("sixteen bytes or"), Flow: bound.GetFlow()})
			return err
		},
		"GetOrganization": func() error {
			_, err := other.GetOrganization(w.ctx(), &posternv1.GetOrganizationRequest{Name: tideOrganization})
			return err
		},
		"ListEvents": func() error {
			_, err := posternv1.NewEventServiceClient(w.signs.conn).ListEvents(w.ctx(), &posternv1.ListEventsRequest{Parent: tideOrganization})
			return err
		},
		"GetFlow": func() error {
			_, err := posternv1.NewFlowServiceClient(w.signs.conn).GetFlow(w.ctx(), &posternv1.GetFlowRequest{Name: open.GetFlow()})
			return err
		},
		"CreateSite": func() error {
			_, err := other.CreateSite(w.ctx(), &posternv1.CreateSiteRequest{Parent: tideOrganization, SiteId: "x", RequestId: w.id()})
			return err
		},
		"ListAccounts": func() error {
			_, err := other.ListAccounts(w.ctx(), &posternv1.ListAccountsRequest{Parent: tideOrganization})
			return err
		},
		"ListAuthenticators": func() error {
			_, err := posternv1.NewAuthenticatorServiceClient(w.signs.conn).ListAuthenticators(w.ctx(), &posternv1.ListAuthenticatorsRequest{Parent: tideOrganization})
			return err
		},
	} {
		wantReason(t, name, call(), "ORGANIZATION_NOT_FOUND")
	}
	made, err := w.directory().CreateOrganization(w.ctx(), &posternv1.CreateOrganizationRequest{OrganizationId: "tide", RequestId: w.id()})
	if must(t, err, made); made.GetUid() == old.GetUid() || len(made.GetSites()) != 0 || made.GetClaimCount() != 0 {
		t.Errorf("%v", made)
	}
	again, err := w.directory().CreateAccount(w.ctx(), &posternv1.CreateAccountRequest{Parent: tideOrganization, RequestId: w.id(), Account: &posternv1.Account{AccountId: "di"}})
	must(t, err, again)
	site, err := w.directory().CreateSite(w.ctx(), &posternv1.CreateSiteRequest{Parent: tideOrganization, SiteId: "quay", RequestId: w.id()})
	must(t, err, site)
	for name, start := range map[string]func() (*posternv1.FlowAnswer, error){"late": lateStart, "signs": func() (*posternv1.FlowAnswer, error) { return w.open("ed"), nil }} {
		if a, err := start(); err != nil || a.GetPhase() != posternv1.Phase_PHASE_OPEN { // the very first call there is right
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
	if _, err := signs.ReportStep(w.ctx(), &posternv1.ReportStepRequest{Flow: open.GetFlow(), RequestId: w.id(),
		Step: &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: "cy"}}}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("a flow of the old one: %v", err)
	}
	events, err := posternv1.NewEventServiceClient(w.change.conn).ListEvents(w.ctx(), &posternv1.ListEventsRequest{Parent: tideOrganization})
	must(t, err, events)
	for _, e := range events.GetEvents() {
		if e.GetOrganizationUid() != made.GetUid() {
			t.Errorf("the new one shows the record of the old one: %v", e)
		}
	}
	w.wantEndings(old.GetUid())
}

// wantEndings waits until the three flows of an organization have ended in the archive, which nobody can ask for by name any more.
func (w *tide) wantEndings(uid string) {
	w.t.Helper()
	archive, err := sqlite.Open(w.t.Context(), filepath.Join(w.change.rig.data, "archive.db"), time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	err = eventually(60*time.Second, func(ctx context.Context) error {
		flows, err := archive.Flows(ctx, audit.FlowQuery{OrganizationUID: uid, Limit: 10})
		ended := 0
		for i := range flows {
			if !flows[i].Ended.IsZero() {
				ended++
			}
		}
		if err == nil && (len(flows) != 3 || ended != 3) {
			err = fmt.Errorf("%d of %d flows have ended", ended, len(flows))
		}
		return err
	})
	if err != nil {
		w.t.Errorf("flows of a deleted organization end: %v", err)
	}
}
