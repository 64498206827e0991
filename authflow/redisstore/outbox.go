package redisstore

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
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
	of, err := s.organization(ctx, organizationUID)
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
		of.Marks(&e)
		b, err := s.codec.Encode(&e)
		if err != nil {
			return err
		}
		call.Arg(b)
	}
	_, err = s.scripts.append.Run(ctx, s.client, call)
	return err
}

// Mark writes on an event what its organization says of its events, for stores that write events with records of their own.
func (o *Outbox) Mark(ctx context.Context, e *audit.Event) error {
	of, err := o.s.organization(ctx, e.OrganizationUID)
	if err != nil {
		return err
	}
	of.Marks(e)
	return nil
}

// organization is the organization as this process knows it, else as Redis has it. Of one whose record is lost or cannot be read
// as little is kept as can be.
func (s *Store) organization(ctx context.Context, uid string) (*policy.Organization, error) {
	if o := s.cache.Peek(uid); o != nil {
		return o, nil
	}
	r, err := s.Read(ctx, authflow.Read{OrganizationUID: uid, Organization: true})
	switch {
	case err == nil && r.Organization == nil && uid == audit.SystemUID:
		return &policy.Organization{UID: uid}, nil // it has no record, and its events name nobody
	case err == nil && r.Organization == nil, err != nil && errs.KindOf(err) == errs.Internal:
		return &policy.Organization{UID: uid, Privacy: audit.Privacy{Email: audit.EmailOmitted, IP: audit.IPOmitted, UserContent: audit.ContentOmitted}}, nil
	case err != nil:
		return nil, err
	}
	return r.Organization, nil
}
