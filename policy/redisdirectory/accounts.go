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
		out[i] = policy.AccountOwner{OrganizationUID: m.GetOrganizationUid(), Taken: timeOf(m.GetTaken()), Confirmed: m.GetConfirmed(), Version: v}
		return nil
	})
	return out, err
}

// TakeAccounts implements policy.AccountOwners.
func (d *Directory) TakeAccounts(ctx context.Context, swaps []policy.OwnerSwap) ([]policy.AccountOwner, bool, error) {
	stored, done, err := d.swapOwners(ctx, swaps, swapAll)
	if err != nil || !done {
		return nil, false, err
	}
	return stored, true, nil
}

// SwapAccounts implements policy.AccountOwners.
func (d *Directory) SwapAccounts(ctx context.Context, swaps []policy.OwnerSwap) error {
	_, _, err := d.swapOwners(ctx, swaps, swapEach)
	return err
}

func (d *Directory) swapOwners(ctx context.Context, swaps []policy.OwnerSwap, how string) ([]policy.AccountOwner, bool, error) {
	if len(swaps) == 0 {
		return nil, true, nil
	}
	if len(swaps) > MaxKeys {
		return nil, false, errs.Newf(errs.Internal, "COMMIT_TOO_LARGE", "at most %d accounts at once", MaxKeys)
	}
	var nonce [8]byte // of this call: what it writes is like nothing that was there before
	_, _ = rand.Read(nonce[:])
	names, records, stored := make([]string, len(swaps)), make([][2][]byte, len(swaps)), make([]policy.AccountOwner, len(swaps))
	for i, s := range swaps {
		names[i], records[i][0] = redisx.AccountOwnerKey(s.Key), []byte(s.Before.Version)
		if s.After.OrganizationUID == "" {
			continue
		}
		b, err := redisx.Marshal(&storev1.OwnerRecord{OrganizationUid: s.After.OrganizationUID, Taken: timestampOf(s.After.Taken), Confirmed: s.After.Confirmed, Nonce: nonce[:]})
		if err != nil {
			return nil, false, err
		}
		records[i][1], stored[i] = b, s.After
		stored[i].Version = string(b)
	}
	done, err := d.swapRecords(ctx, names, records, how, noExpiry)
	return stored, done, err
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
