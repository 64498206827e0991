package redisstore

import (
	"context"
	"encoding/hex"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

var _ authflow.SubjectStore = (*Store)(nil)

// subjectParts are the records of a commit's subject, encoded.
type subjectParts struct {
	key                policy.AccountKey
	authenticator      []byte
	authenticatorStamp policy.Stamp // the new one; zero when it is only compared, or no part of the commit
	person             []byte
	personStamp        policy.Stamp
}

// wrote says whether what is there now is what this commit writes.
func (p *subjectParts) wrote(now *authflow.SubjectRecords) bool {
	return !p.authenticatorStamp.IsZero() && p.authenticatorStamp == now.AuthenticatorStamp ||
		!p.personStamp.IsZero() && p.personStamp == now.PersonStamp
}

// encodeSubject fills in what the commit writes of its subject.
func (p *prepared) encodeSubject() (err error) {
	c, sub := p.c, &p.subject
	if a := c.Authenticator; a != nil {
		sub.key = a.Subject
		if a.Next != nil {
			if sub.authenticatorStamp, err = nextStamp(a.From); err != nil {
				return err
			}
			if sub.authenticator, err = p.store.appendAuthenticator(sub.authenticator, c.OrganizationUID, a.Subject, a.Next); err != nil {
				return err
			}
		}
	}
	if w := c.Person; w != nil {
		if c.Authenticator != nil && w.Subject != sub.key {
			return errs.New(errs.Internal, "COMMIT_SUBJECTS", "a commit is about one subject")
		}
		sub.key = w.Subject
		if w.Next != nil {
			if sub.personStamp, err = nextStamp(w.From); err != nil {
				return err
			}
			sub.person, err = p.store.appendPerson(sub.person, c.OrganizationUID, w.Next)
		}
	}
	return err
}

// subjectHead says what becomes of the subject's records: see commit.lua.
func (p *prepared) subjectHead() (authenticator, person byte) {
	if a := p.c.Authenticator; a != nil {
		switch authenticator = 1; {
		case a.Next == nil:
		case a.From.IsZero():
			authenticator = 3
		default:
			authenticator = 2
		}
	}
	if w := p.c.Person; w != nil {
		person = 1 + flag(w.Next != nil)
	}
	return authenticator, person
}

func (p *prepared) subjectKeys(call *redisx.Call, h *[headSize]byte) {
	if h[headAuthenticator] == 0 && h[headPerson] == 0 {
		return
	}
	call.Key(p.space.Authenticator(p.subject.key), p.space.Person(p.subject.key))
	if h[headAuthenticator] == 3 {
		call.Key(p.space.Authenticators(p.c.OrganizationUID))
	}
}

func (p *prepared) subjectArguments(call *redisx.Call, h *[headSize]byte) {
	sub := &p.subject
	if h[headAuthenticator] > 0 {
		call.Bytes(stampArg(&p.c.Authenticator.From))
	}
	if h[headAuthenticator] > 1 {
		call.Bytes(sub.authenticatorStamp[:], sub.authenticator)
	}
	if h[headAuthenticator] == 3 {
		call.Text(hex.EncodeToString(sub.key[:]))
	}
	if h[headPerson] > 0 {
		call.Bytes(stampArg(&p.c.Person.From))
	}
	if h[headPerson] == 2 {
		call.Bytes(sub.personStamp[:], sub.person)
		call.Arg(p.store.millis(p.c.Person.Until))
	}
}

// subject makes records of what a script answered: the authenticator's stamp and bytes at i, the person's after it.
func (s *Store) subject(ctx context.Context, organizationUID string, key policy.AccountKey, r *redisx.Reply, i int) (*authflow.SubjectRecords, error) {
	out := &authflow.SubjectRecords{Key: key}
	stamp, record, err := stamped(r, i)
	if err != nil {
		return nil, err
	}
	if record != "" {
		if out.Authenticator, err = s.decodeAuthenticator(ctx, organizationUID, key, record); err != nil {
			return nil, err
		}
		if out.Authenticator != nil {
			out.AuthenticatorStamp = stamp
		}
	}
	if stamp, record, err = stamped(r, i+1); err != nil {
		return nil, err
	}
	if record != "" {
		if out.Person, err = s.decodePerson(ctx, organizationUID, record); err != nil {
			return nil, err
		}
		if out.Person != nil {
			out.PersonStamp = stamp
		}
	}
	return out, nil
}

// stamped reads a stamp and what it is the stamp of; both are empty when there is nothing.
func stamped(r *redisx.Reply, i int) (policy.Stamp, string, error) {
	pair, found := r.List(i)
	if !found {
		return policy.Stamp{}, "", r.Err()
	}
	stamp, exists := pair.Find(0)
	record := pair.Text(1)
	switch {
	case pair.Err() != nil || r.Err() != nil:
		return policy.Stamp{}, "", pair.Err()
	case !exists:
		return policy.Stamp{}, "", nil
	case len(stamp) != len(policy.Stamp{}) || record == "":
		return policy.Stamp{}, "", malformedSubject(nil, "its stamp has another length, or it is empty")
	}
	return policy.Stamp([]byte(stamp)), record, nil
}

func malformedSubject(cause error, why string) error {
	return errs.Wrap(cause, errs.Internal, "RECORD_MALFORMED", "the stored record of a subject cannot be read: "+why)
}

// Authenticators implements authflow.SubjectStore: one trip for the names, one for the records.
func (s *Store) Authenticators(ctx context.Context, organizationUID string, after policy.AccountKey, limit int) ([]authflow.SubjectRecords, error) {
	space := s.keys.Of(organizationUID)
	var out []authflow.SubjectRecords
	start := "-"
	if after != (policy.AccountKey{}) {
		start = "(" + hex.EncodeToString(after[:])
	}
	for len(out) < limit {
		want := limit - len(out)
		names, err := s.reader.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: space.Authenticators(organizationUID), ByLex: true, Start: start, Stop: "+", Count: int64(want),
		}).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		if out, err = s.listed(ctx, organizationUID, names, out); err != nil {
			return nil, err
		}
		if len(names) < want {
			break
		}
		start = "(" + names[len(names)-1]
	}
	return out, nil
}

// listed appends the authenticators with these names to out. One that is not there is left out.
func (s *Store) listed(ctx context.Context, organizationUID string, names []string, out []authflow.SubjectRecords) ([]authflow.SubjectRecords, error) {
	if len(names) == 0 {
		return out, nil
	}
	space := s.keys.Of(organizationUID)
	keys := make([]policy.AccountKey, len(names))
	cmds := make([]*redis.SliceCmd, len(names))
	for i, n := range names {
		b, err := hex.DecodeString(n)
		if err != nil || len(b) != len(keys[i]) {
			return nil, malformedSubject(err, "the list of authenticators names no account")
		}
		keys[i] = policy.AccountKey(b)
	}
	_, err := s.reader.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range keys {
			cmds[i] = p.HMGet(ctx, space.Authenticator(keys[i]), "st", "s")
		}
		return nil
	})
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	for i := range cmds {
		found, err := s.subject(ctx, organizationUID, keys[i], redisx.NewReply([]any{cmds[i].Val(), nil}), 0)
		if err != nil {
			return nil, err
		}
		if found.Authenticator != nil {
			out = append(out, *found)
		}
	}
	return out, nil
}
