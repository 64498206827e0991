package redisstore

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

// Places in the answer of read.lua.
const (
	readOrganization = iota
	readFlow
	readOnce
	readLast
	readSession
	readCode
	readAuthenticator
	readPerson
	readIdentity
	readRecords
)

// Read implements authflow.Store: one script, so that everything is as of one moment.
func (s *Store) Read(ctx context.Context, r authflow.Read) (*authflow.Reading, error) {
	uid := r.OrganizationUID
	space := s.keys.Of(uid)
	names := []string{space.Organization(uid)}
	letters, field := make([]byte, 0, 8), ""
	ask := func(letter byte, key string) { letters, names = append(letters, letter), append(names, key) }

	var known *policy.Organization
	if r.Organization {
		letters = append(letters, 'o')
		known = s.cache.Peek(uid)
	}
	if !r.Flow.IsZero() {
		ask('f', space.Flow(r.Flow.String()))
	}
	if r.Key != (authflow.CommitKey{}) {
		if r.Flow.IsZero() {
			ask('n', space.Once(r.Key))
		} else {
			field = string(appendOutcomeField(nil, r.Key))
		}
	}
	if r.Last != nil {
		ask('l', space.Last(s.lastName(uid, *r.Last)))
	}
	if r.Session != [32]byte{} {
		ask('s', space.Session(r.Session))
	}
	if r.SupportCode != "" {
		ask('c', space.Code(uid, r.SupportCode))
	}
	if r.Subject != nil {
		ask('a', space.Authenticator(*r.Subject))
		names = append(names, space.Person(*r.Subject))
	}
	if r.Identity != (authflow.IdentityKey{}) {
		ask('i', space.Identity(r.Identity))
	}
	lookups := make([]redisdirectory.Lookup, len(r.Lookups))
	for i, l := range r.Lookups {
		names, lookups[i] = redisdirectory.NewLookup(names, space, uid, l)
	}

	call := redisx.NewCall(len(names) + 3)
	call.Key(names...)
	call.Arg(string(letters), redisdirectory.Known(known), field)
	reply, err := s.scripts.read.Run(ctx, s.reader, call)
	if err != nil {
		return nil, redisx.ReadAgain(err)
	}
	return s.reading(ctx, r, known, lookups, redisx.NewReply(reply))
}

func (s *Store) reading(ctx context.Context, r authflow.Read, known *policy.Organization, lookups []redisdirectory.Lookup,
	reply *redisx.Reply,
) (*authflow.Reading, error) {
	out := &authflow.Reading{}
	var err error
	if o, ok := reply.List(readOrganization); ok {
		if out.Organization, err = s.cache.Fill(r.OrganizationUID, known, o); err != nil {
			return nil, err
		}
	}
	stored, found := reply.Find(readOnce)
	if f, ok := reply.List(readFlow); ok {
		if out.Flow, err = s.loaded(ctx, r.OrganizationUID, f); err != nil {
			return nil, err
		}
		stored, found = f.Find(3)
	}
	if found {
		if out.Outcome, err = decodeOutcome(stored, r.Request); err != nil {
			return nil, err
		}
	}
	if out.Last, err = flowIDOf(reply, readLast); err != nil {
		return nil, err
	}
	if out.FlowID, err = flowIDOf(reply, readCode); err != nil {
		return nil, err
	}
	if v, ok := reply.Find(readSession); ok {
		if out.Session, err = s.decodeSession(ctx, r.OrganizationUID, r.Session, v); err != nil {
			return nil, err
		}
	}
	if r.Subject != nil {
		if out.Subject, err = s.subject(ctx, r.OrganizationUID, *r.Subject, reply, readAuthenticator); err != nil {
			return nil, err
		}
	}
	if v, ok := reply.Find(readIdentity); ok {
		if out.Link, err = s.decodeLink(ctx, r.OrganizationUID, r.Identity, v); err != nil {
			return nil, err
		}
	}
	at := readRecords
	for _, l := range lookups {
		records, err := l.Records(reply, at)
		if err != nil {
			return nil, err
		}
		out.Records = append(out.Records, records)
		at += l.Len()
	}
	return out, reply.Err()
}

func flowIDOf(reply *redisx.Reply, i int) (authflow.FlowID, error) {
	v, ok := reply.Find(i)
	if !ok {
		return authflow.FlowID{}, nil
	}
	id, err := authflow.ParseFlowID(v)
	if err != nil {
		return authflow.FlowID{}, malformed(err, "an index names no flow")
	}
	return id, nil
}
