package policy

import (
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// MaxProofs bounds how many proofs are remembered of one subject.
const MaxProofs = 32

// ProvenAt is when something counts as proven: when it was recorded, or the asserted time if that is earlier. An asserted
// time can make a proof older, never younger.
func ProvenAt(recorded, asserted time.Time) time.Time {
	if asserted.IsZero() || recorded.Before(asserted) {
		return recorded
	}
	return asserted
}

// Usable reports whether a remembered proof may count in this input at all, whatever is demanded and however old it may be.
// It does not when
//   - its time is unknown or lies in the future by more than clocks differ;
//   - it was revoked: it is older than the bound of the subject, of the organization or of the site being entered;
//   - it was made on another device: it and this flow both name one, and they differ. Where one of them names none, the
//     device is no matter;
//   - it came through a connection that is disabled, gone, or another one of the same name.
//
// That a proof is of this subject in this organization is for the caller: a proof does not say.
func Usable(p Proof, in Input) bool { return in.usable(&p) }

func (in *Input) usable(p *Proof) bool {
	if p.At.IsZero() || p.At.After(in.Now.Add(skew)) || in.revoked(p.At) {
		return false
	}
	if p.Device != in.Device && p.Device != ([16]byte{}) && in.Device != ([16]byte{}) {
		return false
	}
	if p.Connection == "" {
		return true
	}
	c := findConnection(in.Organization, p.Connection)
	return c != nil && !c.Disabled && (p.ConnectionUID == "" || p.ConnectionUID == c.UID)
}

// revoked reports whether what was proven then counts no more.
func (in *Input) revoked(at time.Time) bool {
	return at.Before(in.NotBefore) || in.Organization != nil && at.Before(in.Organization.ProofsNotBefore) ||
		in.Site != nil && at.Before(in.Site.ProofsNotBefore)
}

// newest returns the newest usable proof of at most that age that take accepts, nil without one.
func (in *Input) newest(most time.Duration, take func(*Shown) bool) *Proof {
	var best *Proof
	for i := range in.Proofs {
		p := &in.Proofs[i]
		if best != nil && !p.At.After(best.At) || !fresh(p.At, most, in.Now) || !in.usable(p) {
			continue
		}
		if s := p.shown(); take(&s) {
			best = p
		}
	}
	return best
}

// shown is a proof as demands look at it. It has no step: it is of another flow.
func (p *Proof) shown() Shown {
	return Shown{Method: p.Method, Connection: p.Connection, Factor: p.Factor, Evidence: p.Evidence, At: p.At,
		UserVerified: p.UserVerified, PartnerAMR: p.PartnerAMR, PartnerACR: p.PartnerACR}
}

// ref names a proof in a decision.
func (p *Proof) ref() *audit.ProofRef {
	proven := p.Method
	if proven == "" {
		proven = p.Factor
	}
	return &audit.ProofRef{Flow: p.Flow, Step: p.Step, Time: p.At, SiteUID: p.SiteUID, Proven: proven, Evidence: p.Evidence}
}

// Remember returns what is remembered once a new proof has come: newest first, at most MaxProofs, the oldest dropped. Of one
// method or factor, connection and device the newest stays; an older one stays beside it only while it says more (better
// evidence, user verification, the partner's own factor). A proof that says nothing new changes nothing: an asserted time
// that is older than what is known never replaces it. Sessions, tokens and proofs of unknown time are no proofs. The
// slices given are left as they are.
func Remember(existing []Proof, added Proof) []Proof {
	out := make([]Proof, 0, len(existing)+1)
	if !added.remembered() {
		return append(out, existing...)
	}
	for i := range existing {
		if existing[i].covers(&added) {
			return append(out[:0], existing...)
		}
		if !added.covers(&existing[i]) {
			out = append(out, existing[i])
		}
	}
	out = append(out, added)
	slices.SortStableFunc(out, func(a, b Proof) int { return b.At.Compare(a.At) })
	return out[:min(len(out), MaxProofs)]
}

// remembered reports whether p is of something that proves a person.
func (p *Proof) remembered() bool {
	if p.At.IsZero() || p.Method == audit.MethodSession || p.Method == audit.MethodToken {
		return false
	}
	return p.Method != "" || p.Factor != ""
}

// covers reports whether p is of the same kind as q and wherever q counts p does too, for at least as long.
func (p *Proof) covers(q *Proof) bool {
	return p.Method == q.Method && p.Factor == q.Factor && p.Connection == q.Connection && p.ConnectionUID == q.ConnectionUID &&
		p.Device == q.Device && !p.At.Before(q.At) && p.Evidence >= q.Evidence && (p.UserVerified || !q.UserVerified) &&
		(q.PartnerACR == "" || p.PartnerACR == q.PartnerACR) &&
		!slices.ContainsFunc(q.PartnerAMR, func(v string) bool { return !slices.Contains(p.PartnerAMR, v) })
}
