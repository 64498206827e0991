package recovery

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// lookBack is how far before its newest event an organization's record is searched for what took something away. A snapshot is
// seconds old; a day leaves room for one that could not be written.
const lookBack = 24 * time.Hour

// taken are the events that take something away. What they took must not come back with an older store: whoever lost a phone
// has had it reset, whoever left has had their sessions ended. What was given since then is gone, and can be given again.
var taken = []string{string(audit.TypeProofsRevoked), string(audit.TypeAuthenticatorReset), string(audit.TypeSessionEnded), string(audit.TypeTokenRevoked),
	string(audit.TypeKeyRevoked)}

// revocations takes away again what the store has back.
func (r *run) revocations(ctx context.Context) error {
	revisions, err := r.Archive.Revisions(ctx)
	if err != nil {
		return err
	}
	for uid := range revisions {
		if _, err := r.Directory.Organization(ctx, uid); err != nil {
			if errs.KindOf(err) == errs.NotFound {
				continue // said to be gone, with everything in it
			}
			return err
		}
		if err := r.revocationsOf(ctx, uid); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) revocationsOf(ctx context.Context, uid string) error {
	newest, err := r.Archive.Events(ctx, audit.Query{OrganizationUID: uid, Descending: true, Limit: 1})
	if err != nil || len(newest) == 0 {
		return err
	}
	for after := int64(0); ; {
		events, err := r.Archive.Events(ctx, audit.Query{OrganizationUID: uid, After: after, Limit: page, Match: audit.Match{Types: taken}, Start: newest[0].Time.Add(-lookBack)})
		if err != nil {
			return err
		}
		for i := range events {
			after = events[i].Sequence
			again, err := r.takeAway(ctx, &events[i])
			if err != nil {
				return err
			}
			if again {
				r.report.Revoked++
			}
		}
		if len(events) < page {
			return nil
		}
	}
}

// takeAway does what an event says was done, if the store does not have it, and reports whether it did.
func (r *run) takeAway(ctx context.Context, e *audit.Event) (bool, error) {
	switch {
	case e.Type == audit.TypeAuthenticatorReset:
		return r.reset(ctx, e)
	case e.Type == audit.TypeKeyRevoked:
		return r.revokeKey(ctx, e)
	case e.Type != audit.TypeProofsRevoked:
		return r.endSession(ctx, e)
	case e.Target != nil && e.Target.Type == "account":
		return r.revokeAccount(ctx, e)
	}
	return r.Directory.RestoreBound(ctx, e.OrganizationUID, e.SiteUID, e.Time)
}

// reset forgets a factor that was enrolled before it was reset.
func (r *run) reset(ctx context.Context, e *audit.Event) (bool, error) {
	var key policy.AccountKey
	if e.Target == nil || hex.DecodedLen(len(e.Target.ID)) != len(key) {
		return false, nil
	}
	if _, err := hex.Decode(key[:], []byte(e.Target.ID)); err != nil {
		return false, nil //nolint:nilerr // it names nobody
	}
	return r.change(ctx, e, key, func(s *authflow.SubjectRecords, c *authflow.Commit) error {
		a := s.Authenticator
		before := func(v factor.Credential) bool { return !v.IsZero() && v.Enrolled.Before(e.Time) }
		if a == nil || !before(a.Active) && !before(a.Pending) {
			return nil
		}
		next, err := factor.Reset(a)
		c.Authenticator = &authflow.AuthenticatorWrite{Subject: key, From: s.AuthenticatorStamp, Next: &next}
		return err
	})
}

// revokeKey ends an API key that is good again.
func (r *run) revokeKey(ctx context.Context, e *audit.Event) (bool, error) {
	if e.Target == nil {
		return false, nil
	}
	id, err := apikey.ParseID(e.Target.ID)
	if err != nil {
		return false, nil //nolint:nilerr // it names none
	}
	return r.APIKeys.RevokeAgain(ctx, e.OrganizationUID, id, e.Time)
}

// revokeAccount makes proofs of one account count no more.
func (r *run) revokeAccount(ctx context.Context, e *audit.Event) (bool, error) {
	if err := r.Codec.Open(e); err != nil {
		return false, err
	}
	again := false
	for _, account := range e.Personal.Items {
		done, err := r.change(ctx, e, r.Namer.AccountKey(e.OrganizationUID, account), func(s *authflow.SubjectRecords, c *authflow.Commit) error {
			p := s.Person
			if p == nil || !p.NotBefore.Before(e.Time) {
				return nil
			}
			next := authflow.Person{NotBefore: e.Time, Proofs: slices.DeleteFunc(slices.Clone(p.Proofs), func(p policy.Proof) bool { return p.At.Before(e.Time) })}
			c.Person = &authflow.PersonWrite{Subject: s.Key, From: s.PersonStamp, Next: &next, Until: r.Now().Add(authflow.MaxProofAge)}
			return nil
		})
		if err != nil {
			return again, err
		}
		again = again || done
	}
	return again, nil
}

// change commits what decide adds, if it adds anything. There is no event: the record has it.
func (r *run) change(ctx context.Context, e *audit.Event, key policy.AccountKey, decide func(*authflow.SubjectRecords, *authflow.Commit) error) (bool, error) {
	found, err := r.Flows.Read(ctx, authflow.Read{OrganizationUID: e.OrganizationUID, Subject: &key})
	if err != nil {
		return false, err
	}
	c := &authflow.Commit{OrganizationUID: e.OrganizationUID}
	if err := decide(found.Subject, c); err != nil || c.Authenticator == nil && c.Person == nil {
		return false, err
	}
	_, err = r.Flows.Commit(ctx, c)
	return err == nil, err
}

// endSession ends a session or token that lives again.
func (r *run) endSession(ctx context.Context, e *audit.Event) (bool, error) {
	handle, err := hex.DecodeString(e.Session)
	if err != nil || len(handle) != 32 {
		return false, nil //nolint:nilerr // it names none
	}
	ask := authflow.Read{OrganizationUID: e.OrganizationUID, Session: [32]byte(handle)}
	found, err := r.Flows.Read(ctx, ask)
	if err != nil || found.Session == nil || !found.Session.Ended.IsZero() {
		return false, err
	}
	over := *found.Session
	over.Ended, over.EndCause = e.Time, e.EndCause
	_, err = r.Flows.Commit(ctx, &authflow.Commit{OrganizationUID: e.OrganizationUID, Session: &authflow.SessionWrite{
		Handle: ask.Session, Session: over, From: found.Session.Stored}})
	return err == nil, err
}
