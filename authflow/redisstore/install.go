package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// Belongings is what the archive says and takes about what belongs together. audit.Archive is one.
type Belongings interface {
	Installation(ctx context.Context) (*audit.Installation, error)
	SetInstallation(ctx context.Context, i audit.Installation) error
	Empty(ctx context.Context) (bool, error)
}

// InstallConfig is what the first start needs, and every later one compares. Every field is needed.
type InstallConfig struct {
	Client            redis.UniversalClient
	Archive           Belongings
	Partitions        int
	MasterFingerprint string
	HashFingerprint   string
	NewID             func() string // UUIDv7
	Now               func() time.Time
}

// Install makes sure that Redis, archive and keysets belong together, before anything is written. On the first start it
// writes the installation to the archive and then to Redis, so that a start that was cut off is completed by the next one;
// a Redis without an installation is taken only while the archive holds no event. Any difference is refused by name.
func Install(ctx context.Context, c InstallConfig) (audit.Installation, error) {
	want := audit.Installation{
		Partitions: c.Partitions, StateFormat: redisx.StateFormat,
		MasterFingerprint: c.MasterFingerprint, HashFingerprint: c.HashFingerprint,
	}
	archived, err := c.Archive.Installation(ctx)
	if err != nil {
		return want, err
	}
	stored, err := storedInstallation(ctx, c.Client)
	if err != nil {
		return want, err
	}
	switch {
	case archived == nil && stored != nil:
		return want, errs.New(errs.FailedPrecondition, "ARCHIVE_FOREIGN",
			"Redis belongs to an installation that this archive knows nothing of: restore the archive, or point at the right one")
	case archived == nil:
		want.ID, want.Created = c.NewID(), c.Now().UTC().Truncate(time.Millisecond)
		if err := c.Archive.SetInstallation(ctx, want); err != nil {
			return want, err
		}
		archived = &want
	}
	if err := differs("the archive", *archived, want); err != nil {
		return want, err
	}
	if stored == nil {
		if stored, err = firstStart(ctx, c, *archived); err != nil {
			return want, err
		}
	}
	if stored.ID != archived.ID {
		return want, errs.New(errs.FailedPrecondition, "INSTALLATION_DIFFERS",
			"Redis belongs to installation "+stored.ID+", the archive to "+archived.ID+": point at the pair that belongs together")
	}
	return *stored, differs("Redis", *stored, want)
}

// firstStart completes a first start: only an archive without events may go with a Redis that knows nothing.
func firstStart(ctx context.Context, c InstallConfig, i audit.Installation) (*audit.Installation, error) {
	empty, err := c.Archive.Empty(ctx)
	if err != nil {
		return nil, err
	}
	if !empty {
		return nil, errs.New(errs.FailedPrecondition, "REDIS_LOST",
			"the archive of installation "+i.ID+" holds events, but this Redis is empty: restore Redis, or point at the right one")
	}
	b, err := redisx.Marshal(&storev1.InstallationRecord{
		Id: i.ID, Partitions: int32(i.Partitions), StateFormat: int32(i.StateFormat), MasterFingerprint: i.MasterFingerprint, //nolint:gosec // at most 100
		HashFingerprint: i.HashFingerprint, Created: toTimestamp(i.Created),
	})
	if err != nil {
		return nil, err
	}
	if err := c.Client.SetNX(ctx, redisx.InstallationKey, b, 0).Err(); err != nil {
		return nil, redisx.Classify(err, true)
	}
	stored, err := storedInstallation(ctx, c.Client) // another process may have been first
	if err == nil && stored == nil {
		err = errs.New(errs.Unavailable, redisx.NotRecorded, "Redis did not keep the installation")
	}
	return stored, err
}

func storedInstallation(ctx context.Context, client redis.UniversalClient) (*audit.Installation, error) {
	b, err := client.Get(ctx, redisx.InstallationKey).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil //nolint:nilnil // a Redis that was never started on
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	var m storev1.InstallationRecord
	if err := redisx.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	return &audit.Installation{
		ID: m.GetId(), Partitions: int(m.GetPartitions()), StateFormat: int(m.GetStateFormat()),
		MasterFingerprint: m.GetMasterFingerprint(), HashFingerprint: m.GetHashFingerprint(), Created: fromTimestamp(m.GetCreated()),
	}, nil
}

// differs names everything in which have, recorded in place, is not what this process is set up for. An older state format is
// no difference: records are read, and written in this process's format.
func differs(place string, have, want audit.Installation) error {
	var all []string
	add := func(what string, h, w any) { all = append(all, fmt.Sprintf("%s is %v there and %v here", what, h, w)) }
	if have.Partitions != want.Partitions {
		add("the number of partitions", have.Partitions, want.Partitions)
	}
	if have.StateFormat > want.StateFormat {
		add("the state format", have.StateFormat, want.StateFormat)
	}
	if have.MasterFingerprint != want.MasterFingerprint {
		add("the master keyset", have.MasterFingerprint, want.MasterFingerprint)
	}
	if have.HashFingerprint != want.HashFingerprint {
		add("the hash keyset", have.HashFingerprint, want.HashFingerprint)
	}
	if len(all) == 0 {
		return nil
	}
	return errs.New(errs.FailedPrecondition, "INSTALLATION_DIFFERS",
		place+" belongs to another set-up: "+strings.Join(all, "; "))
}

// SystemDirectory is what the system organization is kept in. redisdirectory.Directory is one.
type SystemDirectory interface {
	Organization(ctx context.Context, uid string) (*policy.Organization, error)
	Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error)
	Reserve(ctx context.Context, id, uid string) (string, error)
}

// InstallSystem makes sure that the reserved organization exists, with its key. Call it after Install, at every start.
func InstallSystem(ctx context.Context, d SystemDirectory, keys audit.Keys) (*policy.Organization, error) {
	for range 2 { // the second time finds what another process created meanwhile
		o, err := d.Organization(ctx, audit.SystemUID)
		if err == nil || errs.KindOf(err) != errs.NotFound {
			return o, err
		}
		uid, err := d.Reserve(ctx, audit.SystemID, audit.SystemUID)
		if err != nil {
			return nil, err
		}
		if uid != audit.SystemUID {
			return nil, errs.New(errs.FailedPrecondition, "ORGANIZATION_RESERVED", "another organization has the id "+audit.SystemID)
		}
		key, err := keys.Mint(audit.SystemUID)
		if err != nil {
			return nil, err
		}
		fresh := &policy.Organization{ID: audit.SystemID, UID: audit.SystemUID, DisplayName: "What belongs to no organization", Key: key}
		if _, _, err := d.Commit(ctx, policy.Change{Organization: fresh, WritePolicy: true}); err != nil && errs.KindOf(err) != errs.Conflict {
			return nil, err
		}
	}
	return d.Organization(ctx, audit.SystemUID)
}
