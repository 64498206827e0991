package codec

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// DecisionToProto converts a decision; nil stays nil.
func DecisionToProto(d *audit.Decision) *posternv1.Decision {
	if d == nil {
		return nil
	}
	form := &struct { // one allocation
		decision posternv1.Decision
		basis    posternv1.ClassBasis
	}{decision: posternv1.Decision{
		Class:          posternv1.Class(d.Class),
		Advisory:       d.Advisory,
		Rule:           d.Rule,
		Source:         d.Source,
		AllowedMethods: d.AllowedMethods,
		PolicyRevision: d.PolicyRevision,
		Verdict:        posternv1.Verdict(d.Verdict),
		Reason:         d.Reason,
		Message:        d.Message,
		HelpUrl:        d.HelpURL,
		GraceUntil:     timeToProto(d.GraceUntil),
	}}
	m := &form.decision
	if d.Basis != (audit.ClassBasis{}) {
		m.ClassBasis = &form.basis
		form.basis.By, form.basis.Domain, form.basis.VerifiedBy, form.basis.Revision = d.Basis.By, d.Basis.Domain, d.Basis.VerifiedBy, d.Basis.Revision
		form.basis.Stale = d.Basis.Stale
	}
	if len(d.Conditions) > 0 {
		all := make([]posternv1.Condition, len(d.Conditions))
		m.Conditions = make([]*posternv1.Condition, len(d.Conditions))
		for i, c := range d.Conditions {
			all[i].Name, all[i].Met, all[i].Detail = c.Name, c.Met, c.Detail
			m.Conditions[i] = &all[i]
		}
	}
	if len(d.Demands) > 0 {
		all := make([]posternv1.Demand, len(d.Demands))
		m.Demands = make([]*posternv1.Demand, len(d.Demands))
		for i := range d.Demands {
			demandToProto(&d.Demands[i], &all[i])
			m.Demands[i] = &all[i]
		}
	}
	if w := d.WouldBe; w != nil {
		m.WouldBe = &posternv1.WouldBe{Verdict: posternv1.Verdict(w.Verdict), Rule: w.Rule, Reason: w.Reason}
	}
	return m
}

func demandToProto(d *audit.Demand, m *posternv1.Demand) {
	m.Kind = d.Kind
	m.Connection = d.Connection
	m.Factors = d.Factors
	m.Evidence = posternv1.Evidence(d.Evidence)
	m.AcceptPartner = d.AcceptPartner
	m.Met = d.Met
	m.MetByStep = int32From(d.MetByStep)
	m.MetByProof = proofRefToProto(d.MetByProof)
	m.Reason = d.Reason
	if d.MaxAge != 0 {
		m.MaxAge = durationpb.New(d.MaxAge)
	}
}

// DecisionFromProto is the reverse of DecisionToProto. The result shares slices with m.
func DecisionFromProto(m *posternv1.Decision) (*audit.Decision, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // absent is a value here, not a failure
	}
	grace, err := timeFromProto(m.GetGraceUntil())
	if err != nil {
		return nil, err
	}
	d := &audit.Decision{
		Class:          audit.Class(enumFrom(m.GetClass())),
		Advisory:       m.GetAdvisory(),
		Rule:           m.GetRule(),
		Source:         m.GetSource(),
		AllowedMethods: m.GetAllowedMethods(),
		PolicyRevision: m.GetPolicyRevision(),
		Verdict:        audit.Verdict(enumFrom(m.GetVerdict())),
		Reason:         m.GetReason(),
		Message:        m.GetMessage(),
		HelpURL:        m.GetHelpUrl(),
		GraceUntil:     grace,
	}
	if b := m.GetClassBasis(); b != nil {
		d.Basis = audit.ClassBasis{By: b.GetBy(), Domain: b.GetDomain(), VerifiedBy: b.GetVerifiedBy(), Revision: b.GetRevision(), Stale: b.GetStale()}
	}
	for _, c := range m.GetConditions() {
		d.Conditions = append(d.Conditions, audit.Condition{Name: c.GetName(), Met: c.GetMet(), Detail: c.GetDetail()})
	}
	for _, each := range m.GetDemands() {
		demand, err := demandFromProto(each)
		if err != nil {
			return nil, err
		}
		d.Demands = append(d.Demands, demand)
	}
	if w := m.GetWouldBe(); w != nil {
		d.WouldBe = &audit.WouldBe{Verdict: audit.Verdict(enumFrom(w.GetVerdict())), Rule: w.GetRule(), Reason: w.GetReason()}
	}
	return d, nil
}

func demandFromProto(m *posternv1.Demand) (audit.Demand, error) {
	age, err := durationFromProto(m.GetMaxAge())
	if err != nil {
		return audit.Demand{}, err
	}
	proof, err := proofRefFromProto(m.GetMetByProof())
	return audit.Demand{
		Kind:          m.GetKind(),
		Connection:    m.GetConnection(),
		Factors:       m.GetFactors(),
		MaxAge:        age,
		Evidence:      audit.Evidence(enumFrom(m.GetEvidence())),
		AcceptPartner: m.GetAcceptPartner(),
		Met:           m.GetMet(),
		MetByStep:     int(m.GetMetByStep()),
		MetByProof:    proof,
		Reason:        m.GetReason(),
	}, err
}

// timeToProto converts a time; the zero time is absent.
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// timeFromProto converts a time to UTC; absent is the zero time. Times no clock shows are refused.
func timeFromProto(m *timestamppb.Timestamp) (time.Time, error) {
	if m == nil {
		return time.Time{}, nil
	}
	if err := m.CheckValid(); err != nil {
		return time.Time{}, malformed(err, "a time is out of range")
	}
	return m.AsTime(), nil
}

// durationFromProto converts a duration; absent is zero.
func durationFromProto(m *durationpb.Duration) (time.Duration, error) {
	if m == nil {
		return 0, nil
	}
	if err := m.CheckValid(); err != nil {
		return 0, malformed(err, "a duration is out of range")
	}
	return m.AsDuration(), nil
}

// enumFrom narrows an enum number. One that no uint8 holds reads as unspecified; unknown small ones are kept, so that a
// record of a newer process keeps its number.
func enumFrom[E ~int32](e E) uint8 {
	if e < 0 || e > math.MaxUint8 {
		return 0
	}
	return uint8(e)
}

// int32From narrows a small count. Step numbers never come near the bounds.
func int32From(n int) int32 {
	return int32(min(max(n, math.MinInt32), math.MaxInt32))
}
