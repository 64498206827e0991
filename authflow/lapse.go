package authflow

import (
	"context"
	"errors"

	"github.com/postern-audit/postern/audit"
)

// lapse ends a flow whose deadline has come or whose place was taken. It reports whether this call ended it: a flow that is
// not due, has ended or is gone is left alone.
func (f *Flows) lapse(ctx context.Context, d DueFlow) (bool, error) {
	reading, err := f.c.Store.Read(ctx, Read{OrganizationUID: d.OrganizationUID, Flow: d.Flow})
	if err != nil || reading.Flow == nil {
		return false, err
	}
	org, err := f.c.Directory.Cached(ctx, d.OrganizationUID)
	if err != nil {
		return false, err
	}
	flow := reading.Flow
	subject, err := f.regard(ctx, flow)
	if err != nil {
		return false, err
	}
	for range maxConflicts {
		if flow.State.Phase == PhaseEnded {
			return false, nil
		}
		moved, err := f.advance(flow, org, Input{Kind: KindTick, Subject: subject}, f.c.Now())
		if err != nil || !moved.Changed {
			return false, err
		}
		_, err = f.write(ctx, flow, subject, org, &moved, &writing{})
		var conflict *Conflict
		if !errors.As(err, &conflict) {
			return err == nil, err
		}
		if conflict.Gone {
			f.known.drop(d.Flow)
			return false, nil
		}
		if conflict.Organization != nil {
			org = conflict.Organization
		}
		if conflict.Flow != nil {
			flow = conflict.Flow
		}
		if subject = conflict.Subject; subject == nil {
			if subject, err = f.regard(ctx, flow); err != nil {
				return false, err
			}
		}
	}
	return false, refuse(ErrConflict)
}

// regard reads what is kept of a live flow's bound subject, where its demands look at it. What this process knows is enough
// where it is written: the store compares.
func (f *Flows) regard(ctx context.Context, flow *Loaded) (*SubjectRecords, error) {
	s := flow.State
	person, authenticator := bearing(s.Frozen)
	if s.Phase == PhaseEnded || s.Bound == nil || s.Bound.AccountID == "" || !person && !authenticator {
		return nil, nil
	}
	key := f.c.Namer.AccountKey(s.OrganizationUID, s.Bound.AccountID)
	reading, err := f.c.Store.Read(ctx, Read{OrganizationUID: s.OrganizationUID, Subject: &key})
	if err != nil {
		return nil, err
	}
	if reading.Subject == nil {
		return &SubjectRecords{Key: key}, nil
	}
	return reading.Subject, nil
}

// closeTally archives the counters of a site's hour as one event. Should a store that was set back close the same counters again,
// they become the same event, which the archive has already.
func (f *Flows) closeTally(ctx context.Context, t DueTally) error {
	org, err := f.c.Directory.Cached(ctx, t.OrganizationUID)
	if err != nil {
		return err
	}
	id := t.EventID
	if id == "" {
		id = f.c.NewID()
	}
	e := audit.Event{
		ID: id, Type: audit.TypeSiteTallied, Time: f.c.Now(), Organization: org.ID, OrganizationUID: org.UID,
		Site: t.Site, SiteUID: t.SiteUID, Outcome: audit.OutcomeOf(audit.TypeSiteTallied), Tally: t.Counts, TallyHour: t.Hour,
	}
	org.Marks(&e)
	return f.c.Store.CloseTally(ctx, t, e)
}

// isConflict reports whether a lost race is all that went wrong.
func isConflict(err error) bool {
	var conflict *Conflict
	return errors.As(err, &conflict)
}
