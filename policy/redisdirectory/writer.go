package redisdirectory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// MaxKeys bounds the domains and claims of one commit, added and dropped together.
const MaxKeys = 500

// Kinds of commits.
const (
	kindAddDomains    = "ADD_DOMAINS"
	kindAddClaims     = "ADD_CLAIMS"
	kindPolicy        = "POLICY"
	kindRemoveDomains = "REMOVE_DOMAINS"
	kindRemoveClaims  = "REMOVE_CLAIMS"
	kindCheckDomains  = "CHECK_DOMAINS"
)

func isNil(err error) bool { return errors.Is(err, redis.Nil) }

// Progress implements policy.DirectoryWriter.
func (d *Directory) Progress(ctx context.Context, organizationUID string, key policy.ApplyKey) (*policy.Progress, error) {
	m, _, err := d.progress(ctx, organizationUID, key)
	if m == nil || err != nil {
		return nil, err
	}
	p := &policy.Progress{Done: m.GetDone()}
	if p.Stamp, err = stampOf(string(m.GetStamp())); err != nil {
		return nil, err
	}
	for _, c := range m.GetCommits() {
		p.Commits = append(p.Commits, policy.Applied{Kind: c.GetKind(), Count: int(c.GetCount()), Revision: c.GetRevision(), Events: c.GetEvents()})
	}
	return p, nil
}

// progress reads what is kept of a call with this key, nil when it is new, and how it is stored.
func (d *Directory) progress(ctx context.Context, organizationUID string, key policy.ApplyKey) (*storev1.ApplyRecord, string, error) {
	v, err := d.reader.Get(ctx, d.once(organizationUID, key)).Result()
	if isNil(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", redisx.ReadFailed(err)
	}
	var m storev1.ApplyRecord
	if err := redisx.Unmarshal([]byte(v), &m); err != nil {
		return nil, "", err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), key.Digest[:]) != 1 {
		return nil, "", errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return &m, v, nil
}

// Answered implements policy.DirectoryWriter.
func (d *Directory) Answered(ctx context.Context, organizationUID string, key policy.ApplyKey, p policy.Progress) error {
	b, err := encodeProgress(key, p, time.Time{})
	if err != nil {
		return err
	}
	first, err := d.client.SetNX(ctx, d.once(organizationUID, key), b, progressFor).Result()
	if err != nil {
		return redisx.Classify(err, true) // to try again is harmless
	}
	if !first {
		_, err = d.Progress(ctx, organizationUID, key)
	}
	return err
}

// progressFor is how long an answer is kept, as directory.lua does.
const progressFor = 24 * time.Hour

// Commit implements policy.DirectoryWriter. The commit that creates an organization does not seal: its key is added to the
// keyring only once Redis has it, since another process may be creating the same organization with another key.
func (d *Directory) Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error) {
	if n := len(c.AddDomains) + len(c.AddClaims) + len(c.DropDomains) + len(c.DropClaims) + len(c.Challenges); n > MaxKeys {
		return policy.Applied{}, policy.Stamp{}, errs.Newf(errs.Internal, "COMMIT_TOO_LARGE", "at most %d keys in one commit", MaxKeys)
	}
	return d.write(ctx, c, time.Time{})
}

// write commits a change. The bound, if there is one, is kept with the progress of the call.
func (d *Directory) write(ctx context.Context, c policy.Change, bound time.Time) (policy.Applied, policy.Stamp, error) {
	w, err := d.prepare(c, bound)
	if err != nil {
		return policy.Applied{}, policy.Stamp{}, err
	}
	call, err := w.call()
	if err != nil {
		return policy.Applied{}, policy.Stamp{}, err
	}
	reply, err := d.commit.Run(ctx, d.client, call)
	switch {
	case err != nil:
		return policy.Applied{}, policy.Stamp{}, err
	case reply == "LATE":
		return policy.Applied{}, policy.Stamp{}, errs.New(errs.Conflict, "ETAG_MISMATCH", "the change took too long and was not made; try again")
	case reply != "OK":
		return policy.Applied{}, policy.Stamp{}, errs.New(errs.Conflict, "ETAG_MISMATCH",
			"the organization has changed since the version given; read it again")
	}
	if c.Organization.Stamp.IsZero() {
		if err := d.keyring.Add(c.Organization.Key); err != nil {
			return policy.Applied{}, policy.Stamp{}, err
		}
	}
	return w.applied, w.stamp, nil
}

// write is a change with everything it needs worked out.
type write struct {
	d           *Directory
	c           policy.Change
	space       redisx.Space
	stamp       policy.Stamp
	policyStamp policy.Stamp
	revision    int64
	applied     policy.Applied
	record      []byte
	progress    []byte
	bound       time.Time // of a revocation
	parts       claimParts
}

func (d *Directory) prepare(c policy.Change, bound time.Time) (*write, error) {
	o := c.Organization
	w := &write{d: d, c: c, bound: bound, space: d.keys.Of(o.UID), revision: o.Revision + 1}
	var err error
	if w.stamp, err = newStamp(w.revision); err != nil {
		return nil, err
	}
	if o.Stamp.IsZero() {
		if !c.WritePolicy || len(o.Key.Wrapped) == 0 {
			return nil, errs.New(errs.Internal, "COMMIT_INCOMPLETE", "a new organization needs its record and its key")
		}
	}
	w.applied = policy.Applied{Kind: kindPolicy, Count: len(c.Events), Revision: w.revision} // one event per object
	switch {
	case len(c.AddDomains) > 0 && len(c.Challenges) == 0:
		w.applied.Kind, w.applied.Count = kindAddDomains, len(c.AddDomains)
	case len(c.AddClaims) > 0:
		w.applied.Kind, w.applied.Count = kindAddClaims, len(c.AddClaims)
	case len(c.Challenges) > 0:
		w.applied.Kind, w.applied.Count = kindCheckDomains, len(c.Challenges)
	case len(c.DropDomains) > 0:
		w.applied.Kind, w.applied.Count = kindRemoveDomains, len(c.DropDomains)
	case len(c.DropClaims) > 0:
		w.applied.Kind, w.applied.Count = kindRemoveClaims, len(c.DropClaims)
	}
	for i := range c.Events {
		w.applied.Events = append(w.applied.Events, c.Events[i].ID)
	}
	if c.WritePolicy {
		w.policyStamp = w.stamp
		if w.record, err = encodeOrganization(o); err != nil {
			return nil, err
		}
	}
	if c.Import != nil {
		w.progress, err = encodeImport(c.Request, w.stamp, *c.Import, w.revision)
	} else if c.Request.Key != [32]byte{} {
		w.progress, err = encodeProgress(c.Request, policy.Progress{Stamp: w.stamp, Done: c.Done,
			Commits: append(c.Progress[:len(c.Progress):len(c.Progress)], w.applied)}, w.bound)
	}
	return w, err
}

// newStamp is the revision and eight random bytes: it cannot come back, not even after a restore.
func newStamp(revision int64) (policy.Stamp, error) {
	var s policy.Stamp
	binary.BigEndian.PutUint64(s[:8], uint64(revision)) //nolint:gosec // counts up from 1
	if _, err := rand.Read(s[8:]); err != nil {
		return s, errs.Wrap(err, errs.Internal, "NO_RANDOMNESS", "no random bytes")
	}
	return s, nil
}

// encodeProgress is the answer of a request id; bound is the one a revocation of proofs moved, else zero.
func encodeProgress(key policy.ApplyKey, p policy.Progress, bound time.Time) ([]byte, error) {
	m := &storev1.ApplyRecord{Request: key.Digest[:], Stamp: p.Stamp[:], Done: p.Done}
	if !bound.IsZero() {
		m.ProofsNotBefore = timestamppb.New(bound)
	}
	for _, a := range p.Commits {
		m.Commits = append(m.Commits, &posternv1.AppliedCommit{Kind: a.Kind, Count: int64(a.Count), Revision: a.Revision, Events: a.Events})
	}
	return redisx.Marshal(m)
}

// call lays the change out as directory.lua reads it.
func (w *write) call() (*redisx.Call, error) {
	c, o, uid := &w.c, w.c.Organization, w.c.Organization.UID
	call := redisx.NewCall(40 + len(c.Events) + 3*(len(c.AddDomains)+len(c.DropDomains)) + 5*(len(c.AddClaims)+len(c.DropClaims)) + 6*len(c.Challenges))
	call.Key(w.space.Organization(uid), w.space.Outbox(), w.d.once(uid, c.Request), w.space.Domains(uid))
	for _, r := range c.AddDomains {
		call.Key(w.space.Domain(uid, r.Domain.String()))
	}
	for _, r := range c.AddClaims {
		call.Key(w.space.Claim(uid, r.Key))
	}
	for _, dom := range c.DropDomains {
		call.Key(w.space.Domain(uid, dom.String()))
	}
	w.claimKeys(call)
	w.challengeKeys(call)
	if c.Revises() >= 0 {
		call.Key(w.space.PolicyHistory(uid), w.space.PolicyRevisions(uid))
	}
	now, created := w.d.now(), o.Created
	key := []byte(nil)
	if o.Stamp.IsZero() {
		key = o.Key.Wrapped
		if created.IsZero() {
			created = now
		}
	} else if c.WritePolicy && o.Key.Destroyed() {
		key = o.Key.Wrapped
	}
	call.Arg(stampArg(o.Stamp), w.stamp[:], w.revision, millis(now))
	if c.WritePolicy {
		call.Arg("1", w.policyStamp[:], w.record, unreadableChoice(o), o.DisplayName, flags(o), o.ID, millis(created))
	} else {
		call.Arg("", "", "", "", "", "", "", "")
	}
	call.Arg(key, w.progress, len(c.Events), len(c.AddDomains), len(c.AddClaims), len(c.DropDomains), len(c.Challenges), len(c.DropClaims), len(w.parts.firsts))
	w.conditions(call)
	return call, w.values(call)
}

func (w *write) values(call *redisx.Call) error {
	var history []byte
	revises, brings := w.c.Revises(), w.brings()
	for i := range w.c.Events {
		e := w.c.Events[i]
		e.Revision = w.revision
		w.c.Organization.Marks(&e)
		b, err := w.d.codec.Encode(&e)
		if err != nil {
			return err
		}
		if i == revises {
			if history, err = w.history(b); err != nil {
				return err
			}
		}
		if i == brings {
			if b, err = w.bring(b); err != nil {
				return err
			}
		}
		call.Arg(b)
	}
	for _, r := range w.c.AddDomains {
		r.Revision = w.revision
		b, err := encodeDomain(r)
		if err != nil {
			return err
		}
		call.Arg(b, r.Domain.String())
	}
	for _, r := range w.c.AddClaims {
		r.Revision = w.revision
		b, err := encodeClaim(r)
		if err != nil {
			return err
		}
		call.Bytes(b)
		w.member(call, r.Key)
	}
	for _, dom := range w.c.DropDomains {
		call.Arg(dom.String())
	}
	for _, key := range w.c.DropClaims {
		w.member(call, key)
	}
	if err := w.challengeValues(call); err != nil {
		return err
	}
	call.Arg(policy.KeptRevisions, maxHistory, history)
	return nil
}

func stampArg(s policy.Stamp) any {
	if s.IsZero() {
		return ""
	}
	return s[:]
}

// flags are what lists show of an organization, without its record.
func flags(o *policy.Organization) string {
	b := []byte("000")
	for i, on := range [...]bool{o.Disabled, o.Sandbox, !o.Deleted.IsZero()} {
		if on {
			b[i] = '1'
		}
	}
	return string(b)
}

func unreadableChoice(o *policy.Organization) string {
	if o.AllowUnreadable {
		return unreadableAllow
	}
	return unreadableDeny
}

// ListsDomains implements policy.DirectoryWriter.
func (d *Directory) ListsDomains(ctx context.Context, uid string, domains []policy.Domain) (map[policy.Domain]policy.DomainRecord, error) {
	space := d.keys.Of(uid)
	keys := make([]string, len(domains))
	for i, dom := range domains {
		keys[i] = space.Domain(uid, dom.String())
	}
	out := make(map[policy.Domain]policy.DomainRecord, len(domains))
	err := d.each(ctx, keys, func(i int, v string) error {
		r, err := decodeDomain(v)
		out[domains[i]] = r
		return err
	})
	return out, err
}
