package redisdirectory

import (
	"context"
	_ "embed" // the script
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

//go:embed raise.lua
var raiseText string

// RaiseRevision makes an organization's revision greater than the one given, with stamps that never were: for recovery
// alone, when the archive has seen later revisions than a store that was set back. One that is greater already stays. With it
// goes the event, which brings the archive what the organization is again; what it was told to change is the revision.
func (d *Directory) RaiseRevision(ctx context.Context, uid string, revision int64, e audit.Event) error {
	for range 3 {
		o, err := d.Organization(ctx, uid)
		if err != nil || o.Revision > revision {
			return err
		}
		stamp, err := newStamp(revision + 1)
		if err != nil {
			return err
		}
		event, err := d.setBack(o, revision, e)
		if err != nil {
			return err
		}
		space := d.keys.Of(uid)
		call := redisx.NewCall(8)
		call.Key(space.Organization(uid), space.Outbox())
		call.Arg(o.Stamp[:], stamp[:], revision+1, stamp[:], event)
		reply, err := redisx.NewScript(raiseText).Run(ctx, d.client, call)
		if err != nil || reply == "OK" {
			return err
		}
	}
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization is changing; try again")
}

// setBack is the encoded event of an organization that was at the revision given and is as it stands in o again.
func (d *Directory) setBack(o *policy.Organization, revision int64, e audit.Event) ([]byte, error) {
	w := &write{d: d, c: policy.Change{Organization: o, WritePolicy: !o.Unreadable}}
	if w.c.WritePolicy { // what cannot be read cannot be told either
		var err error
		if w.record, err = encodeOrganization(o); err != nil {
			return nil, err
		}
	}
	e.Organization, e.OrganizationUID, e.Revision = o.ID, o.UID, revision+1
	o.Marks(&e)
	e.Target = &audit.Target{Type: "organization", ID: o.ID, UID: o.UID}
	e.Changes = []audit.Change{{Field: "revision", Before: strconv.FormatInt(revision, 10), After: strconv.FormatInt(o.Revision, 10)}}
	var err error
	if e.Directory, err = w.written(); err != nil {
		return nil, err
	}
	e.Directory.BackTo = o.Revision
	return d.codec.Encode(&e)
}

// RestoreBound moves the bound of proofs of a site, or of the organization when siteUID is empty, forward without an event: for
// recovery alone, when the archive has a revocation that a store that was set back does not. It reports whether it did; a bound
// as late stays, and a site that is not there or a policy that cannot be read has none.
func (d *Directory) RestoreBound(ctx context.Context, uid, siteUID string, notBefore time.Time) (bool, error) {
	for range 3 {
		o, err := d.Organization(ctx, uid)
		if err != nil {
			return false, err
		}
		next, before, after, err := bounded(o, siteUID, notBefore)
		if errs.Is(err, "SITE_NOT_FOUND") || errs.Is(err, "POLICY_UNREADABLE") || err == nil && !after.After(before) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if _, _, err = d.write(ctx, policy.Change{Organization: next, WritePolicy: true}, time.Time{}); !errs.Is(err, "ETAG_MISMATCH") {
			return err == nil, err
		}
	}
	return false, errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization is changing; try again")
}
