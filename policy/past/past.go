// Package past reads directories as they were, from the archive's history.
//
// Purpose: what an organization was at a moment (Past), and every change of its policy, also those the live store does not keep
// any more (Revisions).
// Invariant: what is answered was committed at or before the moment asked about, and nothing that was is missing: a moment the
// archive does not cover yet is an error, never a guess.
// It must never write, and never show a secret: none is in the history.
// Read past.go first.
package past

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	"github.com/postern-audit/postern/policy/redisdirectory"
)

// Config is what reading the past needs. Every field is needed.
type Config struct {
	Archive  audit.HistoryReader
	Archived Archived
	Opener   Opener
	// Directory makes the organization's key known, and says how far its revisions are.
	Directory policy.Directory
	// Recent is the history that the live store keeps.
	Recent policy.History
}

// Archived says how far the archive is. audit.Source implements it.
type Archived interface {
	// ArchivedUntil returns the moment before which every event of the organization is archived.
	ArchivedUntil(ctx context.Context, organizationUID string) (time.Time, error)
}

// Opener opens the personal part of events. audit.Codec implements it.
type Opener interface {
	Open(e *audit.Event) error
}

// Past implements policy.Past. Safe for concurrent use.
type Past struct{ Config }

var _ policy.Past = (*Past)(nil)

// New returns a reader of the past, or an error that names the missing part.
func New(c Config) (*Past, error) {
	for name, missing := range map[string]bool{
		"Archive": c.Archive == nil, "Archived": c.Archived == nil, "Opener": c.Opener == nil, "Directory": c.Directory == nil, "Recent": c.Recent == nil,
	} {
		if missing {
			return nil, errs.New(errs.Internal, "PAST_CONFIG", "past: "+name+" is missing")
		}
	}
	return &Past{c}, nil
}

// At implements policy.Past. How far the archive is is asked first: what comes later can only add to it.
func (p *Past) At(ctx context.Context, uid string, at time.Time) (policy.Moment, error) {
	until, err := p.Archived.ArchivedUntil(ctx, uid)
	if err != nil {
		return policy.Moment{}, err
	}
	if !at.Before(until) {
		return policy.Moment{}, errs.Newf(errs.FailedPrecondition, audit.HistoryNotArchived,
			"the history is archived until %s, not yet for that moment", until.UTC().Format(time.RFC3339Nano)).
			WithMeta("archived_until", until.UTC().Format(time.RFC3339Nano))
	}
	m := policy.Moment{At: at}
	if m.Commit, err = p.Archive.CommitAt(ctx, uid, at); err != nil {
		return policy.Moment{}, err
	}
	v, err := p.Archive.OrganizationAt(ctx, uid, m.Commit)
	if err != nil {
		return policy.Moment{}, err
	}
	if m.Organization, err = organization(uid, &v); err != nil {
		return policy.Moment{}, err
	}
	m.Organization.Revision = m.Commit.Revision
	return m, nil
}

// organization reads a version's record.
func organization(uid string, v *audit.OrganizationVersion) (*policy.Organization, error) {
	o, err := redisdirectory.PastOrganization(v.Record, v.Revision)
	if err == nil && o.UID != uid {
		err = errs.New(errs.Internal, "RECORD_MALFORMED", "an archived organization has another uid than its history")
	}
	return o, err
}

// Records implements policy.Past.
func (p *Past) Records(ctx context.Context, m policy.Moment, keys policy.LookupKeys) (policy.Records, error) {
	found, err := p.Archive.ItemsAt(ctx, m.Organization.UID, m.Commit, redisdirectory.PastKeys(keys))
	if err != nil {
		return policy.Records{}, err
	}
	return redisdirectory.PastRecords(found, keys)
}

// Written implements policy.Past.
func (p *Past) Written(ctx context.Context, m policy.Moment) (*policy.Revision, error) {
	uid := m.Organization.UID
	if _, err := p.Directory.Organization(ctx, uid); err != nil { // its key is known from here on
		return nil, err
	}
	list, err := p.Archive.Versions(ctx, audit.VersionQuery{OrganizationUID: uid, Before: m.Commit.Revision + 1, PolicyOnly: true, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, audit.ErrHistoryUnknown()
	}
	return p.revision(&list[0])
}

// revision makes a revision of a version, with its policy when the version has its record.
func (p *Past) revision(v *audit.OrganizationVersion) (*policy.Revision, error) {
	r := &policy.Revision{Number: v.Revision, Event: v.Event}
	if err := p.Opener.Open(&r.Event); err != nil {
		return nil, err
	}
	if v.Record == nil {
		return r, nil
	}
	o, err := organization(v.Event.OrganizationUID, v)
	if err != nil {
		return nil, err
	}
	if o.Unreadable {
		return nil, errs.New(errs.Internal, policypb.ReasonUnreadable, "an archived policy cannot be read")
	}
	r.Policy, r.AllowUnreadable, r.ProofsNotBefore, r.SuspendedUntil = o.Policy, o.AllowUnreadable, o.ProofsNotBefore, o.SuspendedUntil
	return r, nil
}
