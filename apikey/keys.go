package apikey

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Namer makes keyed names. naming.Namer is one.
type Namer interface {
	// ApplyKey names one administrative call and what it asked for.
	ApplyKey(caller, method, parent, requestID string, canonical []byte) policy.ApplyKey
	// APIKey hashes the secret of an API key.
	APIKey(organizationUID string, id, secret []byte) [32]byte
}

// Sealer encrypts with an organization's key. seal.Keyring is one.
type Sealer interface {
	audit.Keys
	EncryptSecret(organizationUID, recordID string, plain []byte) ([]byte, error)
	DecryptSecret(organizationUID, recordID string, sealed []byte) ([]byte, error)
}

// Keys are the use cases around API keys. Every field is needed.
type Keys struct {
	Store     Store
	Directory policy.Directory
	Namer     Namer
	Sealer    Sealer
	NewID     func() string // UUIDv7, of events
	Random    func(b []byte)
	Now       func() time.Time
	// Noted hears of every use of a good key. It must not wait.
	Noted func(organizationUID string, id ID, at time.Time)
}

// Methods, as they stand in the keys of calls.
const (
	methodCreate = "CreateKey"
	methodRevoke = "RevokeKey"
	methodTest   = "EmitTestEvent"
)

// maxTries bounds how often a lost race is run again.
const maxTries = 3

// NewKey is a key to make.
type NewKey struct {
	Organization string // id
	DisplayName  string
	Role         Role
	Detail       Detail
	Sandbox      bool
	Expires      time.Time
	RequestID    string
}

// Made is a new key.
type Made struct {
	Key   Key
	Token string // empty when the call was repeated too late for its secret
}

// Create makes a key.
func (k *Keys) Create(ctx context.Context, caller string, in NewKey) (Made, error) {
	if in.Detail == DetailUnspecified {
		in.Detail = DetailFlows
	}
	if in.DisplayName == "" || len(in.DisplayName) > maxName {
		return Made{}, errs.Field("display_name", "FIELD_INVALID", "must have 1 to 128 bytes")
	}
	if in.Role != RoleAuditor {
		return Made{}, errs.Field("role", "FIELD_INVALID", "must be ROLE_AUDITOR")
	}
	uid, err := k.organization(ctx, in.Organization)
	if err != nil {
		return Made{}, err
	}
	request := k.Namer.ApplyKey(caller, methodCreate, uid, in.RequestID, in.canonical())
	// Before any look at the time: a repeated call is answered, however late.
	if first, err := k.Store.Answered(ctx, uid, request); err != nil || first != "" {
		return k.again(ctx, uid, first, err)
	}
	now := k.Now()
	if !in.Expires.After(now) || in.Expires.Sub(now) > MaxLifetime {
		return Made{}, errs.Field("expire_time", "FIELD_INVALID", "must be in the future and at most 366 days ahead")
	}
	token := Token{OrganizationUID: uid}
	k.Random(token.ID[:])
	k.Random(token.Secret[:])
	text, err := token.Text()
	if err != nil {
		return Made{}, err
	}
	key := Key{
		OrganizationUID: uid, ID: token.ID, DisplayName: in.DisplayName, Role: in.Role, Detail: in.Detail, Sandbox: in.Sandbox, Created: now, Expires: in.Expires,
		Creator: caller, Hash: k.hash(&token),
	}
	c := Change{OrganizationUID: uid, After: &key, Request: request, Event: k.event(in.Organization, caller, &key, audit.TypeKeyCreated)}
	c.Event.Changes = []audit.Change{
		{Field: "display_name", After: key.DisplayName}, {Field: "role", After: roleNames[key.Role]},
		{Field: "detail", After: detailNames[key.Detail]}, {Field: "expire_time", After: key.Expires.UTC().Format(time.RFC3339)},
	}
	if key.Sandbox {
		c.Event.Changes = append(c.Event.Changes, audit.Change{Field: "include_sandbox", After: "true"})
	}
	if c.Secret, err = k.Sealer.EncryptSecret(uid, recordOf(key.ID), []byte(text)); err != nil {
		return Made{}, err
	}
	if c.Drop, err = k.forgotten(ctx, uid, now); err != nil {
		return Made{}, err
	}
	if first, err := k.commit(ctx, c); err != nil || first != "" {
		return k.again(ctx, uid, first, err)
	}
	return Made{key, text}, nil
}

// again answers a call that was made before.
func (k *Keys) again(ctx context.Context, uid, first string, err error) (Made, error) {
	if err != nil {
		return Made{}, err
	}
	id, err := ParseID(first)
	if err != nil {
		return Made{}, err
	}
	key, err := k.Store.Key(ctx, uid, id)
	if err != nil {
		return Made{}, err
	}
	sealed, err := k.Store.Secret(ctx, uid, id)
	if err != nil || sealed == nil {
		return Made{Key: *key}, err
	}
	text, err := k.Sealer.DecryptSecret(uid, recordOf(id), sealed)
	return Made{*key, string(text)}, err
}

// forgotten lists keys that ended so long ago that they are no longer listed.
func (k *Keys) forgotten(ctx context.Context, uid string, now time.Time) ([]ID, error) {
	all, err := k.Store.Keys(ctx, uid)
	var out []ID
	for i := range all {
		if all[i].forgotten(now) {
			out = append(out, all[i].ID)
		}
	}
	return out, err
}

// Get returns one key.
func (k *Keys) Get(ctx context.Context, organization string, id ID) (Key, error) {
	uid, err := k.standing(ctx, organization)
	if err != nil {
		return Key{}, err
	}
	key, err := k.Store.Key(ctx, uid, id)
	if err == nil && key.forgotten(k.Now()) {
		err = notFound()
	}
	if err != nil {
		return Key{}, err
	}
	return *key, nil
}

// List returns up to limit keys after the given id, by id; nil begins at the first.
func (k *Keys) List(ctx context.Context, organization string, after *ID, limit int) ([]Key, error) {
	uid, err := k.standing(ctx, organization)
	if err != nil {
		return nil, err
	}
	all, err := k.Store.Keys(ctx, uid)
	var out []Key
	now := k.Now()
	for i := range all {
		if (after == nil || all[i].ID.String() > after.String()) && !all[i].forgotten(now) && len(out) < limit {
			out = append(out, all[i])
		}
	}
	return out, err
}

// Revocation names a key to end.
type Revocation struct {
	Organization string // id
	ID           ID
	RequestID    string
	Reason       string
}

// Revoke ends a key. One that is revoked stays as it is.
func (k *Keys) Revoke(ctx context.Context, caller string, in Revocation) (Key, error) {
	uid, err := k.organization(ctx, in.Organization)
	if err != nil {
		return Key{}, err
	}
	request := k.Namer.ApplyKey(caller, methodRevoke, in.ID.String(), in.RequestID, fields(uid, in.ID.String(), in.Reason))
	for range maxTries {
		if first, err := k.Store.Answered(ctx, uid, request); err != nil {
			return Key{}, err
		} else if first != "" {
			return k.Get(ctx, in.Organization, in.ID)
		}
		before, err := k.Store.Key(ctx, uid, in.ID)
		if err != nil || !before.Revoked.IsZero() {
			return deref(before), err
		}
		after := *before
		after.Revoked = k.Now()
		c := Change{OrganizationUID: uid, Before: before, After: &after, Request: request, Event: k.event(in.Organization, caller, &after, audit.TypeKeyRevoked)}
		c.Event.Changes = []audit.Change{{Field: "display_name", Before: after.DisplayName, After: after.DisplayName}}
		c.Event.Personal.Detail = in.Reason
		_, err = k.commit(ctx, c)
		if err == nil {
			return k.Get(ctx, in.Organization, in.ID)
		}
		if errs.KindOf(err) != errs.Conflict {
			return Key{}, err
		}
	}
	return Key{}, moved()
}

// TestEvent asks for an event that means nothing.
type TestEvent struct {
	Organization string // id
	RequestID    string
	Note         string
}

// Test writes an event of type log.tested and returns its id.
func (k *Keys) Test(ctx context.Context, caller string, in TestEvent) (string, error) {
	uid, err := k.organization(ctx, in.Organization)
	if err != nil {
		return "", err
	}
	c := Change{OrganizationUID: uid, Request: k.Namer.ApplyKey(caller, methodTest, uid, in.RequestID, fields(in.Note))}
	c.Event = k.event(in.Organization, caller, &Key{OrganizationUID: uid}, audit.TypeLogTested)
	c.Event.Target, c.Event.Personal.Detail = nil, in.Note
	first, err := k.commit(ctx, c)
	if err != nil || first != "" {
		return first, err
	}
	return c.Event.ID, nil
}

// Authenticate recognises a token. With an error of reason API_KEY_EXPIRED or API_KEY_REVOKED comes the key, which the token proved.
func (k *Keys) Authenticate(ctx context.Context, text string) (*Key, error) {
	token, err := ParseToken(text)
	if err != nil {
		return nil, err
	}
	key, err := k.Store.Key(ctx, token.OrganizationUID, token.ID)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return nil, err
	}
	got := k.hash(&token)
	if key == nil || !hmac.Equal(got[:], key.Hash[:]) {
		return nil, invalid()
	}
	now := k.Now()
	switch key.State(now) {
	case StateRevoked:
		return key, revoked()
	case StateExpired:
		return key, expired()
	case StateActive, StateUnspecified:
	}
	k.Noted(key.OrganizationUID, key.ID, now)
	return key, nil
}

// organization resolves an organization that is about to be written to, and makes its key usable in this process.
func (k *Keys) organization(ctx context.Context, id string) (string, error) {
	if id == audit.SystemID {
		return "", errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	uid, err := k.standing(ctx, id)
	if err != nil || k.Sealer.Has(uid) {
		return uid, err
	}
	o, err := k.Directory.Cached(ctx, uid)
	if err != nil || k.Sealer.Has(uid) {
		return uid, err
	}
	return uid, k.Sealer.Add(o.Key)
}

// standing resolves an organization. The directory alone may answer with one that was deleted by another process, until its record is
// read: keys are no part of that, and would be those of a dead organization under an id that was given away again.
func (k *Keys) standing(ctx context.Context, id string) (string, error) {
	uid, err := k.Directory.Resolve(ctx, id)
	if err != nil {
		return "", err
	}
	if _, err = k.Directory.Organization(ctx, uid); errs.KindOf(err) != errs.NotFound {
		return uid, err
	}
	return k.Directory.Resolve(ctx, id)
}

func (k *Keys) event(organization, caller string, key *Key, t audit.Type) audit.Event {
	return audit.Event{
		ID: k.NewID(), Type: t, Time: k.Now(), Organization: organization, OrganizationUID: key.OrganizationUID, Caller: caller,
		Outcome: audit.OutcomeOf(t), Origin: audit.OriginAPI, Target: &audit.Target{Type: "key", ID: key.ID.String(), Count: 1},
	}
}

// commit makes a change, with what the organization says of its events on its event.
func (k *Keys) commit(ctx context.Context, c Change) (string, error) {
	o, err := k.Directory.Cached(ctx, c.OrganizationUID)
	if err != nil {
		return "", err
	}
	o.Marks(&c.Event)
	return k.Store.Commit(ctx, c)
}

func (k *Keys) hash(t *Token) [32]byte {
	return k.Namer.APIKey(t.OrganizationUID, t.ID[:], t.Secret[:])
}

// recordOf is what a sealed secret is bound to.
func recordOf(id ID) string { return "api-key:" + id.String() }

var (
	roleNames   = map[Role]string{RoleAuditor: "AUDITOR"}
	detailNames = map[Detail]string{DetailFlows: "FLOWS", DetailSteps: "STEPS"}
)

// canonical is the request as it is compared with a repeated one.
func (in *NewKey) canonical() []byte {
	return fields(in.DisplayName, string(rune(in.Role)), string(rune(in.Detail)), in.Expires.UTC().Format(time.RFC3339Nano), strconv.FormatBool(in.Sandbox))
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

func deref(k *Key) Key {
	if k == nil {
		return Key{}
	}
	return *k
}

func moved() error {
	return errs.New(errs.Conflict, "API_KEY_MOVED", "the API key has changed meanwhile; read it again")
}
