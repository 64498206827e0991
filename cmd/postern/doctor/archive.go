package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/redisx"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// archive looks at the archive, as it is: its schema is not touched.
func (e *Examination) archive(ctx context.Context) side {
	ctx, cancel := context.WithTimeout(ctx, timeFor)
	defer cancel()
	if e.Config.Archive.URL == "" {
		return e.sqlite(ctx)
	}
	return e.postgres(ctx)
}

func (e *Examination) sqlite(ctx context.Context) side {
	path := e.Config.ArchivePath()
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		e.bad(Warn, "archive", path+" does not exist", "the first start makes it; on a later one the record is gone", "start postern, or restore the file from its backup")
		e.skip("archive.schema", "there is no archive")
		return side{}
	}
	if err != nil {
		e.bad(Fail, "archive", plain(err), "the record is kept there", "let the process's user read and write "+path)
		e.skip("archive.schema", "the archive is not reached")
		return side{}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		e.bad(Warn, "archive.mode", fmt.Sprintf("%s has mode %04o", path, mode), "others on this machine can copy the record, sealed as it is", "chmod 0600 "+path+"*")
	}
	look, err := sqlite.Inspect(ctx, path)
	if err != nil {
		e.bad(Fail, "archive", plain(err), "nothing can be archived; events wait in Redis", "postern archive verify, and restore the file from its backup")
		e.skip("archive.schema", "the archive is not reached")
		return side{}
	}
	e.ok("archive", path)
	e.schema(look.Schema, look.Wanted)
	return side{true, look.Installation}
}

func (e *Examination) postgres(ctx context.Context) side {
	o, err := serve.PostgresOptions(e.Config.Archive, e.Now)
	var p *postgres.Archive
	if err == nil {
		p, err = postgres.Connect(ctx, o)
	}
	var have, want int64
	began := e.Now()
	if err == nil {
		defer p.Close() //nolint:errcheck // it was only read
		have, want, err = p.SchemaVersions(ctx)
	}
	if err != nil {
		e.bad(Fail, "archive", e.Config.ArchivePlace()+": "+plain(err), "nothing can be archived; events wait in Redis", "start PostgreSQL, or correct archive.url and archive.password_file")
		e.skip("archive.schema", "the archive is not reached")
		e.skip("archive.settings", "the archive is not reached")
		return side{}
	}
	e.ok("archive", fmt.Sprintf("%s, asked in %s", e.Config.ArchivePlace(), e.Now().Sub(began).Round(time.Millisecond)))
	problems, err := p.Check(ctx)
	for _, problem := range problems {
		e.bad(Fail, "archive.settings", problem.Detail, "what was archived must be on disk before Redis lets it go", "set it right in postgresql.conf, for this role and this database")
	}
	switch {
	case err != nil:
		e.bad(Fail, "archive.settings", plain(err), "whether it keeps what it takes is not known", "look at the server's log")
	case len(problems) == 0:
		e.ok("archive.settings", "fsync, full_page_writes and synchronous_commit are on, 15 or newer, UTF8")
	}
	if e.schema(have, want); have != want {
		return side{} // an older one may lack the tables, a newer one is not known
	}
	i, err := p.Installation(ctx)
	if err != nil {
		e.bad(Fail, "archive.installation", plain(err), "it says which keys and which Redis belong to this archive", "look at the server's log")
		return side{}
	}
	return side{true, i}
}

func (e *Examination) schema(have, want int64) {
	found := fmt.Sprintf("version %d, this binary brings %d", have, want)
	switch {
	case have > want:
		e.bad(Fail, "archive.schema", found, "this binary is older than the archive and does not start on it", "use the newer binary")
	case have < want:
		e.bad(Warn, "archive.schema", found, "the next start brings it up to date, which takes a while on a large one", "postern archive migrate")
	default:
		e.ok("archive.schema", found)
	}
}

// together compares what Redis and the archive say of themselves.
func (e *Examination) together(redis, archive side) {
	const check, why = "installation", "a process refuses to start on things that do not belong together"
	if !redis.reached || !archive.reached {
		e.skip(check, "needs Redis and the archive")
		return
	}
	a, r := archive.installation, redis.installation
	switch {
	case a == nil && r == nil:
		e.ok(check, "a new one: the first start makes it")
	case a == nil:
		e.bad(Fail, check, "the archive is new, and Redis belongs to installation "+r.ID, why, "restore the archive, or point archive.sqlite or archive.url at it")
	case r == nil:
		e.bad(Fail, check, "Redis is new, and the archive belongs to installation "+a.ID, why, "restore Redis from its append-only file, or correct redis.addresses")
	case a.ID != r.ID:
		e.bad(Fail, check, "Redis belongs to "+r.ID+" and the archive to "+a.ID, why, "correct redis.addresses or the archive's address")
	case a.Partitions != e.Config.Partitions || r.Partitions != e.Config.Partitions:
		e.bad(Fail, check, fmt.Sprintf("it has %d partitions and the setting says %d", a.Partitions, e.Config.Partitions), why, fmt.Sprintf("set partitions to %d", a.Partitions))
	case max(a.StateFormat, r.StateFormat) > redisx.StateFormat:
		e.bad(Fail, check, fmt.Sprintf("it has records of format %d and this binary knows %d", max(a.StateFormat, r.StateFormat), redisx.StateFormat), why, "use the newer binary")
	default:
		e.fingerprints(a, r)
	}
}

// fingerprints compares the keysets with those the installation was made with.
func (e *Examination) fingerprints(sides ...*audit.Installation) {
	const check = "installation"
	for _, f := range e.findings {
		if f.Check == "keys" && f.Level == OK {
			for _, s := range sides {
				if want := "master " + s.MasterFingerprint + ", hash " + s.HashFingerprint; f.Found != want {
					e.bad(Fail, check, "it was made with keysets "+want, "with other keys nothing that is there can be opened or found", "put the right keysets in place")
					return
				}
			}
			e.ok(check, sides[0].ID)
			return
		}
	}
	e.bad(Fail, check, sides[0].ID+" exists, and its keysets were not read", "without them nothing that is there can be opened or found", "see keys")
}

// sidecar looks at the socket, and asks who listens there.
func (e *Examination) sidecar(ctx context.Context) {
	const check = "sidecar"
	path := e.Config.SocketPath()
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.ok(check, "none runs at "+path)
		return
	case err != nil:
		e.bad(Fail, check, plain(err), "the login service reaches it there", "let the process's user enter the directory of "+path)
		return
	case info.Mode()&fs.ModeSocket == 0:
		e.bad(Fail, check, path+" is no socket", "the start refuses to replace it", "remove it, or set listen.socket")
		return
	case info.Mode().Perm()&0o077 != 0:
		e.bad(Warn, "sidecar.socket", fmt.Sprintf("%s has mode %04o", path, info.Mode().Perm()), "others can connect; they are refused by their user id, and that is all that stops them", "chmod 0600 "+path)
	}
	c, err := client.Dial("unix:" + path)
	if err != nil {
		e.bad(Fail, check, err.Error(), "the login service reaches it there", "set listen.socket")
		return
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	answer, err := c.Health.Check(ctx, &healthpb.HealthCheckRequest{})
	switch {
	case err != nil:
		e.bad(Warn, check, "nobody answers at "+path, "a socket that a killed process left is taken over by the next start", "start postern")
	case answer.GetStatus() != healthpb.HealthCheckResponse_SERVING:
		e.bad(Fail, check, "it runs and takes no calls", "nobody can sign in through it", "its log and /readyz say why")
	default:
		e.ok(check, "serves at "+path)
	}
}
