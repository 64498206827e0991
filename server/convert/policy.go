package convert

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// GetPolicy converts a request for a policy to the organization's id and what is asked for.
func (c *Converter) GetPolicy(r *posternv1.GetPolicyRequest) (organization string, as applying.AsOf, err error) {
	if err := c.Check(r); err != nil {
		return "", as, err
	}
	if organization, err = names.Policy("name", r.GetName()); err != nil {
		return "", as, err
	}
	as, err = asOf(r.GetRevision(), r.GetTime())
	return organization, as, err
}

// asOf converts a revision or a moment, of which one may be given.
func asOf(revision int64, at *timestamppb.Timestamp) (applying.AsOf, error) {
	if revision != 0 && at != nil {
		return applying.AsOf{}, unexpected("time", "ask for a revision or for a moment, not for both")
	}
	as := applying.AsOf{Revision: revision, Time: when(at)}
	if at != nil && as.Time.IsZero() {
		as.Time = as.Time.Add(1) // the first moment of year 1 is a moment too
	}
	return as, nil
}

// ListPolicyRevisions converts a request for revisions to the organization's id.
func (c *Converter) ListPolicyRevisions(r *posternv1.ListPolicyRevisionsRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Policy("parent", r.GetParent())
}

// UpdatePolicy converts a policy to write.
func (c *Converter) UpdatePolicy(r *posternv1.UpdatePolicyRequest) (applying.PolicyInput, error) {
	in := applying.PolicyInput{Document: []byte(r.GetDocument()), Etag: r.GetEtag(), ValidateOnly: r.GetValidateOnly(), Reason: r.GetReason(), Force: r.GetForce()}
	if err := c.policyChange(r, r.GetName(), r.GetRequestId(), &in); err != nil {
		return in, err
	}
	if r.GetDocument() == "" {
		return in, required("document")
	}
	var err error
	in.Admin, err = admin(r.GetAdminEmail())
	return in, err
}

// RollBackPolicy converts a request to go back to a revision.
func (c *Converter) RollBackPolicy(r *posternv1.RollBackPolicyRequest) (applying.PolicyInput, error) {
	in := applying.PolicyInput{Revision: r.GetRevision(), Etag: r.GetEtag(), ValidateOnly: r.GetValidateOnly(), Reason: r.GetReason(), Force: r.GetForce()}
	if err := c.policyChange(r, r.GetName(), r.GetRequestId(), &in); err != nil {
		return in, err
	}
	switch {
	case r.GetRevision() == 0:
		return in, required("revision")
	case r.GetReason() == "":
		return in, required("reason")
	}
	var err error
	in.Admin, err = admin(r.GetAdminEmail())
	return in, err
}

// SuspendPolicy converts a request to suspend a policy.
func (c *Converter) SuspendPolicy(r *posternv1.SuspendPolicyRequest) (applying.PolicyInput, error) {
	in := applying.PolicyInput{For: r.GetDuration().AsDuration(), Etag: r.GetEtag(), Reason: r.GetReason()}
	if err := c.policyChange(r, r.GetName(), r.GetRequestId(), &in); err != nil {
		return in, err
	}
	switch {
	case r.GetDuration() == nil:
		return in, required("duration")
	case r.GetReason() == "":
		return in, required("reason")
	}
	return in, nil
}

// ResumePolicy converts a request to end a suspension.
func (c *Converter) ResumePolicy(r *posternv1.ResumePolicyRequest) (applying.PolicyInput, error) {
	in := applying.PolicyInput{Etag: r.GetEtag(), Reason: r.GetReason()}
	return in, c.policyChange(r, r.GetName(), r.GetRequestId(), &in)
}

func (c *Converter) policyChange(r request, name, requestID string, in *applying.PolicyInput) error {
	if err := c.mutation(r, requestID); err != nil {
		return err
	}
	in.RequestID = requestID
	var err error
	in.Organization, err = names.Policy("name", name)
	return err
}

// PolicyState converts a policy at a revision.
func (f *Forms) PolicyState(s *applying.PolicyState, now time.Time) *posternv1.PolicyState {
	o := s.Organization
	m := &posternv1.PolicyState{Name: names.FormatPolicy(o.ID), Revision: s.Revision, UpdateTime: Timestamp(s.Written),
		Suspended: o.Suspended(now) && !s.Past, Unreadable: o.Unreadable}
	if !s.Past {
		m.Etag = policypb.Etag(o.Stamp)
	}
	if !s.At.IsZero() {
		m.Suspended, m.OrganizationDisabled, m.Written = o.Suspended(s.At), o.Disabled, PolicyRevision(s.Change)
		for i := range o.Sites {
			site := &o.Sites[i]
			m.Sites = append(m.Sites, &posternv1.PolicyState_SiteState{Id: site.ID, Uid: site.UID, DisplayName: site.DisplayName,
				Disabled: site.Disabled, TrustsAccountEmail: site.TrustsAccountEmail})
		}
	}
	if !o.Unreadable {
		m.Policy, m.Document = f.Policy(o), s.Document
	}
	return m
}

// ChangedPolicy converts what came of a change of a policy.
func (f *Forms) ChangedPolicy(r *applying.PolicyResult, now time.Time) *posternv1.ChangePolicyResponse {
	return &posternv1.ChangePolicyResponse{State: f.PolicyState(&r.State, now), Events: r.Events, Warnings: Warnings(r.Warnings), Changes: changes(r.Changes)}
}

// PolicyRevision converts a change of an organization's policy.
func PolicyRevision(r *policy.Revision) *posternv1.PolicyRevision {
	e := &r.Event
	return &posternv1.PolicyRevision{Revision: r.Number, Type: string(e.Type), Time: Timestamp(e.Time), Caller: e.Caller,
		Origin: posternv1.Origin(e.Origin), Reason: e.Personal.Detail, Event: names.FormatEvent(e.Organization, e.ID), Changes: changes(e.Changes)}
}

func changes(list []audit.Change) []*posternv1.Change {
	out := make([]*posternv1.Change, len(list))
	for i, c := range list {
		out[i] = &posternv1.Change{Field: c.Field, Before: c.Before, After: c.After}
	}
	return out
}
