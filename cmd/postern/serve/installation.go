package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/redisx"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// checkInstallation compares what Redis, the archive and this process's keys say belongs together. At the very first start it
// is written, to the archive first. A Redis without it is taken for new only when the archive holds nothing either; the
// embedded store may have been killed before its first snapshot, and recovery says what that cost.
func (p *process) checkInstallation(ctx context.Context) error {
	archived, err := p.stores.archive.Installation(ctx)
	if err != nil {
		return unfit("archive", err)
	}
	live, err := ReadInstallation(ctx, p.stores.reader)
	if err != nil {
		return unfit("Redis", err)
	}
	switch {
	case archived == nil && live != nil:
		return &ConfigError{fmt.Errorf("archive %[2]s is new, and Redis belongs to installation %[1]s; restore the archive from its backup, or point archive.sqlite or archive.url at it",
			live.ID, p.c.ArchivePlace())}
	case archived == nil:
		if archived, err = p.firstStart(ctx); err != nil {
			return err
		}
	case live == nil:
		if err := p.redisWithout(ctx, archived); err != nil {
			return err
		}
	}
	if live == nil {
		if live, err = writeInstallation(ctx, p.stores.scripts, archived); err != nil {
			return unfit("Redis", err)
		}
	}
	if err := p.compare(archived, live); err != nil {
		return err
	}
	return p.region(ctx, archived)
}

// region refuses an archive of another region than the one that the settings name. One that has none is given it.
func (p *process) region(ctx context.Context, archived *audit.Installation) error {
	switch region := p.c.Archive.Region; {
	case archived.Region == region:
		return nil
	case archived.Region != "":
		return &ConfigError{fmt.Errorf("the archive keeps the record of region %s, and archive.region is %q: correct the setting, or point archive.sqlite or archive.url at the archive of that region",
			archived.Region, region)}
	default:
		bound := *archived
		bound.Region = region
		if err := p.stores.archive.SetInstallation(ctx, bound); err != nil {
			return unfit("archive", err)
		}
		p.log.InfoContext(ctx, "the archive keeps the record of a region from now on", "region", region)
		return nil
	}
}

// firstStart writes the archive's record, or reads that of a process that was faster.
func (p *process) firstStart(ctx context.Context) (*audit.Installation, error) {
	mine := audit.Installation{ID: newID(), Partitions: p.c.Partitions, StateFormat: redisx.StateFormat, Created: p.clock.Now(), Region: p.c.Archive.Region,
		MasterFingerprint: p.stores.keysets.MasterFingerprint(), HashFingerprint: p.stores.keysets.HashFingerprint()}
	errSet := p.stores.archive.SetInstallation(ctx, mine)
	if errSet == nil {
		p.log.InfoContext(ctx, "first start: a new installation", "installation", mine.ID, "partitions", mine.Partitions)
		return &mine, nil
	}
	archived, err := p.stores.archive.Installation(ctx)
	if err != nil || archived == nil {
		return nil, unfit("archive", errors.Join(errSet, err))
	}
	return archived, nil
}

// redisWithout judges a Redis that does not know the installation of the archive.
func (p *process) redisWithout(ctx context.Context, archived *audit.Installation) error {
	empty, err := p.stores.archive.Empty(ctx)
	if err != nil {
		return unfit("archive", err)
	}
	if empty || p.c.Embedded() {
		return nil
	}
	return &ConfigError{fmt.Errorf("the archive holds the record of installation %s, and Redis knows nothing of it: Redis lost its data, or "+
		"redis.addresses point at another one; restore Redis from its append-only file, or correct the setting", archived.ID)}
}

// compare refuses to run on things that do not belong together.
func (p *process) compare(archived, live *audit.Installation) error {
	var problems []string
	add := func(differ bool, format string, args ...any) {
		if differ {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	add(archived.ID != live.ID, "Redis belongs to installation %s and the archive to %s", live.ID, archived.ID)
	for _, side := range []struct {
		name string
		i    *audit.Installation
	}{{"the archive", archived}, {"Redis", live}} {
		add(side.i.Partitions != p.c.Partitions, "%s has %d partitions and the setting partitions is %d", side.name, side.i.Partitions, p.c.Partitions)
		add(side.i.StateFormat > redisx.StateFormat, "%s has records of format %d, which a newer version wrote; this one writes %d",
			side.name, side.i.StateFormat, redisx.StateFormat)
		add(side.i.MasterFingerprint != p.stores.keysets.MasterFingerprint(), "%s was sealed with master keyset %s and this process has %s",
			side.name, side.i.MasterFingerprint, p.stores.keysets.MasterFingerprint())
		add(side.i.HashFingerprint != p.stores.keysets.HashFingerprint(), "%s was named with hash keyset %s and this process has %s",
			side.name, side.i.HashFingerprint, p.stores.keysets.HashFingerprint())
	}
	if len(problems) == 0 {
		return nil
	}
	return &ConfigError{errors.New("these do not belong together: " + strings.Join(problems, "; "))}
}

// ReadInstallation returns what Redis says belongs together, nil when it says nothing.
func ReadInstallation(ctx context.Context, r redis.Cmdable) (*audit.Installation, error) {
	b, err := r.Get(ctx, redisx.InstallationKey).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil //nolint:nilnil // none is a valid answer
	}
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	var m storev1.InstallationRecord
	if err := redisx.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	return &audit.Installation{ID: m.GetId(), Partitions: int(m.GetPartitions()), StateFormat: int(m.GetStateFormat()),
		MasterFingerprint: m.GetMasterFingerprint(), HashFingerprint: m.GetHashFingerprint(), Created: m.GetCreated().AsTime()}, nil
}

// writeInstallation writes it once and returns what stands there.
func writeInstallation(ctx context.Context, w redis.Cmdable, i *audit.Installation) (*audit.Installation, error) {
	b, err := redisx.Marshal(&storev1.InstallationRecord{
		Id: i.ID, Partitions: int32(i.Partitions), StateFormat: int32(i.StateFormat), //nolint:gosec // small numbers
		MasterFingerprint: i.MasterFingerprint, HashFingerprint: i.HashFingerprint, Created: timestamppb.New(i.Created)})
	if err != nil {
		return nil, err
	}
	if err := w.SetNX(ctx, redisx.InstallationKey, b, 0).Err(); err != nil {
		return nil, redisx.Classify(err, true)
	}
	return ReadInstallation(ctx, w)
}
