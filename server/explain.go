package server

import (
	"context"
	"slices"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// policyService explains the external-user policy.
type policyService struct {
	posternv1.UnsafePolicyServiceServer
	query
}

// Explain says what the policy makes of a subject at a site.
func (s *policyService) Explain(ctx context.Context, r *posternv1.ExplainRequest) (*posternv1.ExplainResponse, error) {
	q, err := s.in.Explain(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.Resolve(ctx, q.Organization)
	if err != nil {
		return nil, err
	}
	in, err := s.input(ctx, uid, q)
	if err != nil {
		return nil, err
	}
	found := policy.Decide(in)
	return &posternv1.ExplainResponse{
		Decision: s.Decision(&found.Decision), Next: convert.Next(found.Next), Address: q.Address.String(), AddressReason: q.AddressReason,
	}, nil
}

// input gathers what the decision looks at.
func (s *policyService) input(ctx context.Context, uid string, q convert.Question) (policy.Input, error) {
	subject := policy.Subject{AccountID: q.AccountID, Address: q.Address, EmailVerified: !q.Address.IsZero(), Kind: q.Kind}
	if q.AccountID != "" {
		subject.AccountKey = s.Namer.AccountKey(uid, q.AccountID)
	}
	if !q.Address.IsZero() {
		subject.AddressKey = s.Namer.AddressKey(uid, q.Address)
	}
	in := policy.Input{Subject: subject, Context: policy.Context{SiteID: q.Site, IP: q.IP, Method: q.Method.Token, Connection: q.Method.Connection}}
	keys, gather := policy.LookupKeys{Account: subject.AccountKey, Address: subject.AddressKey, Domain: q.Address.Domain()}, s.present
	if !q.As.Time.IsZero() {
		gather = s.past
	}
	if err := gather(ctx, uid, q.As, keys, &in); err != nil {
		return policy.Input{}, err
	}
	i := slices.IndexFunc(in.Organization.Sites, func(site policy.Site) bool { return site.ID == q.Site })
	if i < 0 {
		return policy.Input{}, errs.New(errs.NotFound, authflow.ErrSiteNotFound, "the organization has no such site")
	}
	in.Site = &in.Organization.Sites[i]
	return in, nil
}

// present fills in what there is now, in one trip, or with a revision with its policy.
func (s *policyService) present(ctx context.Context, uid string, as directory.AsOf, keys policy.LookupKeys, in *policy.Input) error {
	read, err := s.Records.Read(ctx, authflow.Read{OrganizationUID: uid, Organization: true, Lookups: []policy.LookupKeys{keys}})
	if err != nil {
		return err
	}
	if in.Organization, in.Now = read.Organization, s.now(); in.Organization == nil {
		return errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	if len(read.Records) == 1 {
		in.Records = read.Records[0]
	}
	if as.Revision == 0 {
		return nil
	}
	r, err := s.Policies.Revision(ctx, uid, as.Revision)
	if err != nil {
		return err
	}
	in.Organization = in.Organization.At(r)
	return nil
}

// past fills in what there was at a moment.
func (s *policyService) past(ctx context.Context, uid string, as directory.AsOf, keys policy.LookupKeys, in *policy.Input) error {
	m, err := s.Past.At(ctx, uid, as.Time)
	if err != nil {
		return err
	}
	in.Organization, in.Now = m.Organization, m.At
	in.Records, err = s.Past.Records(ctx, m, keys)
	return err
}
