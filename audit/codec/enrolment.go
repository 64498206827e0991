package codec

import (
	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// EnrolmentToProto converts how a factor was enrolled; nil stays nil.
func EnrolmentToProto(e *audit.Enrolment) *posternv1.Enrolment {
	if e == nil {
		return nil
	}
	return &posternv1.Enrolment{
		Time:     timeToProto(e.Time),
		Caller:   e.Caller,
		Flow:     e.Flow,
		Method:   e.Method,
		Evidence: posternv1.Evidence(e.Evidence),
		Imported: e.Imported,
	}
}

// EnrolmentFromProto is the reverse of EnrolmentToProto.
func EnrolmentFromProto(m *posternv1.Enrolment) (*audit.Enrolment, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // absent is a value here, not a failure
	}
	at, err := timeFromProto(m.GetTime())
	if err != nil {
		return nil, err
	}
	return &audit.Enrolment{
		Time:     at,
		Caller:   m.GetCaller(),
		Flow:     m.GetFlow(),
		Method:   m.GetMethod(),
		Evidence: audit.Evidence(enumFrom(m.GetEvidence())),
		Imported: m.GetImported(),
	}, nil
}

// proofRefToProto converts the name of a remembered proof; nil stays nil.
func proofRefToProto(r *audit.ProofRef) *posternv1.ProofRef {
	if r == nil {
		return nil
	}
	return &posternv1.ProofRef{
		Flow:     r.Flow,
		Step:     int32From(r.Step),
		Time:     timeToProto(r.Time),
		SiteUid:  r.SiteUID,
		Proven:   r.Proven,
		Evidence: posternv1.Evidence(r.Evidence),
	}
}

// proofRefFromProto is the reverse of proofRefToProto.
func proofRefFromProto(m *posternv1.ProofRef) (*audit.ProofRef, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // absent is a value here, not a failure
	}
	at, err := timeFromProto(m.GetTime())
	if err != nil {
		return nil, err
	}
	return &audit.ProofRef{
		Flow:     m.GetFlow(),
		Step:     int(m.GetStep()),
		Time:     at,
		SiteUID:  m.GetSiteUid(),
		Proven:   m.GetProven(),
		Evidence: audit.Evidence(enumFrom(m.GetEvidence())),
	}, nil
}
