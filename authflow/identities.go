package authflow

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Identities are the use cases around linked identities. Safe for concurrent use.
type Identities struct {
	f     *Flows
	links LinkStore
}

// NewIdentities returns the use cases, or an error that names the missing part.
func NewIdentities(f *Flows, links LinkStore) (*Identities, error) {
	if f == nil || links == nil {
		return nil, errs.New(errs.Internal, "CONFIG_INCOMPLETE", "authflow.Identities: Flows or LinkStore is missing")
	}
	return &Identities{f: f, links: links}, nil
}

// String returns the identity in hex, as names and events show it.
func (k IdentityKey) String() string { return hex.EncodeToString(k[:]) }

// List returns up to limit identities of an organization, of one account only when it is named, behind the place after; and the
// place of the last, "" at the end.
func (i *Identities) List(ctx context.Context, _ Caller, organization, accountID, after string, limit int) (links []Link, next string, err error) {
	org, err := i.organization(ctx, organization)
	if err != nil {
		return nil, "", err
	}
	var account policy.AccountKey
	if accountID != "" {
		account = i.f.c.Namer.AccountKey(org.UID, accountID)
	}
	links, next, err = i.links.Links(ctx, org.UID, account, after, limit)
	for j := range links {
		links[j].Connection = connectionID(org, links[j].ConnectionUID)
	}
	return links, next, err
}

// connectionID is the id of a connection by uid, "" when the organization has it no more.
func connectionID(org *policy.Organization, uid string) string {
	for i := range org.Connections {
		if org.Connections[i].UID == uid {
			return org.Connections[i].ID
		}
	}
	return ""
}

// Unlink takes an identity from its account, with its event: its next use is a first use again. Sessions it has let in live on.
func (i *Identities) Unlink(ctx context.Context, who Caller, in UnlinkInput) error {
	if in.Reason == "" {
		return invalid("reason", ErrReasonRequired)
	}
	org, err := i.organization(ctx, in.Organization)
	if err != nil {
		return err
	}
	key := i.f.c.Namer.CommitKey(who.Principal, "UnlinkIdentity", org.UID, in.RequestID)
	digest := i.f.c.Namer.Digest(in.canonical())
	for range maxConflicts {
		reading, err := i.f.read(ctx, Read{OrganizationUID: org.UID, Key: key, Request: digest, Identity: in.Identity, Organization: true})
		switch {
		case err != nil:
			return err
		case reading.Outcome != nil:
			return nil
		case reading.Link == nil:
			return refuse(ErrIdentityNotFound)
		}
		l := reading.Link
		e := audit.Event{ID: i.f.c.NewID(), Type: audit.TypeAccountUnlinked, Time: i.f.c.Now(), Organization: org.ID, OrganizationUID: org.UID,
			Caller: who.Principal, Outcome: audit.OutcomeOf(audit.TypeAccountUnlinked), ConnectionUID: l.ConnectionUID,
			Connection: connectionID(org, l.ConnectionUID), Target: &audit.Target{Type: "identity", ID: in.Identity.String()},
			Personal: audit.Personal{AccountID: l.AccountID, Email: l.Email, Issuer: l.Issuer, SubjectID: l.SubjectID, Detail: in.Reason}}
		_, err = i.f.commit(ctx, &Commit{OrganizationUID: org.UID, Key: key, Request: digest, Outcome: &Outcome{}, OwnKey: true,
			Link:   &LinkWrite{Identity: in.Identity, From: l.Stored, Remove: true, Account: l.AccountKey},
			Events: []audit.Event{e}})
		var conflict *Conflict
		if !errors.As(err, &conflict) {
			return err
		}
	}
	return refuse(ErrConflict)
}

func (i *Identities) organization(ctx context.Context, id string) (*policy.Organization, error) {
	uid, err := i.f.c.Directory.Resolve(ctx, id)
	if err != nil {
		return nil, err
	}
	return i.f.c.Directory.Organization(ctx, uid)
}

func (in *UnlinkInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Identity.String())
	c.text(3, in.Reason)
	return c.b
}
