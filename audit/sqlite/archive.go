package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

// Archive is the record in one SQLite file. Safe for concurrent use; several processes of one host may open the same file.
type Archive struct {
	write *sql.DB // one connection, which is writer's
	read  *sql.DB // a few connections that can only query
	now   func() time.Time
	known atomic.Pointer[catalogue] // as last read
	turn  chan struct{}             // held by whoever writes
	conn  *connection               // nil until the first write, and after one that broke it
}

var (
	_ audit.Archive      = (*Archive)(nil)
	_ audit.BatchArchive = (*Archive)(nil)
	_ audit.Reader       = (*Archive)(nil)
	_ audit.Recovery     = (*Archive)(nil)
	_ audit.Keeper       = (*Archive)(nil)
	_ audit.Shelves      = (*Archive)(nil)
	_ audit.Reclaimer    = (*Archive)(nil)
)

// Open opens the archive at path, creates the file (mode 0600) when there is none, and brings its schema up to date. A file
// that a newer binary has migrated is refused with ARCHIVE_NEWER. now tells readers which events are past their retention.
func Open(ctx context.Context, path string, now func() time.Time) (*Archive, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, wrap(err)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, reasonUnavailable, "the archive file cannot be opened")
	}
	if err := f.Close(); err != nil {
		return nil, wrap(err)
	}
	a := &Archive{now: now, turn: make(chan struct{}, 1)}
	if err := a.open(ctx, abs); err != nil {
		return nil, errors.Join(wrap(err), a.Close())
	}
	return a, nil
}

func (a *Archive) open(ctx context.Context, path string) (err error) {
	// A checkpoint every 32 MiB instead of 4 writes pages of the indexes once that many batches touch. What is deleted is
	// overwritten, so that a free page tells nothing.
	pragmas := []string{"journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)", "journal_size_limit(67108864)", "wal_autocheckpoint(8000)", "cache_size(-64000)"}
	if a.write, err = sql.Open("sqlite", dsn(path, pragmas...)+"&_txlock=immediate"); err != nil {
		return err
	}
	a.write.SetMaxOpenConns(1)
	a.write.SetMaxIdleConns(1)
	if err := migrate(ctx, a.write); err != nil {
		return err
	}
	if a.read, err = sql.Open("sqlite", dsn(path, "query_only(1)", "cache_size(-8000)")); err != nil {
		return err
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	a.read.SetMaxOpenConns(readers)
	a.read.SetMaxIdleConns(readers)
	return a.read.PingContext(ctx)
}

const busyTimeout = "5000" // milliseconds

// dsn names the file as a URI, so that no character of the path is taken for a parameter. busy_timeout comes first: the
// pragmas after it may have to wait for another process.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(" + busyTimeout + ")", "foreign_keys(1)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// Close ends the archive's use. Closing twice is harmless.
func (a *Archive) Close() error {
	var all []error
	if a.read != nil {
		all = append(all, a.read.Close())
	}
	if a.write != nil {
		a.turn <- struct{}{}
		all = append(all, a.drop(), a.write.Close())
		<-a.turn
	}
	return wrap(errors.Join(all...))
}

// Take raises the partition's epoch and returns it.
func (a *Archive) Take(ctx context.Context, partition int, holder string) (audit.Epoch, error) {
	var epoch audit.Epoch
	err := a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		return tx.QueryRowContext(ctx, `INSERT INTO partition_epoch (partition, epoch, holder) VALUES (?, 1, ?)
			ON CONFLICT (partition) DO UPDATE SET epoch = epoch + 1, holder = excluded.holder RETURNING epoch`,
			partition, holder).Scan(&epoch)
	})
	return epoch, err
}

// Installation returns what belongs together, nil on a new archive.
func (a *Archive) Installation(ctx context.Context) (*audit.Installation, error) {
	i, err := installation(ctx, a.read)
	return i, wrap(err)
}

// querier is a database or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func installation(ctx context.Context, q querier) (*audit.Installation, error) {
	var i audit.Installation
	var created int64
	err := q.QueryRowContext(ctx, `SELECT id, partitions, state_format, master_fingerprint, hash_fingerprint, created, region FROM installation`).
		Scan(&i.ID, &i.Partitions, &i.StateFormat, &i.MasterFingerprint, &i.HashFingerprint, &created, &i.Region)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract: nil on a new archive
	}
	if err != nil {
		return nil, err
	}
	i.Created = stored.Time(created)
	return &i, nil
}

// SetInstallation stores it once. Storing the same again is fine, another one is INSTALLATION_MISMATCH.
func (a *Archive) SetInstallation(ctx context.Context, i audit.Installation) error {
	return a.inWrite(ctx, func(ctx context.Context, tx *connection) error {
		have, err := installation(ctx, tx)
		if err != nil {
			return err
		}
		if have != nil {
			if !have.Becomes(i) {
				return errs.New(errs.FailedPrecondition, reasonInstallation, "the archive belongs to another installation")
			}
			_, err = tx.ExecContext(ctx, `UPDATE installation SET region = ? WHERE region <> ?`, i.Region, i.Region)
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO installation VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
			i.ID, i.Partitions, i.StateFormat, i.MasterFingerprint, i.HashFingerprint, stored.Nanos(i.Created), i.Region)
		return err
	})
}

// Empty reports whether no event was ever archived.
func (a *Archive) Empty(ctx context.Context) (bool, error) {
	var empty bool
	err := a.read.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM organization_sequence WHERE last_sequence > 0)`).Scan(&empty)
	return empty, wrap(err)
}

// inRead runs fn on one state of the file.
func (a *Archive) inRead(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := a.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return wrap(err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	return wrap(fn(tx))
}
