package redisstore

import (
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

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
//
// Where the record must not keep all, the state does, since flows are decided by it until they are over, and the event is sealed by
// itself, with what is left.
func (s *Store) sealSteps(steps []authflow.Step, c *authflow.Commit) error {
	for i := range steps {
		e := steps[i].Event
		if e.Sealed != nil {
			continue
		}
		if !e.Privacy.Full() {
			if err := s.codec.SealWhole(e); err != nil {
				return err
			}
			continue
		}
		before := e
		if i > 0 {
			before = steps[i-1].Event
		}
		if err := s.codec.SealAfter(e, before); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(c.Events, func(e audit.Event) bool { return !e.Privacy.Full() }) {
		c.Events = slices.Clone(c.Events) // an event may be its step's own
	}
	for i := range c.Events {
		e := &c.Events[i]
		if !e.Privacy.Full() {
			e.Sealed, e.Indexes = nil, nil // as the flow's state has it
			if err := s.codec.SealEvent(e); err != nil {
				return err
			}
			continue
		}
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

// encodeState fills in state and parts: format byte and FlowRecord, whose fields stand in the order in which they change least.
// What is as it was in the state that this one follows is there already; only its head is written every time, behind the steps.
func (p *prepared) encodeState(w *authflow.FlowWrite) error {
	st, who := w.State, personOf(w.State)
	had := take(w.Kept, st, &who)
	if had == nil {
		var err error
		if had, err = p.store.beginRecord(st, who); err != nil {
			return err
		}
	}
	p.parts = had
	for i := had.keep(st.Steps); i < len(st.Steps); i++ {
		step := &st.Steps[i]
		b, err := p.store.appendStep(p.records[:0], st, step)
		if err != nil {
			return err
		}
		had.record = appendBytes(had.record, fieldSteps, b)
		had.steps = append(had.steps, stepPart{id: step.Event.ID, released: step.Released, end: len(had.record)})
		p.records = b[:0]
	}
	state, err := appendHead(had.record, st)
	if err != nil {
		return err
	}
	had.record = state[:len(had.record)]
	p.state = state
	return nil
}

// beginRecord encodes what stands in front of a flow's steps.
func (s *Store) beginRecord(st *authflow.State, who person) (*parts, error) {
	p := &parts{frozen: st.Frozen, person: who, record: append(make([]byte, 0, 2<<10), redisx.StateFormat)}
	if st.Frozen != nil {
		b, err := encodeFrozen(st.Frozen)
		if err != nil {
			return nil, err
		}
		p.record = appendBytes(p.record, fieldFrozen, b)
	}
	sealed, err := s.sealPerson(st, &who)
	if err != nil {
		return nil, err
	}
	p.record = appendBytes(p.record, fieldPersonal, sealed)
	p.begin = len(p.record)
	p.taken.Store(true)
	return p, nil
}

// appendHead writes a FlowRecord without what is encoded apart: what binding froze, steps, and what identifies a person.
func appendHead(b []byte, st *authflow.State) (_ []byte, err error) {
	for _, s := range [...]string{st.Organization, st.Site, st.SupportCode, st.CorrelationID, st.Caller, st.LastRejection, st.Reason} {
		if !utf8.ValidString(s) {
			return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of the flow is not valid UTF-8")
		}
	}
	b = appendText(b, 1, st.ID.String())
	b = appendText(b, 2, st.OrganizationUID)
	b = appendText(b, 3, st.Organization)
	b = appendText(b, 4, st.SiteUID)
	b = appendText(b, 5, st.Site)
	b = appendText(b, 6, st.SupportCode)
	b = appendText(b, 7, st.CorrelationID)
	b = appendText(b, 8, st.Caller)
	b = appendNumber(b, 9, int64(st.Phase))
	b = appendTime(b, 10, st.Started)
	b = appendTime(b, 11, st.Deadline)
	b = appendFlag(b, 12, st.Recorded)
	b = appendNumber(b, 13, int64(st.Class))
	b = appendNumber(b, 14, int64(st.Rejections))
	b = appendText(b, 15, st.LastRejection)
	b = appendFlag(b, 16, st.Proven)
	b = appendTime(b, 17, st.Hour)
	b = appendNumber(b, 18, int64(st.Ending))
	b = appendText(b, 19, st.Reason)
	b = appendTime(b, 20, st.Ended)
	b = appendNumber(b, 24, st.PolicyRevision)
	b = appendFlag(b, 25, st.Late)
	if st.Pending != nil {
		if b, err = appendPending(b, 29, st.Pending); err != nil {
			return nil, err
		}
	}
	return appendRecords(b, st.Claimed.Records)
}

// appendRecords writes the directory records of the claimed subject, which few flows have.
func appendRecords(b []byte, r policy.Records) ([]byte, error) {
	add := func(n protowire.Number, m proto.Message) error {
		v, err := proto.Marshal(m)
		if err != nil {
			return errs.Wrap(err, errs.Internal, "RECORD_TEXT", "a directory record is not valid UTF-8")
		}
		b = appendBytes(b, n, v)
		return nil
	}
	if r.Domain != nil {
		if err := add(26, &storev1.DomainRecord{Domain: policypb.FromDomain(*r.Domain)}); err != nil {
			return nil, err
		}
	}
	if r.AccountClaim != nil {
		if err := add(27, claimToProto(r.AccountClaim)); err != nil {
			return nil, err
		}
	}
	if r.AddressClaim != nil {
		if err := add(28, claimToProto(r.AddressClaim)); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func claimToProto(c *policy.ClaimRecord) *storev1.ClaimRecord {
	return &storev1.ClaimRecord{Revision: c.Revision, Origin: posternv1.Origin(c.Origin), Kind: string(c.Kind), Key: c.Key[:]}
}

// appendStep writes a StepRecord, leaving out what the flow says already, and the indexes once the event has been written: they
// are a good part of a state, and nothing asks for them again. The first three fields are those of an EventRecord.
func (s *Store) appendStep(b []byte, st *authflow.State, step *authflow.Step) ([]byte, error) {
	e := *step.Event
	e.Organization, e.OrganizationUID, e.Site, e.SiteUID, e.Flow, e.SupportCode = "", "", "", "", "", ""
	e.Personal = audit.Personal{}
	if step.Released && e.Sealed != nil {
		e.Indexes = nil
	}
	if e.CorrelationID == st.CorrelationID {
		e.CorrelationID = ""
	}
	b, err := s.codec.AppendRecord(b, &e)
	return appendFlag(b, 4, step.Released), err
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
