package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// policies are the use cases around policies, as far as the server is concerned: they note what they were asked.
type policies struct {
	asked     []string
	revisions []policy.Revision
	fail      error
}

func (p *policies) Get(_ context.Context, organization string, as applying.AsOf) (applying.PolicyState, error) {
	if !as.Time.IsZero() {
		p.asked = append(p.asked, fmt.Sprint("get ", organization, " ", as.Revision, " at ", as.Time.Format(time.RFC3339Nano)))
		return thenState(as.Time), p.fail
	}
	p.asked = append(p.asked, fmt.Sprint("get ", organization, " ", as.Revision))
	return state(as.Revision), p.fail
}

func state(revision int64) applying.PolicyState {
	o := &policy.Organization{ID: "acme", UID: "u", Stamp: policy.Stamp{1}, SuspendedUntil: time.Now().Add(time.Hour)}
	return applying.PolicyState{Organization: o, Revision: max(revision, 7), Past: revision > 0, Document: "policy: {}\n"}
}

func (p *policies) change(what, principal string, in applying.PolicyInput) (applying.PolicyResult, error) {
	p.asked = append(p.asked, fmt.Sprintf("%s %s %s %q %d %s %s %s %t %s %t", what, strings.SplitN(principal, ":", 2)[0], in.Organization, in.Document, in.Revision, in.For, in.Etag,
		in.RequestID, in.ValidateOnly, in.Reason, in.Force))
	return applying.PolicyResult{State: state(0), Events: []string{"e-1"}, Changes: []audit.Change{{Field: "rules", After: "guests"}}}, p.fail
}

func (p *policies) Update(_ context.Context, who string, in applying.PolicyInput) (applying.PolicyResult, error) {
	return p.change("update", who, in)
}

func (p *policies) RollBack(_ context.Context, who string, in applying.PolicyInput) (applying.PolicyResult, error) {
	return p.change("roll back", who, in)
}

func (p *policies) Suspend(_ context.Context, who string, in applying.PolicyInput) (applying.PolicyResult, error) {
	return p.change("suspend", who, in)
}

func (p *policies) Resume(_ context.Context, who string, in applying.PolicyInput) (applying.PolicyResult, error) {
	return p.change("resume", who, in)
}

func (p *policies) Revisions(_ context.Context, _ string, before int64, limit int) ([]policy.Revision, error) {
	var out []policy.Revision
	for _, r := range p.revisions {
		if (before == 0 || r.Number < before) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, p.fail
}

func (p *policies) Revision(_ context.Context, _ string, at int64) (*policy.Revision, error) {
	p.asked = append(p.asked, fmt.Sprint("revision ", at))
	if at > 7 {
		return nil, errs.New(errs.NotFound, policy.ReasonRevisionNotFound, "no such revision")
	}
	return &policy.Revision{Number: at}, nil
}

func TestPolicyCallsReachTheirUseCases(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	ctx := t.Context()
	const name = "organizations/acme/policy"
	now, err := c.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name})
	if err != nil || now.GetName() != name || now.GetEtag() == "" || now.GetRevision() != 7 || !now.GetSuspended() || now.GetDocument() == "" || now.GetPolicy() == nil {
		t.Errorf("%v %v", now, err)
	}
	then, err := c.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name, Revision: 3})
	if err != nil || then.GetEtag() != "" || then.GetRevision() != 7 || then.GetSuspended() {
		t.Errorf("an earlier one: %v %v", then, err)
	}
	done, err := c.UpdatePolicy(ctx, &posternv1.UpdatePolicyRequest{Name: name, Document: "rules: []", Etag: "e", RequestId: "r", ValidateOnly: true, Reason: "why", Force: true})
	if err != nil || done.GetEvents()[0] != "e-1" || done.GetChanges()[0].GetAfter() != "guests" || done.GetState().GetRevision() != 7 {
		t.Errorf("%v %v", done, err)
	}
	if _, err := c.RollBackPolicy(ctx, &posternv1.RollBackPolicyRequest{Name: name, Revision: 3, RequestId: "r", Reason: "why", Force: true}); err != nil {
		t.Error(err)
	}
	if _, err := c.SuspendPolicy(ctx, &posternv1.SuspendPolicyRequest{Name: name, Duration: durationpb.New(time.Hour), RequestId: "r", Reason: "why"}); err != nil {
		t.Error(err)
	}
	if _, err := c.ResumePolicy(ctx, &posternv1.ResumePolicyRequest{Name: name, Etag: "e", RequestId: "r"}); err != nil {
		t.Error(err)
	}
	want := strings.Join([]string{"get acme 0", "get acme 3", `update unix acme "rules: []" 0 0s e r true why true`, `roll back unix acme "" 3 0s  r false why true`,
		`suspend unix acme "" 0 1h0m0s  r false why false`, `resume unix acme "" 0 0s e r false  false`}, "\n")
	if got := strings.Join(w.policies.asked, "\n"); got != want {
		t.Errorf("asked:\n%s\nwant:\n%s", got, want)
	}
}

func TestPolicyCallsWithoutWhatTheyNeedAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	ctx := t.Context()
	const name = "organizations/acme/policy"
	for what, call := range map[string]func() error{
		"a name of something else": func() error {
			_, err := c.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: "organizations/acme"})
			return err
		},
		"a negative revision": func() error {
			_, err := c.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name, Revision: -1})
			return err
		},
		"no document": func() error {
			_, err := c.UpdatePolicy(ctx, &posternv1.UpdatePolicyRequest{Name: name, Etag: "e", RequestId: "r"})
			return err
		},
		"no request id": func() error {
			_, err := c.UpdatePolicy(ctx, &posternv1.UpdatePolicyRequest{Name: name, Etag: "e", Document: "rules: []"})
			return err
		},
		"no revision": func() error {
			_, err := c.RollBackPolicy(ctx, &posternv1.RollBackPolicyRequest{Name: name, RequestId: "r", Reason: "why"})
			return err
		},
		"no reason to roll back": func() error {
			_, err := c.RollBackPolicy(ctx, &posternv1.RollBackPolicyRequest{Name: name, RequestId: "r", Revision: 1})
			return err
		},
		"no reason to suspend": func() error {
			_, err := c.SuspendPolicy(ctx, &posternv1.SuspendPolicyRequest{Name: name, RequestId: "r", Duration: durationpb.New(time.Hour)})
			return err
		},
		"no duration": func() error {
			_, err := c.SuspendPolicy(ctx, &posternv1.SuspendPolicyRequest{Name: name, RequestId: "r", Reason: "why"})
			return err
		},
		"a second": func() error {
			_, err := c.SuspendPolicy(ctx, &posternv1.SuspendPolicyRequest{Name: name, RequestId: "r", Reason: "why", Duration: durationpb.New(time.Second)})
			return err
		},
		"two days": func() error {
			_, err := c.SuspendPolicy(ctx, &posternv1.SuspendPolicyRequest{Name: name, RequestId: "r", Reason: "why", Duration: durationpb.New(48 * time.Hour)})
			return err
		},
	} {
		if err := call(); grpcstatus.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(w.policies.asked) != 0 {
		t.Errorf("asked: %v", w.policies.asked)
	}
}

func TestPolicyRevisionsComeInPages(t *testing.T) {
	w := newWorld(t, nil)
	for n := int64(7); n > 0; n-- {
		w.policies.revisions = append(w.policies.revisions, policy.Revision{Number: n, Event: audit.Event{ID: fmt.Sprint("e", n), Type: audit.TypePolicyUpdated, Caller: "unix:7",
			Organization: "acme", Time: time.Unix(n, 0), Origin: audit.OriginAPI, Personal: audit.Personal{Detail: "because"}, Changes: []audit.Change{{Field: "rules", Before: "a", After: "b"}}}})
	}
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	var got []int64
	token := ""
	for range 10 {
		page, err := c.ListPolicyRevisions(t.Context(), &posternv1.ListPolicyRevisionsRequest{Parent: "organizations/acme/policy", PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.GetRevisions() {
			got = append(got, r.GetRevision())
			if r.GetReason() != "because" || r.GetCaller() != "unix:7" || r.GetEvent() != fmt.Sprint("organizations/acme/events/e", r.GetRevision()) || r.GetChanges()[0].GetBefore() != "a" {
				t.Errorf("%v", r)
			}
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[7 6 5 4 3 2 1]" {
		t.Error(got)
	}
	page, err := c.ListPolicyRevisions(t.Context(), &posternv1.ListPolicyRevisionsRequest{Parent: "organizations/acme/policy", PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListPolicyRevisions(t.Context(), &posternv1.ListPolicyRevisionsRequest{Parent: "organizations/other/policy", PageToken: page.GetNextPageToken()}); grpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("the token of another organization: %v", err)
	}
}

func TestExplainLooksAtTheRevisionNamed(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewPolicyServiceClient(w.dial(t))
	if _, err := c.Explain(t.Context(), &posternv1.ExplainRequest{Site: "organizations/acme/sites/wiki", Email: "a@guest.org", Revision: 5}); err != nil {
		t.Error(err)
	}
	if _, err := c.Explain(t.Context(), &posternv1.ExplainRequest{Site: "organizations/acme/sites/wiki", Email: "a@guest.org", Revision: 8}); grpcstatus.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := c.Explain(t.Context(), &posternv1.ExplainRequest{Site: "organizations/acme/sites/wiki", Email: "a@guest.org"}); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(w.policies.asked); got != "[revision 5 revision 8]" {
		t.Errorf("asked for %s", got)
	}
}
