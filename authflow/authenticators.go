package authflow

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ProofBounds moves the moment before which proofs count no more, at a site or in a whole organization. Keepers of policy
// records implement it.
type ProofBounds interface {
	// RevokeProofs sets the bound of a site (by uid), or of the organization when siteUID is empty, and moves the policy stamp,
	// with the event in the same commit. A key that was used for the same request changes nothing and returns the first answer;
	// used for another one it is REQUEST_ID_REUSED. It returns the bound and the id of the event as they were committed.
	RevokeProofs(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error)
}

// AuthenticatorsConfig is what the administration of second factors needs besides Flows. Every field is needed.
type AuthenticatorsConfig struct {
	Flows    *Flows
	Subjects SubjectStore
	Secrets  Secrets
	Verifier Verifier
	Bounds   ProofBounds
}

// Authenticators are the use cases around second factors. Safe for concurrent use. Every change is one commit with its event;
// a call whose request id was answered before changes nothing.
type Authenticators struct {
	f *Flows
	c AuthenticatorsConfig
}

// NewAuthenticators returns the use cases, or an error that names the missing part.
func NewAuthenticators(c AuthenticatorsConfig) (*Authenticators, error) {
	for name, missing := range map[string]bool{
		"Flows": c.Flows == nil, "Subjects": c.Subjects == nil, "Secrets": c.Secrets == nil, "Verifier": c.Verifier == nil, "Bounds": c.Bounds == nil,
	} {
		if missing {
			return nil, errs.Newf(errs.Internal, "CONFIG_INCOMPLETE", "authflow.AuthenticatorsConfig: %s is missing", name)
		}
	}
	return &Authenticators{f: c.Flows, c: c}, nil
}

// change is one administrative call on the records of one subject.
type change struct {
	a       *Authenticators
	who     Caller
	org     *policy.Organization
	key     CommitKey
	digest  Digest
	keep    time.Duration // how long the outcome is kept; 0: 24 h
	subject policy.AccountKey
}

// alteration is what one attempt at a change would write.
type alteration struct {
	authenticator *factor.Authenticator
	person        *Person
	event         audit.Event
	sealed        []byte // for the repeated answer
}

func (a *Authenticators) change(ctx context.Context, who Caller, method, organization, requestID string, canonical []byte) (*change, error) {
	uid, err := a.f.c.Directory.Resolve(ctx, organization)
	if err != nil {
		return nil, err
	}
	org, err := a.f.c.Directory.Cached(ctx, uid)
	if err != nil {
		return nil, err
	}
	return &change{a: a, who: who, org: org, key: a.f.c.Namer.CommitKey(who.Principal, method, uid, requestID),
		digest: a.f.c.Namer.Digest(canonical)}, nil
}

// run makes the change on the records as they are now, and again after a lost race. It returns them as they are afterwards; the
// outcome is given when the call was answered before: then nothing was changed.
func (c *change) run(ctx context.Context, do func(s *SubjectRecords, now time.Time) (*alteration, error)) (*SubjectRecords, *Outcome, error) {
	f := c.a.f
	reading, err := f.read(ctx, Read{OrganizationUID: c.org.UID, Key: c.key, Request: c.digest, Subject: &c.subject, Organization: true})
	if err != nil {
		return nil, nil, err
	}
	s := reading.Subject
	if s == nil {
		s = &SubjectRecords{Key: c.subject}
	}
	if reading.Outcome != nil {
		return s, reading.Outcome, nil
	}
	for range maxSubjectConflicts {
		next, err := do(s, f.c.Now())
		if err != nil {
			return nil, nil, err
		}
		w := &Commit{OrganizationUID: c.org.UID, Key: c.key, Request: c.digest, OwnKey: true, KeepKey: c.keep,
			Outcome: &Outcome{Recorded: true, Sealed: next.sealed}, Events: []audit.Event{next.event}}
		if next.authenticator != nil {
			w.Authenticator = &AuthenticatorWrite{Subject: c.subject, From: s.AuthenticatorStamp, Next: next.authenticator}
		}
		if next.person != nil {
			w.Person = &PersonWrite{Subject: c.subject, From: s.PersonStamp, Next: next.person, Until: next.person.until()}
		}
		done, err := f.commit(ctx, w)
		var conflict *Conflict
		switch {
		case errors.As(err, &conflict) && conflict.Subject != nil:
			s = conflict.Subject
			continue
		case conflict != nil:
			return nil, nil, refuse(ErrConflict)
		case err != nil:
			return nil, nil, err
		case done.Repeated != nil:
			return c.repeated(ctx, done.Repeated)
		}
		after := *s
		if next.authenticator != nil {
			after.Authenticator = next.authenticator
		}
		return &after, nil, nil
	}
	return nil, nil, refuse(ErrConflict)
}

// repeated reads what stands now: another call with the same request id came first.
func (c *change) repeated(ctx context.Context, first *Outcome) (*SubjectRecords, *Outcome, error) {
	s, err := c.a.subject(ctx, c.org.UID, c.subject)
	return s, first, err
}

// subject reads the records of a subject.
func (a *Authenticators) subject(ctx context.Context, organizationUID string, key policy.AccountKey) (*SubjectRecords, error) {
	reading, err := a.f.c.Store.Read(ctx, Read{OrganizationUID: organizationUID, Subject: &key})
	if err != nil {
		return nil, err
	}
	if reading.Subject == nil {
		return &SubjectRecords{Key: key}, nil
	}
	return reading.Subject, nil
}

// event begins the event of a change. It has no step: it belongs to no sign-in, even where it names one.
func (c *change) event(t audit.Type, accountID, reason string, now time.Time) audit.Event {
	return audit.Event{ID: c.a.f.c.NewID(), Type: t, Time: now, Organization: c.org.ID, OrganizationUID: c.org.UID, Caller: c.who.Principal,
		Outcome: audit.OutcomeOf(t), Personal: audit.Personal{AccountID: accountID, Detail: reason}}
}

// about is the event of a change of an authenticator.
func (c *change) about(t audit.Type, a *factor.Authenticator, credential *factor.Credential, reason string, now time.Time) audit.Event {
	e := c.event(t, a.AccountID, reason, now)
	e.Factor, e.Authenticator = audit.FactorTOTP, credential.UID
	e.Target = &audit.Target{Type: "authenticator", ID: hex.EncodeToString(c.subject[:]), UID: credential.UID}
	return e
}

// seen is a subject's authenticator as administrators see it.
func (c *change) seen(s *SubjectRecords) SubjectFactor { return seen(c.org, s) }

func seen(org *policy.Organization, s *SubjectRecords) SubjectFactor {
	return SubjectFactor{Organization: org.ID, OrganizationUID: org.UID, Subject: s.Key, Authenticator: valueOf(s.Authenticator)}
}

// Get returns the authenticator of a subject, or AUTHENTICATOR_NOT_FOUND when it never had one.
func (a *Authenticators) Get(ctx context.Context, organization string, subject policy.AccountKey) (SubjectFactor, error) {
	org, err := a.organization(ctx, organization)
	if err != nil {
		return SubjectFactor{}, err
	}
	s, err := a.subject(ctx, org.UID, subject)
	switch {
	case err != nil:
		return SubjectFactor{}, err
	case s.Authenticator == nil:
		return SubjectFactor{}, refuse(ErrAuthenticatorNotFound)
	}
	return seen(org, s), nil
}

// List returns a page of authenticators in the order of their subjects' keys, and the key to go on after: zero at the end.
func (a *Authenticators) List(ctx context.Context, in ListInput) ([]SubjectFactor, policy.AccountKey, error) {
	var after policy.AccountKey
	org, err := a.organization(ctx, in.Organization)
	if err != nil {
		return nil, after, err
	}
	if in.AccountID != "" {
		key := a.f.c.Namer.AccountKey(org.UID, in.AccountID)
		if bytes.Compare(key[:], in.After[:]) <= 0 {
			return nil, after, nil
		}
		s, err := a.subject(ctx, org.UID, key)
		if err != nil || s.Authenticator == nil {
			return nil, after, err
		}
		return []SubjectFactor{seen(org, s)}, after, nil
	}
	page, err := a.c.Subjects.Authenticators(ctx, org.UID, in.After, in.Limit+1)
	if err != nil {
		return nil, after, err
	}
	if len(page) > in.Limit {
		page = page[:in.Limit]
		after = page[in.Limit-1].Key
	}
	out := make([]SubjectFactor, len(page))
	for i := range page {
		out[i] = seen(org, &page[i])
	}
	return out, after, nil
}

func (a *Authenticators) organization(ctx context.Context, id string) (*policy.Organization, error) {
	uid, err := a.f.c.Directory.Resolve(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.f.c.Directory.Organization(ctx, uid)
}
