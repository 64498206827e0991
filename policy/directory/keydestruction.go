package directory

import (
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const methodDestroyKey = "DestroyOrganizationKey"

// ReasonSignInsUnderWay refuses to destroy a key that sign-ins under way still need to come to their ending.
const ReasonSignInsUnderWay = "SIGN_INS_UNDER_WAY"

// KeyArchive is the archive's side of destroying a key. audit.Eraser has it.
type KeyArchive interface {
	Forget(ctx context.Context, organizationUID string) error
}

// UnderWay says until when sign-ins of an organization are under way; the zero time when none is.
type UnderWay interface {
	LiveUntil(ctx context.Context, organizationUID string, bound time.Time) (time.Time, error)
}

// KeyDestruction names an organization whose key is to be destroyed.
type KeyDestruction struct {
	Organization string // id
	Etag         string // of the version this is based on; empty: whatever there is
	RequestID    string
}

// DestroyKey destroys the key of an organization that is disabled, in one commit with its event, and then in the archive: nothing
// personal on its record can be read again, by anybody. Should the process end in between, the archiver does the second with the
// event. The same request again does what is left.
func (r *Resources) DestroyKey(ctx context.Context, caller string, in KeyDestruction) error {
	if err := reserved(in.Organization); err != nil {
		return err
	}
	uid, err := r.Directory.Resolve(ctx, in.Organization)
	if err != nil {
		return err
	}
	key := r.Namer.ApplyKey(caller, methodDestroyKey, in.Organization, in.RequestID, fields(in.Etag))
	p, err := r.Writer.Progress(ctx, uid, key)
	if err != nil {
		return err
	}
	if p == nil {
		if err := r.destroyKey(ctx, caller, in, uid, key); err != nil {
			return err
		}
	}
	_, _ = r.Directory.Organization(ctx, uid) // from here on this process knows
	return r.KeyArchive.Forget(ctx, uid)
}

// destroyKey makes the commit, unless the key is destroyed already.
func (r *Resources) destroyKey(ctx context.Context, caller string, in KeyDestruction, uid string, key policy.ApplyKey) error {
	for range maxChangeTries {
		o, err := r.Directory.Organization(ctx, uid)
		if err != nil {
			return err
		}
		if in.Etag != "" {
			if err := based(o, in.Etag); err != nil {
				return err
			}
		}
		if o.Key.Destroyed() {
			return nil
		}
		if err := r.destructible(ctx, o); err != nil {
			return err
		}
		next := *o
		next.Key = audit.DestroyedKey(uid)
		e := audit.Event{ID: r.NewID(), Type: audit.TypeOrganizationKeyDestroyed, Time: r.Now(), Organization: o.ID, OrganizationUID: uid, Caller: caller,
			Outcome: audit.OutcomeOf(audit.TypeOrganizationKeyDestroyed), Origin: audit.OriginAPI,
			Target: &audit.Target{Type: "organization", ID: o.ID, UID: uid}}
		_, _, err = r.Writer.Commit(ctx, policy.Change{Organization: &next, WritePolicy: true, Events: []audit.Event{e}, Request: key, Done: true})
		if !again(err) || in.Etag != "" {
			return err
		}
	}
	return changing()
}

// destructible says why an organization's key cannot be destroyed.
func (r *Resources) destructible(ctx context.Context, o *policy.Organization) error {
	switch {
	case !o.Disabled:
		return errs.New(errs.FailedPrecondition, ReasonNotDisabled, "people can sign in to this organization: disable it first")
	case o.Retention.Hold:
		return errs.New(errs.FailedPrecondition, ReasonOnHold, "the organization's record is on legal hold: lift that first")
	case o.Unreadable:
		return errs.New(errs.FailedPrecondition, ReasonUnreadable, "the stored policy cannot be read: write it anew first")
	}
	until, err := r.UnderWay.LiveUntil(ctx, o.UID, time.Time{})
	if err == nil && !until.IsZero() {
		err = errs.Newf(errs.FailedPrecondition, ReasonSignInsUnderWay, "sign-ins are still under way, until %s at the latest", until.UTC().Format(time.RFC3339))
	}
	return err
}
