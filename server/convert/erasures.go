package convert

import (
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// erasures are the bounds of what is about erasures.
func erasures() map[string]Bound {
	return map[string]Bound{
		"EraseSubjectRequest.parent":     name(),
		"EraseSubjectRequest.account_id": text(maxAccountID),
		"EraseSubjectRequest.email":      text(maxEmail),
		"EraseSubjectRequest.reason":     lines(maxReason),
		"EraseSubjectRequest.request_id": requestID(),
		"EraseSubjectRequest.dry_run":    flag(),

		"GetErasureRequest.name": name(),

		"ListErasuresRequest.parent":     name(),
		"ListErasuresRequest.page_size":  count(),
		"ListErasuresRequest.page_token": opaque(),
	}
}

// EraseSubject converts a request to forget a person.
func (c *Converter) EraseSubject(r *posternv1.EraseSubjectRequest) (erasure.Request, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return erasure.Request{}, err
	}
	organization, err := names.Organization("parent", r.GetParent())
	if err != nil {
		return erasure.Request{}, err
	}
	in := erasure.Request{Organization: organization, AccountID: r.GetAccountId(), Reason: r.GetReason(), RequestID: r.GetRequestId()}
	if r.GetEmail() != "" {
		if in.Email, err = policy.ParseUsableAddress(r.GetEmail()); err != nil {
			return erasure.Request{}, about("email", err)
		}
	}
	return in, nil
}

// GetErasure converts a request for one erasure.
func (c *Converter) GetErasure(r *posternv1.GetErasureRequest) (organization, id string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.Erasure("name", r.GetName())
}

// Erasure is an erasure as answers show it.
func Erasure(organization string, e *erasure.Erasure) *posternv1.Erasure {
	return &posternv1.Erasure{
		Name: names.FormatErasure(organization, e.ID), State: posternv1.Erasure_State(e.State), RequestTime: Timestamp(e.Requested),
		DueTime: Timestamp(e.Due), FinishTime: Timestamp(e.Finished), Caller: e.Caller, Counts: ErasureCounts(e.Found), Subject: e.Subject(),
	}
}

// ErasureCounts are counts as answers show them.
func ErasureCounts(f erasure.Found) *posternv1.ErasureCounts {
	return &posternv1.ErasureCounts{Events: f.Events, Sessions: f.Sessions, Identities: f.Identities, Authenticators: f.Authenticators, Proofs: f.Memories}
}
