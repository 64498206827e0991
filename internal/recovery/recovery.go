// Package recovery makes a store that was set back fit to be served again.
//
// Purpose: after a kill the embedded store is as old as its last snapshot, while the archive has what came after it. Every
// recorded flow still gets exactly one ending, no revision names two states, and somebody is told what is gone.
// Invariant: the archive is never contradicted: where it is ahead, it is right. It must run before anything is served and
// after the outbox has been carried to the archive, and it must never invent anything but endings and the event that an
// organization was set back, nor give back what the record says was taken away. First file to read: this one.
package recovery

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Config is what a recovery works with. Every field is needed.
type Config struct {
	Partitions int
	Archive    Archive
	Flows      Flows
	Directory  Directory
	APIKeys    APIKeys
	Outbox     audit.Outbox
	Codec      audit.Codec
	Keys       audit.Keys
	Namer      policy.Namer
	Now        func() time.Time
	NewID      func() string
}

// Archive is the record. sqlite.Archive is one.
type Archive interface {
	Events(ctx context.Context, q audit.Query) ([]audit.Event, error)
	Flow(ctx context.Context, organizationUID, idOrCode string) (audit.FlowRow, []audit.Event, error)
	Keys(ctx context.Context, after string, limit int) ([]audit.OrganizationKey, error)
	audit.Recovery
}

// Flows is the live side. redisstore.Store is one.
type Flows interface {
	Read(ctx context.Context, r authflow.Read) (*authflow.Reading, error)
	Due(ctx context.Context, partitions []int, now time.Time, limit int) ([]authflow.DueFlow, error)
	Forget(ctx context.Context, organizationUID string, flow authflow.FlowID, supportCode string) error
	Commit(ctx context.Context, c *authflow.Commit) (*authflow.Committed, error)
}

// Directory keeps organizations. redisdirectory.Directory is one.
type Directory interface {
	Resolve(ctx context.Context, id string) (uid string, err error)
	Organization(ctx context.Context, uid string) (*policy.Organization, error)
	RaiseRevision(ctx context.Context, uid string, revision int64, e audit.Event) error
	RestoreBound(ctx context.Context, uid, siteUID string, notBefore time.Time) (bool, error)
	// ForgetKey takes a key away that was destroyed, and that an older store has back.
	ForgetKey(ctx context.Context, uid string) error
}

// APIKeys keeps keys of programs. rediskeys.Store is one.
type APIKeys interface {
	// RevokeAgain ends a key without an event, and reports whether it was there and good.
	RevokeAgain(ctx context.Context, organizationUID string, id apikey.ID, at time.Time) (bool, error)
}

// Report says what was lost.
type Report struct {
	FlowsEnded    int      // archived flows that were open and are ended ABANDONED, STORE_LOST
	FlowsSetBack  int      // live flows that were older than their record and are gone
	Organizations []string // ids whose record is gone: apply their documents again
	Revoked       int      // proofs, factors, sessions, tokens and keys that were back, and are taken away again
	Changed       []string // ids that are as they were before their last changes: apply their documents again
}

// Empty reports whether the archive knows of nothing that is missing.
func (r Report) Empty() bool {
	return r.FlowsEnded == 0 && r.FlowsSetBack == 0 && r.Revoked == 0 && len(r.Organizations) == 0 && len(r.Changed) == 0
}

const page = 500

// Run brings the store in line with the archive and says what was lost.
func Run(ctx context.Context, c Config) (Report, error) {
	r := &run{Config: c}
	for _, step := range []func(context.Context) error{r.keys, r.organizations, r.revocations, r.live, r.open} {
		if err := step(ctx); err != nil {
			return r.report, err
		}
	}
	return r.report, nil
}

type run struct {
	Config
	report Report
}

// keys makes every archived key usable: endings may be due in organizations that the store does not know any more.
func (r *run) keys(ctx context.Context) error {
	for after := ""; ; {
		keys, err := r.Archive.Keys(ctx, after, page)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := r.Keys.Add(k); err != nil {
				return err
			}
			if k.Destroyed() {
				if err := r.Directory.ForgetKey(ctx, k.OrganizationUID); err != nil {
					return err
				}
			}
			after = k.OrganizationUID
		}
		if len(keys) < page {
			return nil
		}
	}
}

// organizations raises revisions and names what is gone.
func (r *run) organizations(ctx context.Context) error {
	revisions, err := r.Archive.Revisions(ctx)
	if err != nil {
		return err
	}
	for uid, archived := range revisions {
		o, err := r.Directory.Organization(ctx, uid)
		if errs.KindOf(err) == errs.NotFound && err != nil {
			if err := r.gone(ctx, uid); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if o.Revision >= archived {
			continue
		}
		e := audit.Event{ID: r.NewID(), Type: audit.TypeOrganizationSetBack, Time: r.Now(), Caller: "recovery", Outcome: audit.OutcomeOf(audit.TypeOrganizationSetBack)}
		if err := r.Directory.RaiseRevision(ctx, uid, archived, e); err != nil {
			return err
		}
		r.report.Changed = append(r.report.Changed, o.ID)
	}
	slices.Sort(r.report.Organizations)
	slices.Sort(r.report.Changed)
	return nil
}

// gone names an organization that the store does not have, unless it was deleted, or made anew since.
func (r *run) gone(ctx context.Context, uid string) error {
	deleted, err := r.Archive.Events(ctx, audit.Query{OrganizationUID: uid, Match: audit.Match{Types: []string{string(audit.TypeOrganizationDeleted)}}, Limit: 1})
	if err != nil || len(deleted) > 0 {
		return err
	}
	id, err := r.nameOf(ctx, uid)
	if err != nil {
		return err
	}
	if _, err := r.Directory.Resolve(ctx, id); err == nil || errs.KindOf(err) != errs.NotFound {
		return err
	}
	r.report.Organizations = append(r.report.Organizations, id)
	return nil
}

// nameOf returns the id an organization had last, as its record says; its uid when the record says nothing.
func (r *run) nameOf(ctx context.Context, uid string) (string, error) {
	events, err := r.Archive.Events(ctx, audit.Query{OrganizationUID: uid, Descending: true, Limit: 1})
	if err != nil || len(events) == 0 || events[0].Organization == "" {
		return uid, err
	}
	return events[0].Organization, nil
}

// live removes flows that are older in the store than in the archive; open then ends those that have no ending.
func (r *run) live(ctx context.Context) error {
	for partition := range r.Partitions {
		flows, err := r.Flows.Due(ctx, []int{partition}, time.Unix(math.MaxInt32, 0), math.MaxInt32)
		if err != nil {
			return err
		}
		for _, f := range flows {
			if err := r.judge(ctx, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) judge(ctx context.Context, f authflow.DueFlow) error {
	row, _, err := r.Archive.Flow(ctx, f.OrganizationUID, f.Flow.String())
	if errs.KindOf(err) == errs.NotFound && err != nil {
		return nil //nolint:nilerr // not archived: the store is all there is
	}
	if err != nil {
		return err
	}
	found, err := r.Flows.Read(ctx, authflow.Read{OrganizationUID: f.OrganizationUID, Flow: f.Flow})
	if err != nil {
		return err
	}
	if found.Flow != nil && row.EndEventID == "" && found.Flow.State.Recorded && len(found.Flow.State.Steps) >= row.LastStep {
		return nil
	}
	r.report.FlowsSetBack++
	return r.Flows.Forget(ctx, f.OrganizationUID, f.Flow, row.SupportCode)
}

// open ends archived flows that the store does not have.
func (r *run) open(ctx context.Context) error {
	for partition := range r.Partitions {
		for after := ""; ; {
			rows, err := r.Archive.OpenFlows(ctx, partition, after, page)
			if err != nil {
				return err
			}
			for i := range rows {
				if err := r.end(ctx, &rows[i]); err != nil {
					return err
				}
				after = rows[i].ID
			}
			if len(rows) < page {
				break
			}
		}
	}
	return nil
}

func (r *run) end(ctx context.Context, row *audit.FlowRow) error {
	id, err := authflow.ParseFlowID(row.ID)
	if err != nil {
		return err
	}
	found, err := r.Flows.Read(ctx, authflow.Read{OrganizationUID: row.OrganizationUID, Flow: id})
	if err != nil {
		return err
	}
	if found.Flow != nil {
		return nil // it goes on, or its ending is on its way
	}
	_, steps, err := r.Archive.Flow(ctx, row.OrganizationUID, row.ID)
	if err != nil {
		return err
	}
	e := r.ending(row, steps)
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if err := r.Codec.Open(&s); err != nil {
			return err
		}
		if s.PersonalState == "" && (s.ID == row.BindEventID || i == 0) {
			p := s.Personal
			e.Personal = audit.Personal{Email: p.Email, EmailVerified: p.EmailVerified, AccountID: p.AccountID, TypedAddress: p.TypedAddress,
				ClaimedAccountID: p.ClaimedAccountID, DisplayName: p.DisplayName}
			break
		}
	}
	if err := r.Outbox.Append(ctx, row.OrganizationUID, e); err != nil {
		return errors.Join(errs.Newf(errs.Unavailable, "NOT_RECORDED", "the ending of flow %s was not recorded", row.ID), err)
	}
	r.report.FlowsEnded++
	return nil
}

// ending is the event that says that the flow's state was lost.
func (r *run) ending(row *audit.FlowRow, steps []audit.Event) audit.Event {
	e := audit.Event{
		ID: r.NewID(), Type: audit.EndingType(audit.EndingAbandoned), Time: r.Now(), Organization: row.Organization, OrganizationUID: row.OrganizationUID,
		Site: row.Site, SiteUID: row.SiteUID, Flow: row.ID, Step: row.LastStep + 1, SupportCode: row.SupportCode, CorrelationID: row.CorrelationID,
		Caller: "recovery", Class: row.Class, Provisional: row.Provisional, Outcome: audit.OutcomeOf(audit.EndingType(audit.EndingAbandoned)),
		Ending: audit.EndingAbandoned, Reason: audit.ReasonStoreLost,
	}
	for i := range steps {
		s := &steps[i]
		if s.Step == 0 || s.Forked {
			continue
		}
		e.SubjectKind, e.Sandbox, e.Privacy, e.Region = s.SubjectKind, s.Sandbox, e.Privacy.With(s.Privacy), s.Region
		if s.Decision != nil {
			e.Decision, e.Revision = s.Decision, s.Decision.PolicyRevision
		}
		e.Steps = append(e.Steps, audit.StepSummary{Step: s.Step, Event: s.ID, Type: s.Type, Time: s.Time, Method: s.Method,
			Connection: s.Connection, Factor: s.Factor, Evidence: s.Evidence, Reason: s.Reason, Counts: s.Counts})
	}
	return e
}
