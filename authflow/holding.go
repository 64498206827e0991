package authflow

import "github.com/postern-audit/postern/policy"

// Holds is which factors the subject has here, and which methods and factors are remembered of it, for who asks outside of a sign-in.
func (s *SubjectRecords) Holds() (policy.Enrolment, []policy.Proof) {
	if s.Person == nil {
		return s.enrolment(), nil
	}
	return s.enrolment(), s.Person.Proofs
}
