package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// past is a directory whose organization demanded another method at each full hour, and claimed whom it was asked about.
type past struct{ fail error }

func (p *past) At(_ context.Context, uid string, at time.Time) (policy.Moment, error) {
	o := &policy.Organization{UID: uid, ID: "acme", Disabled: true, Sites: []policy.Site{{ID: "portal", UID: "s-1", Disabled: true, TrustsAccountEmail: true}},
		Policy:      policy.Policy{Rules: []policy.Rule{{ID: fmt.Sprint("at-", at.UTC().Hour()), Mode: policy.ModeEnforce, Demands: policy.Demands{Block: true}}}},
		PolicyStamp: policy.RevisionStamp(int64(at.UTC().Hour())), SuspendedUntil: at.Add(time.Minute)}
	return policy.Moment{At: at, Organization: o}, p.fail
}

func (p *past) Records(context.Context, policy.Moment, policy.LookupKeys) (policy.Records, error) {
	return policy.Records{AccountClaim: &policy.ClaimRecord{Kind: policy.ClaimAccount, Revision: 2}}, p.fail
}

func (p *past) Written(_ context.Context, m policy.Moment) (*policy.Revision, error) {
	return &policy.Revision{Number: m.Organization.PolicyStamp.Counter()}, p.fail
}

func hour(n int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 20, n, 30, 0, 0, time.UTC))
}

func TestExplainOfAMomentLooksAtWhatWasThen(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Forms.Decision = codec.DecisionToProto })
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	ask := &posternv1.ExplainRequest{Site: "organizations/acme/sites/portal", Email: "a@guest.org", Method: "password", Time: hour(9)}
	got, err := c.Explain(t.Context(), ask)
	if err != nil || got.GetDecision().GetPolicyRevision() != 9 || got.GetDecision().GetReason() != "SITE_DISABLED" {
		t.Errorf("%v %v", got, err)
	}
	ask.AccountId = "4711"
	if got, err = c.Explain(t.Context(), ask); err != nil || got.GetDecision().GetClass() != posternv1.Class_CLASS_CLAIMED || got.GetDecision().GetClassBasis().GetRevision() != 2 {
		t.Errorf("%v %v", got, err)
	}
	ask.Site = "organizations/acme/sites/wiki" // is there now, was not then
	if _, err = c.Explain(t.Context(), ask); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("a site that was not there: %v", err)
	}
	ask.Revision = 3
	if _, err = c.Explain(t.Context(), ask); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("a revision and a moment: %v", err)
	}
	if len(w.policies.asked) != 0 {
		t.Errorf("asked for %v", w.policies.asked)
	}
}

func TestWhatThePastCannotSayIsSaid(t *testing.T) {
	for reason, kind := range map[string]errs.Kind{audit.HistoryNotArchived: errs.FailedPrecondition, audit.HistoryUnknown: errs.NotFound} {
		w := newWorld(t, func(c *server.Config) { c.Query.Past = &past{fail: errs.New(kind, reason, "cannot be said")} })
		_, err := posternv1.NewPolicyServiceClient(w.dial(t)).Explain(t.Context(), &posternv1.ExplainRequest{Site: "organizations/acme/sites/portal", Time: hour(9)})
		want := map[errs.Kind]codes.Code{errs.FailedPrecondition: codes.FailedPrecondition, errs.NotFound: codes.NotFound}[kind]
		if grpcstatus.Code(err) != want || grpcstatus.Convert(err).Message() != "cannot be said" {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestThePolicyOfAMomentSaysWhoWroteItAndWhatStoodBesideIt(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	got, err := c.GetPolicy(t.Context(), &posternv1.GetPolicyRequest{Name: "organizations/acme/policy", Time: hour(11)})
	if err != nil || got.GetRevision() != 11 || got.GetEtag() != "" || !got.GetSuspended() || !got.GetOrganizationDisabled() || got.GetWritten().GetReason() != "because" {
		t.Errorf("%v %v", got, err)
	}
	if s := got.GetSites(); len(s) != 1 || s[0].GetId() != "portal" || s[0].GetUid() != "s-1" || !s[0].GetDisabled() || !s[0].GetTrustsAccountEmail() {
		t.Errorf("sites %v", s)
	}
	// Year 1 is a moment as well, and not the present.
	if _, err = c.GetPolicy(t.Context(), &posternv1.GetPolicyRequest{Name: "organizations/acme/policy", Time: &timestamppb.Timestamp{Seconds: -62135596800}}); err != nil {
		t.Error(err)
	}
	for what, r := range map[string]*posternv1.GetPolicyRequest{
		"both":                   {Name: "organizations/acme/policy", Revision: 1, Time: hour(1)},
		"a time that is no time": {Name: "organizations/acme/policy", Time: &timestamppb.Timestamp{Nanos: -1}},
	} {
		if _, err := c.GetPolicy(t.Context(), r); grpcstatus.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := fmt.Sprint(w.policies.asked); got != "[get acme 0 at 2026-11-20T11:30:00Z get acme 0 at 0001-01-01T00:00:00.000000001Z]" {
		t.Errorf("asked for %s", got)
	}
}

// thenState is a policy as it was at a moment.
func thenState(at time.Time) applying.PolicyState {
	p := &past{}
	m, _ := p.At(context.Background(), "u", at)
	return applying.PolicyState{Organization: m.Organization, Revision: m.Organization.PolicyStamp.Counter(), Past: true, At: at,
		Change: &policy.Revision{Number: 11, Event: audit.Event{Type: audit.TypePolicyUpdated, Organization: "acme", ID: "e", Personal: audit.Personal{Detail: "because"}}}}
}
