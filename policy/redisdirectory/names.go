package redisdirectory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed" // the script

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
)

//go:embed free.lua
var freeText string

var _ policy.Deletions = (*Directory)(nil)

// once is where the progress of a call is kept: with the organization that is meant. Another one that has its id later has its own.
func (d *Directory) once(organizationUID string, key policy.ApplyKey) string {
	return d.keys.Of(organizationUID).Once(sha256.Sum256(append(key.Key[:], organizationUID...)))
}

// maxReserves bounds how often an id that a deleted organization still has is taken from it.
const maxReserves = 4

// Reserve implements policy.DirectoryWriter. An id that leads to a deleted organization, whose deletion was cut off at its very end,
// is free.
func (d *Directory) Reserve(ctx context.Context, id, uid string) (string, error) {
	for range maxReserves {
		have, err := d.reserve(ctx, id, uid)
		if err != nil || have == uid {
			return have, err
		}
		o, err := d.read(ctx, have)
		switch {
		case errs.KindOf(err) == errs.NotFound && err != nil:
			return have, nil //nolint:nilerr // reserved and not made yet
		case err != nil:
			return "", err
		case !o.Gone():
			return have, nil
		}
		if err := d.free(ctx, id, have, nil); err != nil {
			return "", err
		}
	}
	return "", errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization is being deleted and made again; try again")
}

func (d *Directory) reserve(ctx context.Context, id, uid string) (string, error) {
	var have *redis.StringCmd
	// HSETNX and the rest are idempotent, and both keys have the same tag.
	_, err := d.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSetNX(ctx, redisx.OrganizationsKey, id, uid)
		p.ZAdd(ctx, redisx.OrganizationIndexKey, redis.Z{Member: id})
		have = p.HGet(ctx, redisx.OrganizationsKey, id)
		return nil
	})
	if err != nil {
		return "", redisx.Classify(err, true)
	}
	return have.Val(), nil
}

// Named implements policy.Deletions.
func (d *Directory) Named(ctx context.Context, id string) (*policy.Organization, error) {
	uid, err := d.reader.HGet(ctx, redisx.OrganizationsKey, id).Result()
	switch {
	case isNil(err):
		return nil, notFound()
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	return d.read(ctx, uid)
}

// Free implements policy.Deletions.
func (d *Directory) Free(ctx context.Context, id, uid string, key policy.ApplyKey) error {
	return d.free(ctx, id, uid, &key)
}

func (d *Directory) free(ctx context.Context, id, uid string, key *policy.ApplyKey) error {
	call := redisx.NewCall(8)
	call.Key(redisx.OrganizationsKey, redisx.OrganizationIndexKey)
	if key != nil {
		call.Key(redisx.FreedKey(key.Key))
		call.Arg(id, uid, key.Digest[:], progressFor.Milliseconds())
	} else {
		call.Arg(id, uid)
	}
	_, err := redisx.NewScript(freeText).Run(ctx, d.client, call)
	return err
}

// Freed implements policy.Deletions.
func (d *Directory) Freed(ctx context.Context, key policy.ApplyKey) (bool, error) {
	digest, err := d.reader.Get(ctx, redisx.FreedKey(key.Key)).Bytes()
	switch {
	case isNil(err):
		return false, nil
	case err != nil:
		return false, redisx.ReadFailed(err)
	case subtle.ConstantTimeCompare(digest, key.Digest[:]) != 1:
		return false, errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	return true, nil
}
