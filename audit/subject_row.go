package audit

import (
	"slices"
	"strings"
	"time"
)

// SubjectOf returns the blind index of the account an event is about; false when it names none. Whoever somebody only claimed to be
// is nobody's account.
func SubjectOf(e *Event) (Index, bool) {
	if !e.Named {
		return Index{}, false
	}
	return e.index(IndexAccount)
}

// Apply brings a person's row up to date with one archived event that is about the person (SubjectOf), at the row's site. Archives
// call it in sequence order, in the transaction that stores the event; a row begins with OrganizationUID, Subject, Site and
// SiteUID alone. It reports whether r changed.
//
// What an administrator did about a person moves a row that is there and makes none. A forked event changes nothing. What was
// reported late counts, and takes back nothing that happened after it.
func (r *SubjectRow) Apply(e *Event) bool {
	fresh, did := r.First.IsZero(), acted(e)
	if e.Forked || fresh && !did {
		return false
	}
	changed := r.administered(e)
	if !did {
		return changed
	}
	r.class(e)
	if fresh || e.Time.Before(r.First) {
		r.First = e.Time
	}
	r.Last = later(r.Last, e.Time)
	if e.Sealed != nil && len(e.Sealed.Data) > 0 && e.Sequence > r.Newest {
		r.NewestEventID, r.Newest = e.ID, e.Sequence
	}
	r.count(e)
	r.proved(e)
	return true
}

// acted reports whether the person did it: not an administrator, and not the passing of time.
func acted(e *Event) bool {
	switch e.Type {
	case TypeSignInAbandoned, TypeSignInSuperseded, TypeUnreadable:
		return false
	case TypeSessionEnded, TypeTokenRevoked:
		return e.EndCause == "LOGOUT"
	default:
		return CategoryOf(e.Type) != CategoryAdministration && !e.Time.IsZero()
	}
}

// administered follows what becomes of the second factor, which belongs to the organization and not to a site.
func (r *SubjectRow) administered(e *Event) bool {
	if r.Site != "" {
		return false
	}
	switch e.Type {
	case TypeAuthenticatorConfirmed:
		r.Enrolled = later(r.Enrolled, e.Time)
	case TypeAuthenticatorReset:
		r.Enrolled, r.Locked = time.Time{}, time.Time{}
	case TypeAuthenticatorUnlocked:
		r.Locked = time.Time{}
	case TypeMFALocked:
		r.Locked = later(r.Locked, e.Time)
	default:
		return false
	}
	return true
}

// class notes a class that was decided on, unless something later is known.
func (r *SubjectRow) class(e *Event) {
	if e.Provisional || e.Class <= ClassUndetermined || e.Class == r.Class || e.Time.Before(r.Last) {
		return
	}
	r.Class, r.ClassSince = e.Class, e.Time
}

// count counts endings and rejections.
func (r *SubjectRow) count(e *Event) {
	switch e.Type {
	case TypeSignInSucceeded:
		r.SignIns++
		if !e.Time.Before(r.LastSignIn) {
			r.LastSignIn, r.Rejections = e.Time, 0
		}
		r.trusted(e)
	case TypeSignInDenied, TypeSignInFailed:
		r.Refusals++
	default:
		if strings.HasSuffix(string(e.Type), ".rejected") && !e.Time.Before(r.LastSignIn) {
			r.Rejections++
		}
	}
}

// proved notes the method or factor of a step that was verified.
func (r *SubjectRow) proved(e *Event) {
	factor := e.Factor
	switch {
	case e.Type == TypeMFAVerified:
		r.used(e)
	case !binds(e.Type) || e.Method == MethodSession:
		return
	default:
		r.method(Method{Token: e.Method, Connection: e.Connection}.String())
		if e.Method != MethodPasskey || e.UserVerified == nil || !*e.UserVerified {
			return
		}
		factor = FactorWebAuthn // a passkey that saw its user is two factors in one
	}
	if (e.Counts == nil || *e.Counts) && !e.Time.Before(r.LastMFA) {
		r.LastMFA, r.LastMFAFactor, r.LastMFAEvidence = e.Time, factor, e.Evidence
	}
}

// used follows what a right code says of the second factor.
func (r *SubjectRow) used(e *Event) {
	if r.Site != "" || e.Enrolment == nil {
		return
	}
	if r.Locked = (time.Time{}); r.Enrolled.IsZero() {
		r.Enrolled = e.Enrolment.Time // confirmed before there was a row, or taken over from elsewhere
	}
}

// trusted notes a demand for a second factor that another kind of step met: a sign-in elsewhere whose own second factor is trusted.
func (r *SubjectRow) trusted(e *Event) {
	if e.Decision == nil {
		return
	}
	for i := range e.Decision.Demands {
		d := &e.Decision.Demands[i]
		if d.Kind != "MFA" || !d.Met {
			continue
		}
		at := slices.IndexFunc(e.Steps, func(s StepSummary) bool { return s.Step == d.MetByStep })
		if at >= 0 && (e.Steps[at].Method == MethodSSO || e.Steps[at].Method == MethodSocial) && !e.Steps[at].Time.Before(r.LastMFA) {
			r.LastMFA, r.LastMFAFactor, r.LastMFAEvidence = e.Steps[at].Time, FactorPartner, e.Steps[at].Evidence
		}
	}
}

// method lists a method once, in order.
func (r *SubjectRow) method(m string) {
	at, have := slices.BinarySearch(r.Methods, m)
	if m == "" || have || len(r.Methods) == MaxSubjectMethods {
		return
	}
	r.Methods = slices.Insert(slices.Clip(r.Methods), at, m)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// NameOld sets Named on an event that was archived before events said it, as well as can be told: what came after somebody was bound
// is about that account.
func NameOld(e *Event) {
	if !e.Named && !e.Provisional && e.Reason != ReasonSubjectMismatch {
		_, e.Named = e.index(IndexAccount)
	}
}

func (e *Event) index(p Purpose) (Index, bool) {
	for _, x := range e.Indexes {
		if x.Purpose == p {
			return x, true
		}
	}
	return Index{}, false
}
