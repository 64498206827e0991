package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Policies keeps policies and their history. *directory.Policies implements it.
type Policies interface {
	Get(ctx context.Context, organization string, as directory.AsOf) (directory.PolicyState, error)
	Update(ctx context.Context, principal string, in directory.PolicyInput) (directory.PolicyResult, error)
	RollBack(ctx context.Context, principal string, in directory.PolicyInput) (directory.PolicyResult, error)
	Suspend(ctx context.Context, principal string, in directory.PolicyInput) (directory.PolicyResult, error)
	Resume(ctx context.Context, principal string, in directory.PolicyInput) (directory.PolicyResult, error)
	Revisions(ctx context.Context, organization string, before int64, limit int) ([]policy.Revision, error)
	Revision(ctx context.Context, organizationUID string, at int64) (*policy.Revision, error)
}

// GetPolicy returns a policy as it is, or as it was.
func (s *policyService) GetPolicy(ctx context.Context, r *posternv1.GetPolicyRequest) (*posternv1.PolicyState, error) {
	organization, as, err := s.in.GetPolicy(r)
	if err != nil {
		return nil, err
	}
	state, err := s.Policies.Get(ctx, organization, as)
	if err != nil {
		return nil, err
	}
	return s.PolicyState(&state, s.now()), nil
}

// UpdatePolicy replaces a policy.
func (s *policyService) UpdatePolicy(ctx context.Context, r *posternv1.UpdatePolicyRequest) (*posternv1.ChangePolicyResponse, error) {
	in, err := s.in.UpdatePolicy(r)
	return s.changed(ctx, in, err, s.Policies.Update)
}

// RollBackPolicy writes an earlier policy again.
func (s *policyService) RollBackPolicy(ctx context.Context, r *posternv1.RollBackPolicyRequest) (*posternv1.ChangePolicyResponse, error) {
	in, err := s.in.RollBackPolicy(r)
	return s.changed(ctx, in, err, s.Policies.RollBack)
}

// SuspendPolicy stops enforcing a policy for a while.
func (s *policyService) SuspendPolicy(ctx context.Context, r *posternv1.SuspendPolicyRequest) (*posternv1.ChangePolicyResponse, error) {
	in, err := s.in.SuspendPolicy(r)
	return s.changed(ctx, in, err, s.Policies.Suspend)
}

// ResumePolicy ends a suspension.
func (s *policyService) ResumePolicy(ctx context.Context, r *posternv1.ResumePolicyRequest) (*posternv1.ChangePolicyResponse, error) {
	in, err := s.in.ResumePolicy(r)
	return s.changed(ctx, in, err, s.Policies.Resume)
}

// changed makes a change, unless its request was refused, and converts what came of it.
func (s *policyService) changed(ctx context.Context, in directory.PolicyInput, refused error,
	change func(context.Context, string, directory.PolicyInput) (directory.PolicyResult, error),
) (*posternv1.ChangePolicyResponse, error) {
	if refused != nil {
		return nil, refused
	}
	done, err := change(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.ChangedPolicy(&done, s.now()), nil
}

// ListPolicyRevisions returns a page of the changes of a policy, newest first. A page ends early when it grows too large.
func (s *policyService) ListPolicyRevisions(ctx context.Context, r *posternv1.ListPolicyRevisionsRequest) (*posternv1.ListPolicyRevisionsResponse, error) {
	organization, err := s.in.ListPolicyRevisions(r)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("policy_revisions"), []byte(caller.From(ctx).Principal), []byte(organization)}
	before := int64(0)
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err
		}
		var ok bool
		if before, ok = sequenceAt(position); !ok {
			return nil, badToken("page_token")
		}
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.Policies.Revisions(ctx, organization, before, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListPolicyRevisionsResponse{}
	for i, bytes := 0, 0; i < len(list); i++ {
		m := convert.PolicyRevision(&list[i])
		bytes += proto.Size(m)
		if i == size || i > 0 && bytes > maxPageBytes {
			out.NextPageToken = s.tokens.Seal(token.Page, sequencePosition(list[i-1].Number), bound...)
			break
		}
		out.Revisions = append(out.Revisions, m)
	}
	return out, nil
}
