package savedfilter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Namer makes keyed names. naming.Namer is one.
type Namer interface {
	// ApplyKey names one administrative call and what it asked for.
	ApplyKey(caller, method, parent, requestID string, canonical []byte) policy.ApplyKey
}

// Filters are the use cases around saved filters. Every field is needed. They take organizations whose key is in use already.
type Filters struct {
	Store Store
	Namer Namer
	NewID func() string // UUIDv7, of events
	Now   func() time.Time
	// Describe says field by field what a filter says, for the record: nothing personal.
	Describe func(content []byte) map[string]string
}

// Organization names an organization both ways.
type Organization struct{ ID, UID string }

// Input is a filter to keep.
type Input struct {
	Organization Organization
	ID           string
	DisplayName  string
	Content      []byte // what the filter says; the same filter is the same bytes
	Etag         string // version it replaces; empty: whatever there is. Not for new ones.
	RequestID    string
}

// Methods, as they stand in the keys of calls.
const (
	methodCreate = "CreateSavedFilter"
	methodUpdate = "UpdateSavedFilter"
	methodDelete = "DeleteSavedFilter"
)

// maxTries bounds how often a lost race is run again.
const maxTries = 3

// Create keeps a new filter.
func (f *Filters) Create(ctx context.Context, caller string, in Input) (Filter, error) {
	return f.put(ctx, caller, methodCreate, in)
}

// Update replaces what a filter says. One that says the same already stays as it is.
func (f *Filters) Update(ctx context.Context, caller string, in Input) (Filter, error) {
	return f.put(ctx, caller, methodUpdate, in)
}

func (f *Filters) put(ctx context.Context, caller, method string, in Input) (Filter, error) {
	switch {
	case in.Organization.UID == audit.SystemUID:
		return Filter{}, reserved()
	case in.DisplayName == "" || len(in.DisplayName) > maxName:
		return Filter{}, errs.Field("saved_filter.display_name", "FIELD_INVALID", "must have 1 to 128 bytes")
	}
	uid := in.Organization.UID
	c := call{f, caller, in.Organization, in.ID,
		f.Namer.ApplyKey(caller, method, uid+"/"+in.ID, in.RequestID, fields(in.DisplayName, string(in.Content), in.Etag))}
	if again, err := f.Store.Answered(ctx, uid, c.request); err != nil || again {
		return c.now(ctx, err)
	}
	for range maxTries {
		before, err := c.before(ctx, method == methodCreate, in.Etag)
		if err != nil {
			return Filter{}, err
		}
		now := f.Now()
		after := Filter{OrganizationUID: uid, ID: in.ID, DisplayName: in.DisplayName, Content: in.Content, Created: now, Updated: now, Creator: caller}
		if before != nil {
			if before.says(&after) {
				return *before, nil
			}
			after.Created, after.Creator = before.Created, before.Creator
		}
		if _, err = f.Store.Commit(ctx, c.change(before, &after, audit.TypeFilterSaved)); errs.KindOf(err) != errs.Conflict || err == nil {
			return c.now(ctx, err)
		}
	}
	return Filter{}, moved()
}

// Removal names a filter to remove.
type Removal struct {
	Organization Organization
	ID           string
	Etag         string // empty: whatever there is
	RequestID    string
}

// Delete removes a filter.
func (f *Filters) Delete(ctx context.Context, caller string, in Removal) error {
	if in.Organization.UID == audit.SystemUID {
		return reserved()
	}
	c := call{f, caller, in.Organization, in.ID, f.Namer.ApplyKey(caller, methodDelete, in.Organization.UID+"/"+in.ID, in.RequestID, fields(in.Etag))}
	if again, err := f.Store.Answered(ctx, in.Organization.UID, c.request); err != nil || again {
		return err
	}
	for range maxTries {
		before, err := c.before(ctx, false, in.Etag)
		if err != nil {
			return err
		}
		if _, err = f.Store.Commit(ctx, c.change(before, nil, audit.TypeFilterDeleted)); errs.KindOf(err) != errs.Conflict || err == nil {
			return err
		}
	}
	return moved()
}

// Get returns one filter.
func (f *Filters) Get(ctx context.Context, organizationUID, id string) (Filter, error) {
	found, err := f.Store.Filter(ctx, organizationUID, id)
	if err != nil {
		return Filter{}, err
	}
	return *found, nil
}

// List returns up to limit filters after the given id, by id; "" begins at the first.
func (f *Filters) List(ctx context.Context, organizationUID, after string, limit int) ([]Filter, error) {
	all, err := f.Store.Filters(ctx, organizationUID)
	if err != nil {
		return nil, err
	}
	from, found := slices.BinarySearchFunc(all, after, func(x Filter, id string) int { return cmp.Compare(x.ID, id) })
	if found {
		from++
	}
	return all[from:min(len(all), from+limit)], nil
}

// call is one call that changes a filter.
type call struct {
	*Filters
	caller       string
	organization Organization
	id           string
	request      policy.ApplyKey
}

// before returns what the call finds: nothing when it makes a new one.
func (c *call) before(ctx context.Context, create bool, etag string) (*Filter, error) {
	if create {
		return nil, nil //nolint:nilnil // the store says whether the id is free
	}
	found, err := c.Store.Filter(ctx, c.organization.UID, c.id)
	switch {
	case err != nil:
		return nil, err
	case etag != "" && etag != found.Etag():
		return nil, mismatch()
	}
	return found, nil
}

// now returns the filter as it is after the call.
func (c *call) now(ctx context.Context, err error) (Filter, error) {
	if err != nil {
		return Filter{}, err
	}
	return c.Get(ctx, c.organization.UID, c.id)
}

func (c *call) change(before, after *Filter, t audit.Type) Change {
	e := audit.Event{
		ID: c.NewID(), Type: t, Time: c.Now(), Organization: c.organization.ID, OrganizationUID: c.organization.UID, Caller: c.caller,
		Outcome: audit.OutcomeOf(t), Origin: audit.OriginAPI, Target: &audit.Target{Type: "filter", ID: c.id, Count: 1},
		Changes: c.differences(before, after),
	}
	if after != nil {
		e.Personal.Detail = after.DisplayName
	} else {
		e.Personal.Detail = before.DisplayName
	}
	return Change{OrganizationUID: c.organization.UID, ID: c.id, Before: before, After: after, Event: e, Request: c.request}
}

// differences lists the fields that say something else than before.
func (c *call) differences(before, after *Filter) []audit.Change {
	var was, is map[string]string
	if before != nil {
		was = c.Describe(before.Content)
	}
	if after != nil {
		is = c.Describe(after.Content)
	}
	var out []audit.Change
	for field, value := range is {
		if was[field] != value {
			out = append(out, audit.Change{Field: field, Before: was[field], After: value})
		}
	}
	for field, value := range was {
		if _, still := is[field]; !still {
			out = append(out, audit.Change{Field: field, Before: value})
		}
	}
	slices.SortFunc(out, func(a, b audit.Change) int { return cmp.Compare(a.Field, b.Field) })
	return out
}

// says reports whether two filters say the same under the same name.
func (f *Filter) says(o *Filter) bool {
	return !f.Unreadable && f.DisplayName == o.DisplayName && bytes.Equal(f.Content, o.Content)
}

func reserved() error {
	return errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
}

// fields are texts, each with its length in front.
func fields(texts ...string) []byte {
	var b []byte
	for _, s := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // bounded by the API
		b = append(b, s...)
	}
	return b
}
