package authflow

import (
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// ProviderKeys is what the provider of a connection signs with.
type ProviderKeys struct {
	OrganizationUID string
	ConnectionUID   string
	Fingerprint     string // the same for the same keys in any order
	Expiring        []ExpiringCertificate
}

// ExpiringCertificate is a certificate of a provider that ends soon, or has.
type ExpiringCertificate struct {
	Fingerprint string
	Subject     string
	NotAfter    time.Time
}

// Claims of what was recorded once.
const (
	claimKeys   = "keys"
	keysKnown   = MaxProofAge // for how long a set of keys that was seen is no news
	targetOfKey = "connection"
)

// RecordKeys records, once for all processes, that a provider signs with keys it was not seen to sign with before, and that one
// of its certificates ends soon. What was recorded already is silent.
func (f *Flows) RecordKeys(ctx context.Context, k ProviderKeys) error {
	org, err := f.c.Directory.Cached(ctx, k.OrganizationUID)
	if err != nil {
		return err
	}
	if err := f.once(ctx, org, &k, k.Fingerprint, audit.TypeConnectionKeysChanged, audit.Change{Field: "keys", After: k.Fingerprint}); err != nil {
		return err
	}
	for _, c := range k.Expiring {
		err := f.once(ctx, org, &k, "expiring/"+c.Fingerprint, audit.TypeConnectionCertificateExpiring,
			audit.Change{Field: "certificate", After: c.Fingerprint}, audit.Change{Field: "not_after", After: c.NotAfter.UTC().Format(time.RFC3339)})
		if err != nil {
			return err
		}
	}
	return nil
}

// once writes an event unless it was written before.
func (f *Flows) once(ctx context.Context, org *policy.Organization, k *ProviderKeys, name string, t audit.Type, changes ...audit.Change) error {
	id := connectionID(org, k.ConnectionUID)
	if id == "" {
		return nil // it was removed meanwhile
	}
	e := audit.Event{ID: f.c.NewID(), Type: t, Time: f.c.Now(), Organization: org.ID, OrganizationUID: org.UID, Outcome: audit.OutcomeOf(t),
		Connection: id, ConnectionUID: k.ConnectionUID, Target: &audit.Target{Type: targetOfKey, ID: id, UID: k.ConnectionUID}, Changes: changes}
	_, err := f.commit(ctx, &Commit{OrganizationUID: org.UID, Events: []audit.Event{e}, OwnKey: true, Outcome: &Outcome{},
		Key:    f.c.Namer.CommitKey("", "RecordKeys", org.UID, e.ID), // so that a script that runs twice writes once
		Claims: []Claim{{Kind: claimKeys, Name: k.ConnectionUID + "/" + name, Value: e.ID, Until: e.Time.Add(keysKnown)}}})
	var known *Conflict
	if errors.As(err, &known) && known.Claimed != nil {
		return nil
	}
	return err
}
