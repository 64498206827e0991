package redisstore

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// endedFor is how long an ended flow stays readable in Redis: after its commit when it is not recorded, else after its
// ending was archived.
const endedFor = 15 * time.Minute

// Commit implements authflow.Store.
func (s *Store) Commit(ctx context.Context, c *authflow.Commit) (*authflow.Committed, error) {
	if err := s.needKey(ctx, c.OrganizationUID); err != nil {
		return nil, err
	}
	p := s.prepared.get(s, c) // put back unless there is an error: then its bytes may still be on their way
	if err := p.encode(); err != nil {
		return nil, err
	}
	call, err := p.call()
	if err != nil {
		return nil, err
	}
	reply, err := s.scripts.commit.Run(ctx, s.shared.For(s.keys.Partition(c.OrganizationUID)), call)
	if err != nil {
		return nil, err
	}
	defer s.prepared.put(p)
	if at, ok := reply.(string); ok {
		return s.written(p, recordedTime(at)), nil
	}
	return s.refused(ctx, p, redisx.NewReply(reply))
}

// refused reads the answer of a script that has written nothing.
func (s *Store) refused(ctx context.Context, p *prepared, r *redisx.Reply) (*authflow.Committed, error) {
	switch r.Text(0) {
	case "REPEATED":
		o, err := decodeOutcome(r.Text(1), p.c.Request)
		if err != nil {
			return nil, err
		}
		return &authflow.Committed{Repeated: o}, r.Err()
	case "CONFLICT":
		return s.conflict(ctx, p, r)
	}
	return nil, errs.New(errs.Internal, "STORE_REPLY", "the store answered in a form this version does not know")
}

func (s *Store) written(p *prepared, at time.Time) *authflow.Committed {
	done := &authflow.Committed{Stamp: p.stamp, Recorded: at, AuthenticatorStamp: p.subject.authenticatorStamp, PersonStamp: p.subject.personStamp}
	if p.parts != nil {
		done.Kept = p.parts
	}
	return done
}

// conflict reads what stands there now. A record that has the very stamp of this commit was written by it: the script ran a
// second time after a redirection in a cluster, and the first run counts.
func (s *Store) conflict(ctx context.Context, p *prepared, r *redisx.Reply) (*authflow.Committed, error) {
	out := &authflow.Conflict{LastMoved: r.Text(5) != "", SessionTaken: r.Text(6) != "", LinkMoved: r.Text(10) != ""}
	uid := p.c.OrganizationUID
	if n := r.Int(7); n >= 1 && n <= int64(len(p.c.Claims)) {
		out.Claimed, out.Holder = &p.c.Claims[n-1], r.Text(9)
	}
	if r.Text(3) != "" {
		organization, _ := r.List(4)
		if _, exists := organization.Find(0); !exists {
			return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
		}
		o, err := s.cache.Fill(uid, nil, organization)
		if err != nil {
			return nil, err
		}
		out.Organization = o
	}
	if subject, moved := r.List(8); moved {
		var err error
		if out.Subject, err = s.subject(ctx, uid, p.subject.key, subject, 0); err != nil {
			return nil, err
		}
		if p.subject.wrote(out.Subject) {
			return s.written(p, s.now()), r.Err()
		}
	}
	if r.Text(1) != "" {
		flow, _ := r.List(2)
		stamp, exists := flow.Find(0)
		switch {
		case !exists:
			out.Gone = true
		case stamp == string(p.stamp[:]):
			return s.written(p, s.now()), r.Err()
		default:
			var err error
			if out.Flow, err = s.loaded(ctx, uid, flow); err != nil {
				return nil, err
			}
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return nil, out
}

// recordedTime is the time in a stream id, or in milliseconds alone.
func recordedTime(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// Encoded is the state and the events of a commit as they are sent, for the benchmark's floor, which writes the same bytes.
func (s *Store) Encoded(c *authflow.Commit) (state []byte, events [][]byte, err error) {
	p := s.prepared.get(s, c)
	defer s.prepared.put(p)
	if err := p.encode(); err != nil {
		return nil, nil, err
	}
	for _, e := range p.events {
		events = append(events, bytes.Clone(e))
	}
	return bytes.Clone(p.state), events, nil
}
