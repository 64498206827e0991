package authflow

import (
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// codesShown is how long a repeated request id gets the same recovery codes. Then what is kept of them is gone.
const codesShown = 10 * time.Minute

func (in *MendInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization)
	c.field(2, in.Subject[:])
	c.text(3, in.Reason)
	return c.b
}

// Unlock ends a lock: the person may try again. What is spent stays spent, and what is disabled can only be reset.
func (a *Authenticators) Unlock(ctx context.Context, who Caller, in MendInput) (SubjectFactor, error) {
	return a.mend(ctx, who, "UnlockAuthenticator", audit.TypeAuthenticatorUnlocked, in, factor.Unlock)
}

// Reset takes the factor away, with everything that waits, the recovery codes and what is remembered of its codes, so that the
// person can enrol anew. Proofs of other methods and factors stay; RevokeProofs takes those.
func (a *Authenticators) Reset(ctx context.Context, who Caller, in MendInput) (SubjectFactor, error) {
	return a.mend(ctx, who, "ResetAuthenticator", audit.TypeAuthenticatorReset, in, factor.Reset)
}

func (a *Authenticators) mend(ctx context.Context, who Caller, method string, t audit.Type, in MendInput,
	do func(*factor.Authenticator) (factor.Authenticator, error)) (SubjectFactor, error) {
	if in.Reason == "" {
		return SubjectFactor{}, invalid("reason", ErrReasonRequired)
	}
	c, err := a.change(ctx, who, method, in.Organization, in.RequestID, in.canonical())
	if err != nil {
		return SubjectFactor{}, err
	}
	c.subject = in.Subject
	s, _, err := c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		if s.Authenticator == nil {
			return nil, refuse(ErrAuthenticatorNotFound)
		}
		before := s.Authenticator
		next, err := do(before)
		if err != nil {
			return nil, err
		}
		credential := &before.Active
		if credential.IsZero() {
			credential = &before.Pending
		}
		e := c.about(t, before, credential, in.Reason, now)
		e.Changes = differences(before, &next)
		out := &alteration{authenticator: &next, event: e}
		if t == audit.TypeAuthenticatorReset {
			out.person = s.Person.withoutCodes()
		}
		return out, nil
	})
	if err != nil {
		return SubjectFactor{}, err
	}
	return c.seen(s), nil
}

// withoutCodes is what is remembered less the proofs by one-time and recovery codes; nil when there is none of them.
func (p *Person) withoutCodes() *Person {
	ofCode := func(x policy.Proof) bool { return x.Factor == audit.FactorTOTP || x.Factor == audit.FactorRecoveryCode }
	if p == nil || !slices.ContainsFunc(p.Proofs, ofCode) {
		return nil
	}
	return &Person{Proofs: slices.DeleteFunc(slices.Clone(p.Proofs), ofCode), NotBefore: p.NotBefore}
}

// differences lists what changed, without secrets.
func differences(before, after *factor.Authenticator) []audit.Change {
	var out []audit.Change
	add := func(field, b, a string) {
		if a != b {
			out = append(out, audit.Change{Field: field, Before: b, After: a})
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	add("state", before.State.String(), after.State.String())
	add("failures", strconv.Itoa(before.Failures), strconv.Itoa(after.Failures))
	add("lock_until", at(before.LockUntil), at(after.LockUntil))
	add("recovery_codes_left", strconv.Itoa(len(before.Recovery)), strconv.Itoa(len(after.Recovery)))
	return out
}

func (in *RecoveryCodesInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization)
	c.field(2, in.Subject[:])
	c.text(3, in.Flow.String())
	c.text(4, in.Reason)
	return c.b
}

// GenerateRecoveryCodes replaces the recovery codes of a factor in force and returns the new ones, once: for ten minutes the
// same request id gets the same ones. It needs a flow that is bound to the account and has met every demand, or an
// administrator's reason.
func (a *Authenticators) GenerateRecoveryCodes(ctx context.Context, who Caller, in RecoveryCodesInput) (RecoveryCodes, error) {
	c, err := a.change(ctx, who, "GenerateRecoveryCodes", in.Organization, in.RequestID, in.canonical())
	if err != nil {
		return RecoveryCodes{}, err
	}
	c.subject, c.keep = in.Subject, codesShown
	name := "once/" + hex.EncodeToString(c.key[:])
	var codes []string
	s, first, err := c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		if s.Authenticator == nil {
			return nil, refuse(ErrAuthenticatorNotFound)
		}
		if _, err := a.basis(ctx, c.org, &in.Flow, s.Authenticator.AccountID, in.Reason, true); err != nil {
			return nil, err
		}
		made, hashes, err := a.c.Secrets.RecoveryCodes(c.org.UID, c.subject)
		if err != nil {
			return nil, err
		}
		next, err := factor.SetRecoveryCodes(s.Authenticator, hashes, now)
		if err != nil {
			return nil, err
		}
		sealed, err := a.c.Secrets.SealCodes(c.org.UID, name, made)
		if err != nil {
			return nil, err
		}
		codes = made
		e := c.about(audit.TypeAuthenticatorRecoveryCodes, &next, &next.Active, in.Reason, now)
		e.Factor, e.Flow, e.Changes = audit.FactorRecoveryCode, in.Flow.String(), differences(s.Authenticator, &next)
		return &alteration{authenticator: &next, event: e, sealed: sealed}, nil
	})
	if err != nil {
		return RecoveryCodes{}, err
	}
	if first != nil {
		if codes, err = a.c.Secrets.OpenCodes(c.org.UID, name, first.Sealed); err != nil {
			return RecoveryCodes{}, err
		}
	}
	return RecoveryCodes{SubjectFactor: c.seen(s), Codes: codes}, nil
}

func (in *RevokeInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization)
	c.text(3, in.AccountID)
	c.text(4, in.Site)
	if in.Whole {
		c.number(5, 1)
	}
	c.text(6, in.Reason)
	return c.b
}

// RevokeProofs makes what was proven before now count no more: of one account, at one site or in the whole organization. It
// binds at the next call of every flow, and within AccessRecheck on access.
func (a *Authenticators) RevokeProofs(ctx context.Context, who Caller, in RevokeInput) (Revoked, error) {
	scopes := 0
	for _, given := range []bool{in.AccountID != "", in.Site != "", in.Whole} {
		if given {
			scopes++
		}
	}
	switch {
	case scopes != 1:
		return Revoked{}, invalid("scope", ErrScope)
	case in.Reason == "":
		return Revoked{}, invalid("reason", ErrReasonRequired)
	}
	c, err := a.change(ctx, who, "RevokeProofs", in.Organization, in.RequestID, in.canonical())
	if err != nil {
		return Revoked{}, err
	}
	defer a.f.access.forgetAll()
	if in.AccountID == "" {
		return c.revokeWide(ctx, &in)
	}
	c.subject = a.f.c.Namer.AccountKey(c.org.UID, in.AccountID)
	var out Revoked
	_, first, err := c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		e := c.event(audit.TypeProofsRevoked, in.AccountID, in.Reason, now)
		e.Target = &audit.Target{Type: "account", Count: 1}
		e.Personal.Items = []string{in.AccountID}
		out = Revoked{NotBefore: now, Event: e.ID}
		if s.Person != nil {
			out.NotBefore = later(now, s.Person.NotBefore) // a bound never moves back
		}
		return &alteration{person: &Person{NotBefore: out.NotBefore}, event: e, sealed: out.encode()}, nil
	})
	if err == nil && first != nil {
		out, err = decodeRevoked(first.Sealed)
	}
	if err != nil {
		return Revoked{}, err
	}
	return out, nil
}

// revokeWide moves the bound of a site or of the organization, which is part of the policy record.
func (c *change) revokeWide(ctx context.Context, in *RevokeInput) (Revoked, error) {
	now := c.a.f.c.Now()
	e := c.event(audit.TypeProofsRevoked, "", in.Reason, now)
	e.Target = &audit.Target{Type: "organization", ID: c.org.ID, UID: c.org.UID}
	siteUID := ""
	if in.Site != "" {
		_, site, err := c.a.f.site(ctx, in.Organization, in.Site)
		if err != nil {
			return Revoked{}, err
		}
		siteUID = site.UID
		e.Site, e.SiteUID = site.ID, site.UID
		e.Target = &audit.Target{Type: "site", ID: site.ID, UID: site.UID}
	}
	at, id, err := c.a.c.Bounds.RevokeProofs(ctx, c.org.UID, siteUID, now, e, policy.ApplyKey{Key: c.key, Digest: c.digest})
	if err != nil {
		return Revoked{}, err
	}
	return Revoked{NotBefore: at, Event: id}, nil
}

// encode is what a repeated call is answered from; there is nothing secret in it.
func (r *Revoked) encode() []byte {
	return []byte(r.NotBefore.UTC().Format(time.RFC3339Nano) + " " + r.Event)
}

func decodeRevoked(b []byte) (Revoked, error) {
	text, id, _ := strings.Cut(string(b), " ")
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return Revoked{}, errs.Wrap(err, errs.Internal, "OUTCOME_UNREADABLE", "internal error")
	}
	return Revoked{NotBefore: at, Event: id}, nil
}
