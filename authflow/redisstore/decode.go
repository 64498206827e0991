package redisstore

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// decodeState reads what encodeState wrote for this organization, whose key must be known: see needKey. The flow of another
// one, which has the same key in Redis where both share a partition, is not there: nothing of it is opened.
func (s *Store) decodeState(organizationUID string, b []byte) (*authflow.State, error) {
	var m storev1.FlowRecord
	if err := redisx.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, errs.New(errs.NotFound, "FLOW_NOT_FOUND", "there is no such flow in this organization")
	}
	id, err := authflow.ParseFlowID(m.GetId())
	if err != nil {
		return nil, malformed(err, "its id is no flow id")
	}
	st := &authflow.State{
		ID: id, Organization: m.GetOrganization(), OrganizationUID: m.GetOrganizationUid(), Site: m.GetSite(), SiteUID: m.GetSiteUid(),
		SupportCode: m.GetSupportCode(), CorrelationID: m.GetCorrelationId(), Caller: m.GetCaller(), Phase: authflow.Phase(m.GetPhase()), //nolint:gosec // an enum
		Started: fromTimestamp(m.GetStarted()), Deadline: fromTimestamp(m.GetDeadline()), Hour: fromTimestamp(m.GetHour()),
		Late: m.GetLate(), Recorded: m.GetRecorded(), Class: audit.Class(m.GetClass()), //nolint:gosec // an enum
		Rejections: int(m.GetRejections()), LastRejection: m.GetLastRejection(), Proven: m.GetProven(),
		PolicyRevision: m.GetPolicyRevision(), Ending: audit.Ending(m.GetEnding()), Reason: m.GetReason(), //nolint:gosec // an enum
		Ended: fromTimestamp(m.GetEnded()),
	}
	if st.Claimed.Records, err = claimedRecords(&m); err != nil {
		return nil, err
	}
	if st.Frozen, err = decodeFrozen(m.GetFrozen()); err != nil {
		return nil, err
	}
	if st.Pending, err = pendingFromProto(m.GetPending()); err != nil {
		return nil, err
	}
	if err := s.openPersonal(st, codec.SealedFromProto(m.GetPersonal())); err != nil {
		return nil, err
	}
	st.Steps = make([]authflow.Step, len(m.GetSteps()))
	for i, r := range m.GetSteps() {
		if st.Steps[i], err = s.decodeStep(st, r); err != nil {
			return nil, err
		}
	}
	return st, nil
}

func claimedRecords(m *storev1.FlowRecord) (policy.Records, error) {
	var out policy.Records
	if d := m.GetClaimedDomain().GetDomain(); d != nil {
		r, err := policypb.ToDomain(d)
		if err != nil {
			return out, err
		}
		out.Domain = &r
	}
	var err error
	if out.AccountClaim, err = claimFromProto(m.GetClaimedAccount()); err != nil {
		return out, err
	}
	out.AddressClaim, err = claimFromProto(m.GetClaimedAddress())
	return out, err
}

func claimFromProto(m *storev1.ClaimRecord) (*policy.ClaimRecord, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // not claimed
	}
	if len(m.GetKey()) != len(policy.AccountKey{}) {
		return nil, malformed(nil, "a claim has a key of another length")
	}
	return &policy.ClaimRecord{Key: policy.AccountKey(m.GetKey()), Kind: policy.ClaimKind(m.GetKind()), Revision: m.GetRevision(),
		Origin: audit.Origin(m.GetOrigin())}, nil //nolint:gosec // an enum
}

func decodeFrozen(m *storev1.Frozen) (*policy.Frozen, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // nobody is bound
	}
	stamp := m.GetPolicyStamp()
	if len(stamp) != len(policy.Stamp{}) {
		return nil, malformed(nil, "a policy stamp has another length")
	}
	f := &policy.Frozen{
		HasWouldBe: m.GetHasWouldBe(), WouldBeRule: m.GetWouldBeRule(), GraceUntil: fromTimestamp(m.GetGraceUntil()),
		WouldGrace: fromTimestamp(m.GetWouldBeGraceUntil()), PolicyStamp: policy.Stamp(stamp),
		SubjectClass: audit.Class(m.GetSubjectClass()), //nolint:gosec // an enum
	}
	d, err := codec.DecisionFromProto(m.GetDecision())
	if err != nil {
		return nil, err
	}
	if d != nil {
		f.Decision = *d
	}
	if f.Demands, err = policypb.ToDemands(m.GetDemands()); err != nil {
		return nil, err
	}
	if f.HasWouldBe {
		f.WouldBe, err = policypb.ToDemands(m.GetWouldBeDemands())
	}
	return f, err
}

// decodeStep puts back what encodeStep left out and opens the personal part, which must open: a flow is never decided on a
// part of what it holds.
func (s *Store) decodeStep(st *authflow.State, m *storev1.StepRecord) (authflow.Step, error) {
	e, err := codec.FromProto(m.GetEvent())
	if err != nil {
		return authflow.Step{}, err
	}
	e.Organization, e.OrganizationUID, e.Site, e.SiteUID = st.Organization, st.OrganizationUID, st.Site, st.SiteUID
	e.Flow, e.SupportCode, e.CorrelationID = st.ID.String(), st.SupportCode, st.CorrelationID
	e.Sealed, e.Indexes = codec.SealedFromProto(m.GetPersonal()), codec.IndexesFromProto(m.GetIndexes())
	if err := s.codec.Open(&e); err != nil {
		return authflow.Step{}, err
	}
	if e.PersonalState != "" {
		return authflow.Step{}, malformed(nil, "a step's personal part does not open")
	}
	return authflow.Step{Event: &e, Released: m.GetReleased()}, nil
}

func fromTimestamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// loaded makes a flow of what a script answered: stamp, mark and state.
func (s *Store) loaded(ctx context.Context, organizationUID string, r *redisx.Reply) (*authflow.Loaded, error) {
	stamp := r.Text(0)
	by, marked := r.Find(1)
	state := r.Text(2)
	if err := r.Err(); err != nil {
		return nil, err
	}
	if len(stamp) != len(policy.Stamp{}) {
		return nil, malformed(nil, "its stamp has another length")
	}
	if err := s.needKey(ctx, organizationUID); err != nil {
		return nil, err
	}
	st, err := s.decodeState(organizationUID, []byte(state))
	if err != nil {
		return nil, err
	}
	out := &authflow.Loaded{State: st, Stamp: policy.Stamp([]byte(stamp))}
	if marked {
		if out.SupersededBy, err = authflow.ParseFlowID(by); err != nil {
			return nil, malformed(err, "its mark is no flow id")
		}
	}
	return out, nil
}
