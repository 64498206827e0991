package redisstore

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
)

// Outbox implements audit.Outbox on a store.
type Outbox struct{ s *Store }

var _ audit.Outbox = (*Outbox)(nil)

// Outbox returns the store's way in for events that belong to no flow.
func (s *Store) Outbox() *Outbox { return &Outbox{s} }

// maxAppended bounds one commit of Append: scripts must be short.
const maxAppended = 500

// Append implements audit.Outbox: one script, all or nothing. Events of another organization than the one given are refused.
func (o *Outbox) Append(ctx context.Context, organizationUID string, events ...audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	if len(events) > maxAppended {
		return errs.Newf(errs.Internal, "OUTBOX_BATCH", "at most %d events in one commit", maxAppended)
	}
	s := o.s
	if err := s.needKey(ctx, organizationUID); err != nil {
		return err
	}
	sandbox, err := s.sandbox(ctx, organizationUID)
	if err != nil {
		return err
	}
	call := redisx.NewCall(2 + len(events))
	call.Key(s.keys.Of(organizationUID).Outbox())
	call.Arg(len(events))
	for i := range events {
		if events[i].OrganizationUID != organizationUID {
			return errs.New(errs.Internal, "OUTBOX_ORGANIZATION", "an event names another organization than its outbox")
		}
		e := events[i]
		e.Sandbox = e.Sandbox || sandbox
		b, err := s.codec.Encode(&e)
		if err != nil {
			return err
		}
		call.Arg(b)
	}
	_, err = s.scripts.append.Run(ctx, s.client, call)
	return err
}

// sandbox reports whether an organization is for trying things out, as this process knows it, else as Redis has it.
func (s *Store) sandbox(ctx context.Context, organizationUID string) (bool, error) {
	if o := s.cache.Peek(organizationUID); o != nil {
		return o.Sandbox, nil
	}
	v, err := s.reader.HGet(ctx, s.keys.Of(organizationUID).Organization(organizationUID), "sb").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, redisx.ReadFailed(err)
	}
	return v == "1", nil
}
