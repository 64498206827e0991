package erasure

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Namer makes keyed names. naming.Namer is one.
type Namer interface {
	ApplyKey(caller, method, parent, requestID string, canonical []byte) policy.ApplyKey
	AccountKey(organizationUID, accountID string) policy.AccountKey
}

// Sealer makes blind indexes with an organization's key. seal.Keyring is one.
type Sealer interface {
	audit.Keys
	Indexes(organizationUID string, purpose audit.Purpose, value string) ([]audit.Index, error)
}

// Events lists events of an archive. audit.Reader is one.
type Events interface {
	Events(ctx context.Context, q audit.Query) ([]audit.Event, error)
}

// Erasures are the use cases around erasures. Every field is needed.
type Erasures struct {
	Store     Store
	Live      Live
	Events    Events
	Directory policy.Directory
	Namer     Namer
	Sealer    Sealer
	NewID     func() string // UUIDv7
	Now       func() time.Time
	Wake      func() // says that something is due
}

// Bounds of a look that erases nothing.
const (
	counted     = 1000 // events
	countedHeld = 1000 // things in the live store
)

const method = "EraseSubject"

// Request asks for the erasure of one person.
type Request struct {
	Organization string // id
	AccountID    string // "" when only the address is known
	Email        policy.Address
	Reason       string
	RequestID    string
}

// Erase notes a request, with its event. A worker carries it out.
func (x *Erasures) Erase(ctx context.Context, caller string, in Request) (Erasure, error) {
	if in.Reason == "" {
		return Erasure{}, errs.Field("reason", "REASON_REQUIRED", "must say why")
	}
	e, err := x.about(ctx, in)
	if err != nil {
		return Erasure{}, err
	}
	if err := x.free(ctx, e.OrganizationUID); err != nil {
		return Erasure{}, err
	}
	e.ID, e.State, e.Caller, e.Requested = x.NewID(), StateRunning, caller, x.Now()
	e.Due = e.Requested
	request := x.Namer.ApplyKey(caller, method, e.OrganizationUID, in.RequestID, fields(in.AccountID, in.Email.Key(), in.Reason))
	asked := event(&e, e.ID, audit.TypeSubjectErasureRequested, e.Requested)
	asked.Personal.Detail = in.Reason
	first, err := x.Store.Commit(ctx, &Change{After: e, Event: &asked, Request: &request})
	if err != nil {
		return Erasure{}, err
	}
	if first != "" {
		stored, err := x.Store.Erasure(ctx, Place{e.OrganizationUID, first})
		if err != nil {
			return Erasure{}, err
		}
		return *stored, nil
	}
	x.Wake()
	return e, nil
}

// Look counts what an erasure would take away, up to a thousand of each, and changes nothing.
func (x *Erasures) Look(ctx context.Context, in Request) (Found, error) {
	e, err := x.about(ctx, in)
	if err != nil {
		return Found{}, err
	}
	var found Found
	if e.Account != (policy.AccountKey{}) {
		items, err := x.Live.Held(ctx, e.OrganizationUID, e.Account, countedHeld)
		if err != nil {
			return Found{}, err
		}
		found.count(items)
	}
	events, err := x.Events.Events(ctx, audit.Query{OrganizationUID: e.OrganizationUID, Limit: counted, Match: audit.Match{Subjects: e.Subjects}})
	found.Events = int64(len(events))
	return found, err
}

// about makes an erasure of the person, which stands in it as hashes.
func (x *Erasures) about(ctx context.Context, in Request) (Erasure, error) {
	if in.AccountID == "" && in.Email.IsZero() {
		return Erasure{}, errs.Field("account_id", "FIELD_REQUIRED", "name the account, the e-mail address, or both")
	}
	uid, err := x.organization(ctx, in.Organization)
	if err != nil {
		return Erasure{}, err
	}
	e := Erasure{OrganizationUID: uid, Organization: in.Organization}
	if in.AccountID != "" {
		e.Account = x.Namer.AccountKey(uid, in.AccountID)
		if e.Subjects, err = x.Sealer.Indexes(uid, audit.IndexAccount, in.AccountID); err != nil {
			return Erasure{}, err
		}
	}
	if !in.Email.IsZero() {
		of, err := x.Sealer.Indexes(uid, audit.IndexEmail, in.Email.String())
		if err != nil {
			return Erasure{}, err
		}
		e.Subjects = append(e.Subjects, of...)
	}
	e.Subjects = append(e.Subjects, audit.Sought(e.Subjects)...)
	return e, nil
}

// organization resolves an organization and makes its key usable in this process.
func (x *Erasures) organization(ctx context.Context, id string) (string, error) {
	if id == audit.SystemID {
		return "", errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	uid, err := x.standing(ctx, id)
	if err != nil || x.Sealer.Has(uid) {
		return uid, err
	}
	o, err := x.Directory.Cached(ctx, uid)
	if err != nil || x.Sealer.Has(uid) {
		return uid, err
	}
	return uid, x.Sealer.Add(o.Key)
}

// free refuses to erase from a record that must be kept as it is.
func (x *Erasures) free(ctx context.Context, uid string) error {
	o, err := x.Directory.Organization(ctx, uid)
	if err == nil && o.Retention.Hold {
		err = errs.New(errs.FailedPrecondition, "ORGANIZATION_ON_HOLD", "the organization's record is on legal hold: lift that first")
	}
	return err
}

// standing resolves an organization; the directory alone may answer with one that was deleted by another process, until its record
// is read.
func (x *Erasures) standing(ctx context.Context, id string) (string, error) {
	uid, err := x.Directory.Resolve(ctx, id)
	if err != nil {
		return "", err
	}
	if _, err = x.Directory.Organization(ctx, uid); errs.KindOf(err) != errs.NotFound {
		return uid, err
	}
	return x.Directory.Resolve(ctx, id)
}

// Get returns one erasure.
func (x *Erasures) Get(ctx context.Context, organization, id string) (Erasure, error) {
	uid, err := x.standing(ctx, organization)
	if err != nil {
		return Erasure{}, err
	}
	e, err := x.Store.Erasure(ctx, Place{uid, id})
	if err != nil {
		return Erasure{}, err
	}
	return *e, nil
}

// List returns up to limit erasures of an organization, newest first, older than the id before.
func (x *Erasures) List(ctx context.Context, organization, before string, limit int) ([]Erasure, error) {
	uid, err := x.standing(ctx, organization)
	if err != nil {
		return nil, err
	}
	return x.Store.Erasures(ctx, uid, before, limit)
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
