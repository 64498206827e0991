package server_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/document"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
)

func TestWhatAnApplyWarnsAboutAndWouldChangeIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	var got convert.Apply
	w.applied = func(in convert.Apply) (server.Applied, error) {
		got = in
		return server.Applied{
			Warnings: document.Problems{{Line: 6, Column: 7, Path: "policy.rules[late]", Text: "t", Fix: "f", Warning: true, Code: "RULE_UNREACHABLE", Rule: "late"}},
			Changes: []applying.Planned{
				{ObjectChange: document.ObjectChange{Type: audit.TypePolicyUpdated, Target: audit.Target{Type: "policy", ID: "acme", UID: "u"},
					Changes: []audit.Change{{Field: "default.block", After: "true"}}}},
				{ObjectChange: document.ObjectChange{Type: audit.TypeDomainRemoved, Target: audit.Target{Type: "domain", Count: 2}}, Names: []string{"a.com", "b.com"}},
			},
		}, nil
	}
	answer, err := posternv1.NewDirectoryServiceClient(w.dial(t)).ApplyOrganization(testContext(t), &posternv1.ApplyOrganizationRequest{
		Name: "organizations/acme", RequestId: "r", Document: "x", ValidateOnly: true, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Force || !got.ValidateOnly {
		t.Errorf("asked for %+v", got)
	}
	if d := cmp.Diff(&posternv1.ApplyOrganizationResponse{
		Warnings: []*posternv1.PolicyWarning{{Rule: "late", Code: "RULE_UNREACHABLE", Text: "t", Fix: "f", Path: "policy.rules[late]", Line: 6, Column: 7}},
		Changes: []*posternv1.PlannedChange{
			{Type: "policy.updated", Target: &posternv1.Target{Type: "policy", Id: "acme", Uid: "u"}, Changes: []*posternv1.Change{{Field: "default.block", After: "true"}}},
			{Type: "domain.removed", Target: &posternv1.Target{Type: "domain", Count: 2}, Names: []string{"a.com", "b.com"}},
		},
	}, answer, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

func TestALockOutIsAFailedPrecondition(t *testing.T) {
	w := newWorld(t, nil)
	w.applied = func(convert.Apply) (server.Applied, error) {
		return server.Applied{}, errs.New(errs.FailedPrecondition, applying.ReasonLockOut, "every external user would be denied at site wiki")
	}
	_, err := posternv1.NewDirectoryServiceClient(w.dial(t)).ApplyOrganization(testContext(t), &posternv1.ApplyOrganizationRequest{
		Name: "organizations/acme", RequestId: "r", Document: "x"})
	failed(t, err, "FAILED_PRECONDITION", "LOCK_OUT")
}

func TestAnExportIsAnsweredWithItsVersion(t *testing.T) {
	w := newWorld(t, nil)
	w.exported = func(organization string) (applying.ExportResult, error) {
		if organization != "acme" {
			return applying.ExportResult{}, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
		}
		return applying.ExportResult{Organization: &policy.Organization{Stamp: policy.Stamp{15: 1}}, Exported: document.Exported{Text: "organization: acme\n", LeftOut: []string{"claims"}}}, nil
	}
	c := posternv1.NewDirectoryServiceClient(w.dial(t))
	answer, err := c.ExportOrganization(testContext(t), &posternv1.ExportOrganizationRequest{Name: "organizations/acme"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&posternv1.ExportOrganizationResponse{Document: "organization: acme\n", Etag: "00000000000000000000000000000001", LeftOut: []string{"claims"}},
		answer, protocmp.Transform()); d != "" {
		t.Error(d)
	}
	_, err = c.ExportOrganization(testContext(t), &posternv1.ExportOrganizationRequest{Name: "organizations/nobody"})
	failed(t, err, "NOT_FOUND", "ORGANIZATION_NOT_FOUND")
	_, err = c.ExportOrganization(testContext(t), &posternv1.ExportOrganizationRequest{Name: "acme"})
	failed(t, err, "INVALID_ARGUMENT", "NAME_INVALID")
}
