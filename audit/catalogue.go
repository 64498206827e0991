package audit

import "slices"

// Type names what an event is about, for example "password.rejected". The catalogue is closed: see Types.
type Type string

// Category is what retention goes by.
type Category string

// The categories.
const (
	CategorySignIn         Category = "SIGN_IN"
	CategoryAdministration Category = "ADMINISTRATION"
	CategoryActivity       Category = "ACTIVITY"
)

// Family is the group of methods a type belongs to; it says what may stand in an event's Method and Factor.
type Family string

// The families. Types of no family carry neither method nor factor of their own.
const (
	FamilyNone         Family = ""
	FamilyPassword     Family = "password"
	FamilyPasswordless Family = "passwordless" // Method is passkey, magic_link or email_code
	FamilySocial       Family = "social"
	FamilySSO          Family = "sso"
	FamilyMFA          Family = "mfa" // Factor is set, Method is empty
	FamilySession      Family = "session"
	FamilyToken        Family = "token"
)

// TypeInfo is what the catalogue says about a type.
type TypeInfo struct {
	Type        Type
	Description string
	Category    Category
	Outcome     Outcome
	Family      Family
	// Reportable: a login service may report it as a step of a flow.
	Reportable bool
	// Step: events of this type have a step number of 1 or more within their flow. session.reused and session.rejected also
	// happen outside of a sign-in, when access is checked: with step 0.
	Step bool
	// Binds: when it is the first of its kind in a flow, the subject it names becomes the flow's subject.
	Binds bool
	// NeedsReason: such an event never goes without a reason. Types without this never take a reason from a caller.
	NeedsReason bool
	// Ending is how the flow ended, on types that end one.
	Ending Ending
	// Reasons lists every reason such an event may carry, over all methods and factors.
	Reasons []ReasonInfo
}

// ReasonInfo is what the catalogue says about a reason on one type of event.
type ReasonInfo struct {
	Reason      string
	Description string
	// For lists the methods or factors the reason is for; nil means every one of the type's family.
	For []string
	// AssertedOnly: only on the login service's word, with a detail. What this process checks it can name.
	AssertedOnly bool
	// NotCounted: stands on a step that did happen and does not count towards the demands.
	NotCounted bool
	// Outside: only where access is checked outside of a sign-in. No login service reports it and no flow ends with it.
	Outside bool
}

// fits reports whether the reason may stand with this method or factor ("" means: any).
func (r *ReasonInfo) fits(method string) bool {
	return method == "" || r.For == nil || slices.Contains(r.For, method)
}

// Lookup returns what the catalogue says about t. The answer is the caller's own copy.
func Lookup(t Type) (TypeInfo, bool) {
	i, ok := position[t]
	if !ok {
		return TypeInfo{}, false
	}
	return catalogue[i].copy(), true
}

// Known reports whether t is in the catalogue.
func Known(t Type) bool {
	_, ok := position[t]
	return ok
}

// Types returns the whole catalogue in reading order, as a fresh copy.
func Types() []TypeInfo {
	out := make([]TypeInfo, len(catalogue))
	for i := range catalogue {
		out[i] = catalogue[i].copy()
	}
	return out
}

// OutcomeOf returns the outcome of events of type t, OutcomeUnspecified for an unknown type.
func OutcomeOf(t Type) Outcome {
	if i, ok := position[t]; ok {
		return catalogue[i].Outcome
	}
	return OutcomeUnspecified
}

// EndingType returns the type of the event that ends a flow this way, "" for EndingNone.
func EndingType(e Ending) Type {
	for i := range catalogue {
		if e != EndingNone && catalogue[i].Ending == e {
			return catalogue[i].Type
		}
	}
	return ""
}

// VerifiedType returns the step type that reports success with a method token (or MethodMFA): what next[] names.
func VerifiedType(method string) Type {
	switch method {
	case MethodPassword:
		return TypePasswordVerified
	case MethodPasskey, MethodMagicLink, MethodEmailCode:
		return TypePasswordlessVerified
	case MethodSocial:
		return TypeSocialVerified
	case MethodSSO:
		return TypeSSOVerified
	case MethodMFA:
		return TypeMFAVerified
	case MethodSession:
		return TypeSessionReused
	case MethodToken:
		return TypeTokenUsed
	}
	return ""
}

// ReasonsFor returns the reasons an event of type t may carry with this method or factor ("" for all of them), in reading
// order, as a fresh copy; nil for a type without reasons. The same reason may mean different things with different
// methods, so describe it through this function only.
func ReasonsFor(t Type, methodOrFactor string) []ReasonInfo {
	i, ok := position[t]
	if !ok {
		return nil
	}
	var out []ReasonInfo
	for j := range catalogue[i].Reasons {
		if r := &catalogue[i].Reasons[j]; r.fits(methodOrFactor) {
			out = append(out, r.copy())
		}
	}
	return out
}

// ValidReason reports whether an event of type t with this method or factor and evidence may carry the reason. An empty
// reason is valid where none is needed.
func ValidReason(t Type, methodOrFactor, reason string, ev Evidence) bool {
	i, ok := position[t]
	if !ok {
		return false
	}
	if reason == "" {
		return !catalogue[i].NeedsReason
	}
	for j := range catalogue[i].Reasons {
		r := &catalogue[i].Reasons[j]
		if r.Reason == reason && r.fits(methodOrFactor) && (!r.AssertedOnly || ev == EvidenceAsserted) {
			return true
		}
	}
	return false
}

// MayReport reports whether a login service may report a step of type t with this method or factor and this reason. A
// reason is needed exactly on types with NeedsReason; what does not count, and why, is for this process to say.
func MayReport(t Type, methodOrFactor, reason string) bool {
	i, ok := position[t]
	if !ok || !catalogue[i].Reportable {
		return false
	}
	if !catalogue[i].NeedsReason {
		return reason == ""
	}
	return ValidReason(t, methodOrFactor, reason, EvidenceAsserted) && !slices.ContainsFunc(catalogue[i].Reasons, func(r ReasonInfo) bool {
		return r.Outside && r.Reason == reason
	})
}

// ValidRefusal reports whether a login service may refuse a flow for this reason.
func ValidRefusal(reason string) bool {
	for _, r := range refusalReasons {
		if r.Reason == reason {
			return true
		}
	}
	return false
}

// Refusals returns the reasons a login service may refuse a flow for, as a fresh copy.
func Refusals() []ReasonInfo { return copyReasons(refusalReasons) }

// DistinctReasons returns the type's reasons with each name once, for lists that do not show methods: where a reason means
// different things with different methods, the descriptions are joined and say which.
func (t *TypeInfo) DistinctReasons() []ReasonInfo {
	var out []ReasonInfo
	for i := range t.Reasons {
		r := t.Reasons[i].copy()
		j := slices.IndexFunc(out, func(have ReasonInfo) bool { return have.Reason == r.Reason })
		if j < 0 {
			out = append(out, r)
			continue
		}
		out[j].Description = labelled(out[j]) + " " + labelled(r)
		out[j].For = nil
	}
	return out
}

// labelled puts the methods a reason is for in front of its description.
func labelled(r ReasonInfo) string {
	if r.For == nil {
		return r.Description
	}
	return list(r.For) + ": " + r.Description
}

// position finds a type's place in the catalogue. Filled once, never changed.
var position = func() map[Type]int {
	m := make(map[Type]int, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].Type] = i
	}
	return m
}()

// copy returns a TypeInfo that shares nothing with the catalogue.
func (t *TypeInfo) copy() TypeInfo {
	c := *t
	c.Reasons = copyReasons(t.Reasons)
	return c
}

// copy returns a ReasonInfo that shares nothing with the catalogue.
func (r *ReasonInfo) copy() ReasonInfo {
	c := *r
	c.For = slices.Clone(r.For)
	return c
}

// copyReasons copies a list deeply; an empty one is nil.
func copyReasons(in []ReasonInfo) []ReasonInfo {
	var out []ReasonInfo
	for i := range in {
		out = append(out, in[i].copy())
	}
	return out
}
