package authflow

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Naming gives the identity a flow is bound to its account.
type Naming struct {
	AccountID  string
	NewAccount bool           // the login service has just made it
	Claimed    bool           // the organization claims it: it is not new
	Address    policy.Address // the account's own, which the login service has verified; zero: none
	Context    *Context
}

// pend keeps what the step began, or uses up what was begun.
func (r *run) pend() {
	rep := r.in.Step
	switch {
	case rep.Begins != nil:
		begun := *rep.Begins
		begun.Began = r.at
		r.s.Pending = &begun
	case rep.UsesUp && r.s.Pending != nil && r.s.Pending.Seed != nil:
		used := *r.s.Pending
		used.Used, used.Seed = stateHash(mint(used.Seed).State), nil
		r.s.Pending = &used
	}
}

// join brings identity and account together when a step shows the one that was missing: a proof of the account gives the
// bound identity its account, an identity that is to be linked is given the bound account. They are linked once the account's own
// proofs suffice, see settle. What is linked already only keeps its e-mail up to date.
func (r *run) join(e *audit.Event) {
	rep, b := r.in.Step, r.s.Bound
	switch {
	case b.AccountID == "" && rep.Subject.AccountID != "":
		named := *b
		named.AccountID, named.Named = rep.Subject.AccountID, e.Step
		named.Unlinked = len(b.IdentityKey) > 0 && len(rep.IdentityKey) == 0 // else its link has named the account
		r.s.Bound = &named
		r.repick()
	case len(rep.IdentityKey) > 0 && len(b.IdentityKey) == 0:
		named := *b
		named.IdentityKey, named.Unlinked = rep.IdentityKey, rep.Linked == nil
		r.s.Bound = &named
	case rep.Linked != nil && b.Unlinked: // by another flow, meanwhile
		named := *b
		named.Unlinked = false
		r.s.Bound = &named
	}
	if rep.Linked != nil && len(rep.IdentityKey) > 0 {
		r.mailed(e)
	}
}

// name gives the bound identity its account. One that is known here is not given away on the login service's word alone: it
// wants a proof, which is a step and links by itself, or an e-mail that both sides have verified.
func (r *run) name() (Moved, error) {
	n, b := r.in.Name, r.s.Bound
	if n.Context != nil {
		r.ctx = *n.Context
	}
	if st := r.stop(); st != nil {
		r.judge()
		return r.stopped(st), nil
	}
	if b.AccountID != "" || len(b.IdentityKey) == 0 {
		return Moved{}, refuse(ErrAccountKnown)
	}
	e := r.bindingEvent()
	by := ""
	switch c := connection(r.in.Organization, e.Connection); {
	case c == nil:
		return Moved{}, refuse(ErrConnectionUnknown)
	case c.LinksByEmail && b.EmailVerified && !n.Address.IsZero() && n.Address.Key() == b.Email.Key():
		by = LinkedByEmail
	case n.NewAccount && !n.Claimed && r.in.Subject.unknown():
		by = LinkedNew
	default:
		return Moved{}, refuse(ErrLinkProof)
	}
	named := *b
	named.AccountID = n.AccountID
	r.s.Bound = &named
	r.repick()
	r.linked(e, by)
	for i := range r.s.Steps {
		shown := r.s.Steps[i].Event
		if m, ok := stepMove(shown.Type); ok && (m == MoveProve || m == MoveFactorProve) {
			r.remember(shown)
		}
	}
	return r.settle(), nil
}

// own reports whether a step may count for an account whose identity is not linked: neither what the identity showed nor what
// was shown before the account was named does.
func (b *Bound) own(e *audit.Event) bool {
	return !b.Unlinked || e.Personal.Issuer == "" && e.Step >= b.Named
}

// unite links identity and account once what was shown of the account alone suffices to let it in, a fresh credential among it: a
// session that goes on is none. Only then the identity speaks for the account, now and later.
func (r *run) unite() bool {
	b := r.s.Bound
	if b == nil || !b.Unlinked || r.decision.Verdict != audit.VerdictAllow {
		return false
	}
	var identity *audit.Event
	fresh := false
	for i := range r.s.Steps {
		e := r.s.Steps[i].Event
		if m, ok := stepMove(e.Type); !ok || m != MoveProve {
			continue
		}
		if e.Personal.Issuer != "" {
			identity = e
		}
		fresh = fresh || b.own(e) && e.Method != audit.MethodSession && (e.Counts == nil || *e.Counts)
	}
	if identity == nil || !fresh {
		return false
	}
	next := *b
	next.Unlinked = false
	r.s.Bound = &next
	r.linked(identity, LinkedByProof)
	return true
}

// names is the account that an input names.
func (in *Input) names() string {
	switch {
	case in.Name != nil:
		return in.Name.AccountID
	case in.Step != nil:
		return in.Step.Subject.AccountID
	}
	return ""
}

// repick picks the rules anew once the bound identity has its account: they may name it. The class stays as it was decided; only
// an account that the organization claims would be of another one, to which no rules apply.
func (r *run) repick() {
	if r.s.Class != audit.ClassExternal {
		return
	}
	in := r.policyInput()
	in.Subject.AccountKey, in.Subject.AddressKey = r.in.Named.Account, r.in.Named.Address
	frozen := policy.Bind(in)
	r.s.Frozen = &frozen
}

// unbound refuses to name the account of nobody, unless a stop ends the flow first.
func (r *run) unbound() (Moved, error) {
	if st := r.stop(); st != nil {
		r.judge()
		return r.stopped(st), nil
	}
	return Moved{}, refuse(ErrNotBound)
}

// unknown reports whether nothing is kept of a subject here.
func (s *SubjectRecords) unknown() bool { return s != nil && s.Authenticator == nil && s.Person == nil }

// bindingEvent is the event of the step that bound.
func (r *run) bindingEvent() *audit.Event { return r.s.Steps[r.s.Bound.Step-1].Event }

// linked makes the link of an identity, with its event. e is the event of the step that proved the identity.
func (r *run) linked(e *audit.Event, by string) {
	b := r.s.Bound
	r.link = &Link{Identity: identityKey(b.IdentityKey), AccountID: b.AccountID, Issuer: e.Personal.Issuer, SubjectID: e.Personal.SubjectID,
		Email: e.Personal.Email, ConnectionUID: e.ConnectionUID, Linked: r.now, By: by, Flow: r.s.ID.String()}
	r.besides(audit.TypeAccountLinked, e, audit.Change{Field: "linked_by", After: by})
}

// mailed records that the provider gives another e-mail than the last time.
func (r *run) mailed(e *audit.Event) {
	had, gives := r.in.Step.Linked, r.in.Step.Subject.Address.String()
	if gives == "" || gives == had.Email {
		return
	}
	next := *had
	next.Email, next.Stored = gives, ""
	r.link = &next
	r.besides(audit.TypeAccountEmailChanged, e)
	r.beside[len(r.beside)-1].Personal.PreviousEmail = had.Email
}

// besides makes an administrative event about the identity that e proved: no step of the flow.
func (r *run) besides(t audit.Type, e *audit.Event, changes ...audit.Change) {
	b := r.s.Bound
	a := audit.Event{ID: r.in.IDs.Link, Type: t, Time: r.at, Organization: r.s.Organization, OrganizationUID: r.s.OrganizationUID,
		Flow: r.s.ID.String(), Caller: r.caller, Outcome: audit.OutcomeOf(t), Connection: e.Connection, ConnectionUID: e.ConnectionUID,
		Evidence: e.Evidence, Class: r.s.Class, SubjectKind: b.Kind, Changes: changes, Sandbox: e.Sandbox, Privacy: e.Privacy, Region: e.Region}
	a.Personal = audit.Personal{AccountID: b.AccountID, Email: e.Personal.Email, EmailVerified: e.Personal.EmailVerified,
		Issuer: e.Personal.Issuer, SubjectID: e.Personal.SubjectID}
	r.beside = append(r.beside, a)
}

func identityKey(b []byte) IdentityKey {
	var k IdentityKey
	copy(k[:], b)
	return k
}
