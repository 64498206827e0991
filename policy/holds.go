package policy

// Holds reports whether a subject has a factor that d takes: one that is enrolled here, or one it has ever shown as far as that is
// remembered, however old. It says nothing about evidence. True when d asks for no factor.
func (d *Demands) Holds(e Enrolment, proofs []Proof) bool {
	if d.MFA == nil || enrolled(d.MFA, e) {
		return true
	}
	for i := range proofs {
		s := proofs[i].shown()
		if taken, _ := d.secondFactor(&s); taken {
			return true
		}
	}
	return false
}
