package redisstore

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Field numbers of FlowRecord that are written by hand, from parts that were encoded before: concatenated fields are a valid
// message.
const (
	fieldFrozen   = 21
	fieldSteps    = 22
	fieldPersonal = 23
)

// sealSteps seals the steps that were never written, and gives events of the same commit the sealed parts of their steps, so
// that state and outbox hold the same bytes. Both change in place: they are new, and this commit's own.
func (s *Store) sealSteps(steps []authflow.Step, events []audit.Event) error {
	for i := range steps {
		if e := &steps[i].Event; e.Sealed == nil {
			if err := s.codec.SealEvent(e); err != nil {
				return err
			}
		}
	}
	for i := range events {
		e := &events[i]
		if e.Sealed != nil {
			continue
		}
		if n := e.Step; n >= 1 && n <= len(steps) && steps[n-1].Event.ID == e.ID {
			e.Sealed, e.Indexes = steps[n-1].Event.Sealed, steps[n-1].Event.Indexes
			continue
		}
		if err := s.codec.SealEvent(e); err != nil {
			return err
		}
	}
	return nil
}

// encodeState returns format byte and FlowRecord. Parts that are as they were in the state with stamp from are taken from the
// cache; the parts of this state come back for keeping under its own stamp.
func (s *Store) encodeState(st *authflow.State, from policy.Stamp) ([]byte, *parts, error) {
	had := s.parts.get(st.ID, from)
	now := &parts{steps: make([]stepPart, len(st.Steps))}
	size := 512
	for i := range st.Steps {
		p := had.step(i, &st.Steps[i])
		if p.encoded == nil {
			b, err := encodeStep(st, &st.Steps[i])
			if err != nil {
				return nil, nil, err
			}
			p = stepPart{id: st.Steps[i].Event.ID, released: st.Steps[i].Released, encoded: b}
		}
		now.steps[i] = p
		size += len(p.encoded) + 8
	}
	var err error
	if now.frozen, err = had.frozenPart(st.Frozen); err != nil {
		return nil, nil, err
	}
	if now.personal, err = s.personalPart(had, st); err != nil {
		return nil, nil, err
	}
	head := headOf(st)
	b := make([]byte, 1, size+len(now.frozen.encoded)+len(now.personal.encoded))
	b[0] = redisx.StateFormat
	if b, err = (proto.MarshalOptions{}).MarshalAppend(b, head); err != nil {
		return nil, nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field of the flow is not valid UTF-8")
	}
	if st.Frozen != nil {
		b = appendField(b, fieldFrozen, now.frozen.encoded)
	}
	for i := range now.steps {
		b = appendField(b, fieldSteps, now.steps[i].encoded)
	}
	return appendField(b, fieldPersonal, now.personal.encoded), now, nil
}

func appendField(b []byte, number protowire.Number, value []byte) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendBytes(b, value)
}

// headOf is a flow without what is encoded apart: what binding froze, steps, and what identifies a person.
func headOf(st *authflow.State) *storev1.FlowRecord {
	m := &storev1.FlowRecord{
		Id: st.ID.String(), OrganizationUid: st.OrganizationUID, Organization: st.Organization, SiteUid: st.SiteUID, Site: st.Site,
		SupportCode: st.SupportCode, CorrelationId: st.CorrelationID, Caller: st.Caller, Phase: posternv1.Phase(st.Phase),
		Started: toTimestamp(st.Started), Deadline: toTimestamp(st.Deadline), Recorded: st.Recorded, Class: posternv1.Class(st.Class),
		Rejections: int32(st.Rejections), LastRejection: st.LastRejection, Proven: st.Proven, //nolint:gosec // at most 10
		Hour: toTimestamp(st.Hour), Ending: posternv1.Ending(st.Ending), Reason: st.Reason, Ended: toTimestamp(st.Ended),
		PolicyRevision: st.PolicyRevision, Late: st.Late,
	}
	if r := st.Claimed.Records; r.Domain != nil {
		m.ClaimedDomain = &storev1.DomainRecord{Domain: policypb.FromDomain(*r.Domain)}
	}
	m.ClaimedAccount = claimToProto(st.Claimed.Records.AccountClaim)
	m.ClaimedAddress = claimToProto(st.Claimed.Records.AddressClaim)
	return m
}

func claimToProto(c *policy.ClaimRecord) *storev1.ClaimRecord {
	if c == nil {
		return nil
	}
	return &storev1.ClaimRecord{Revision: c.Revision, Origin: posternv1.Origin(c.Origin), Kind: string(c.Kind), Key: c.Key[:]}
}

// encodeStep leaves out what the flow says already.
func encodeStep(st *authflow.State, step *authflow.Step) ([]byte, error) {
	e := step.Event
	e.Organization, e.OrganizationUID, e.Site, e.SiteUID, e.Flow, e.SupportCode = "", "", "", "", "", ""
	e.Personal = audit.Personal{}
	if e.CorrelationID == st.CorrelationID {
		e.CorrelationID = ""
	}
	m := storev1.StepRecord{
		Event: codec.ToProto(&e), Personal: codec.SealedToProto(e.Sealed), Indexes: codec.IndexesToProto(e.Indexes),
		Released: step.Released,
	}
	b, err := proto.Marshal(&m)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field of a step is not valid UTF-8")
	}
	return b, nil
}

func encodeFrozen(f *policy.Frozen) ([]byte, error) {
	m := storev1.Frozen{
		Decision: codec.DecisionToProto(&f.Decision), Demands: policypb.FromDemands(&f.Demands), HasWouldBe: f.HasWouldBe,
		WouldBeRule: f.WouldBeRule, GraceUntil: toTimestamp(f.GraceUntil), WouldBeGraceUntil: toTimestamp(f.WouldGrace),
		PolicyStamp: f.PolicyStamp[:], SubjectClass: posternv1.Class(f.SubjectClass),
	}
	if f.HasWouldBe {
		m.WouldBeDemands = policypb.FromDemands(&f.WouldBe)
	}
	b, err := proto.Marshal(&m)
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "RECORD_TEXT", "what was frozen is not valid UTF-8")
	}
	return b, nil
}

// toTimestamp leaves the zero time out.
func toTimestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
