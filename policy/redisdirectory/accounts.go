package redisdirectory

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

//go:embed swap.lua
var swapText string

var _ policy.AccountOwners = (*Directory)(nil)

// AccountOwners implements policy.AccountOwners.
func (d *Directory) AccountOwners(ctx context.Context, keys []policy.AccountKey) ([]policy.AccountOwner, error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = redisx.AccountOwnerKey(k)
	}
	out := make([]policy.AccountOwner, len(keys))
	err := d.each(ctx, names, func(i int, v string) error {
		var m storev1.OwnerRecord
		if err := redisx.Unmarshal([]byte(v), &m); err != nil {
			return err
		}
		out[i] = policy.AccountOwner{OrganizationUID: m.GetOrganizationUid(), Taken: timeOf(m.GetTaken()), Version: v}
		return nil
	})
	return out, err
}

// TakeAccounts implements policy.AccountOwners.
func (d *Directory) TakeAccounts(ctx context.Context, organizationUID string, at time.Time, accounts []policy.NamedOwner) (bool, error) {
	m := &storev1.OwnerRecord{OrganizationUid: organizationUID, Taken: timestampOf(at), Nonce: make([]byte, 8)} // of this call alone
	_, _ = rand.Read(m.Nonce)                                                                                   // never fails
	b, err := redisx.Marshal(m)
	if err != nil {
		return false, err
	}
	return d.swapOwners(ctx, accounts, b, swapAll)
}

// FreeAccounts implements policy.AccountOwners.
func (d *Directory) FreeAccounts(ctx context.Context, accounts []policy.NamedOwner) error {
	_, err := d.swapOwners(ctx, accounts, nil, swapEach)
	return err
}

func (d *Directory) swapOwners(ctx context.Context, accounts []policy.NamedOwner, after []byte, how string) (bool, error) {
	if len(accounts) == 0 {
		return true, nil
	}
	if len(accounts) > MaxKeys {
		return false, errs.Newf(errs.Internal, "COMMIT_TOO_LARGE", "at most %d accounts at once", MaxKeys)
	}
	names, records := make([]string, len(accounts)), make([][2][]byte, len(accounts))
	for i, a := range accounts {
		names[i], records[i] = redisx.AccountOwnerKey(a.Key), [2][]byte{[]byte(a.Owner.Version), after}
	}
	return d.swapRecords(ctx, names, records, how, noExpiry)
}

// How records are swapped.
const (
	swapAll  = "ALL"
	swapEach = "EACH"
)

// swapRecords puts records in the place of others, each given as it was read and as it will be. It reports false when it did nothing.
func (d *Directory) swapRecords(ctx context.Context, names []string, records [][2][]byte, how string, keep time.Duration) (bool, error) {
	call := redisx.NewCall(2 + 3*len(names))
	call.Key(names...)
	expiry := ""
	if keep > 0 {
		expiry = millisOf(keep)
	}
	call.Text(how, expiry)
	for i := range records {
		call.Bytes(records[i][0], records[i][1])
	}
	reply, err := d.swap.Run(ctx, d.client, call)
	return reply == "OK", err
}
