package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
	"github.com/postern-audit/postern/internal/errs"
)

// Bounds of the pool and of transactions.
const (
	DefaultConnections = 10
	minConnections     = 2 // one that writes must not keep everybody from reading

	connectWithin = 5 * time.Second
	writeWithin   = time.Minute // a transaction that changes something, from its first to its last word
	statements    = 256         // prepared on a connection at most; each shelf has some of its own
)

// Every transaction begins by saying what it is, so that it needs no settings on the connection, which a pooler in between may
// share out. What writes waits for nobody for long, and is ended by the server when its process stops in the middle of it.
const (
	beginWrite = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '50s'; SET LOCAL lock_timeout = '15s'; ` +
		`SET LOCAL idle_in_transaction_session_timeout = '20s'`
	// A page is a walk along one index: the one that meets the fewest rows, wherever on the disk they lie. Without the other
	// ways, the plan does not depend on what the server thinks it knows of a table that was made a moment ago.
	beginRead = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '15s'; ` +
		`SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; ` +
		`SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; ` +
		`SET LOCAL random_page_cost = 0; SET LOCAL seq_page_cost = 0; ` +
		`SET LOCAL max_parallel_workers_per_gather = 0`
)

// Options are how an archive is reached. URL and Now are needed.
type Options struct {
	// URL is a PostgreSQL connection URL or a list of key=value, as libpq reads them: several hosts, sslmode, and so on.
	URL string
	// Password replaces the one in URL, when it is not empty.
	Password string
	// Connections is the size of the pool; 0 means DefaultConnections.
	Connections int
	// Now is the clock that retention goes by.
	Now func() time.Time
}

// Archive is the record in one PostgreSQL database. Safe for concurrent use, also by several processes.
type Archive struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

var (
	_ audit.Archive      = (*Archive)(nil)
	_ audit.BatchArchive = (*Archive)(nil)
	_ audit.Reader       = (*Archive)(nil)
	_ audit.Recovery     = (*Archive)(nil)
	_ audit.Keeper       = (*Archive)(nil)
	_ audit.Shelves      = (*Archive)(nil)
)

// ErrOptions is in the chain of what Open returns when the options themselves cannot be right.
var ErrOptions = errors.New("postgres: the connection URL cannot be read")

// Open connects and brings the database's schema up to date. A database that a newer binary has migrated is refused with
// ARCHIVE_NEWER. A role that may only read opens one that is up to date.
func Open(ctx context.Context, o Options) (*Archive, error) {
	a, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, a.pool); err != nil {
		return nil, errors.Join(wrapIn(ctx, err), a.Close())
	}
	return a, nil
}

// connect makes the pool and sees whether anybody answers.
func connect(ctx context.Context, o Options) (*Archive, error) {
	c, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, wrapIn(ctx, err)
	}
	a := &Archive{pool: pool, now: o.Now}
	if err := pool.Ping(ctx); err != nil {
		return nil, errors.Join(wrapIn(ctx, err), a.Close())
	}
	return a, nil
}

func poolConfig(o Options) (*pgxpool.Config, error) {
	c, err := pgxpool.ParseConfig(o.URL)
	if err != nil || o.Now == nil || o.URL == "" {
		// The driver's text may repeat the URL, and with it a password.
		return nil, errs.Wrap(ErrOptions, errs.Invalid, reasonURL, "the archive's connection URL cannot be read")
	}
	if o.Password != "" {
		c.ConnConfig.Password = o.Password
	}
	c.MaxConns = int32(max(minConnections, o.Connections)) //nolint:gosec // configuration bounds it
	if o.Connections == 0 {
		c.MaxConns = DefaultConnections
	}
	c.MinConns, c.MaxConnIdleTime, c.MaxConnLifetime = 1, 5*time.Minute, time.Hour
	cc := c.ConnConfig
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectWithin
	}
	cc.StatementCacheCapacity = statements
	if cc.ValidateConnect == nil { // after a fail-over the old primary may answer as a standby: try the other hosts
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "postern"
	}
	cc.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler { // a call given up ends at the server as well
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	return c, nil
}

// Close ends the archive's use. Closing twice is harmless.
func (a *Archive) Close() error {
	a.pool.Close()
	return nil
}

// Take raises the partition's epoch and returns it.
func (a *Archive) Take(ctx context.Context, partition int, holder string) (audit.Epoch, error) {
	var epoch audit.Epoch
	err := a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, `INSERT INTO partition_epoch (partition, epoch, holder) VALUES ($1, 1, $2)
			ON CONFLICT (partition) DO UPDATE SET epoch = partition_epoch.epoch + 1, holder = excluded.holder RETURNING epoch`,
			partition, key(holder)).Scan(&epoch)
	})
	return epoch, err
}

// Installation returns what belongs together, nil on a new archive.
func (a *Archive) Installation(ctx context.Context) (*audit.Installation, error) {
	i, err := installation(ctx, a.pool)
	return i, wrapIn(ctx, err)
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func installation(ctx context.Context, q querier) (*audit.Installation, error) {
	var i audit.Installation
	var created int64
	err := q.QueryRow(ctx, `SELECT id, partitions, state_format, master_fingerprint, hash_fingerprint, created, region FROM installation`).
		Scan(&i.ID, &i.Partitions, &i.StateFormat, &i.MasterFingerprint, &i.HashFingerprint, &created, &i.Region)
	if errors.Is(err, pgx.ErrNoRows) {
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
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO installation VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
			i.ID, i.Partitions, i.StateFormat, i.MasterFingerprint, i.HashFingerprint, stored.Nanos(i.Created), i.Region); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE installation SET region = $1 WHERE region = '' AND id = $2`, i.Region, i.ID); err != nil {
			return err
		}
		have, err := installation(ctx, tx)
		if err != nil {
			return err
		}
		if have.Region != i.Region || !have.Becomes(i) {
			return errs.New(errs.FailedPrecondition, reasonInstallation, "the archive belongs to another installation")
		}
		return nil
	})
}

// Empty reports whether no event was ever archived.
func (a *Archive) Empty(ctx context.Context) (bool, error) {
	var empty bool
	err := a.pool.QueryRow(ctx, `SELECT NOT EXISTS (SELECT 1 FROM organization WHERE last_sequence > 0)`).Scan(&empty)
	return empty, wrapIn(ctx, err)
}

// inWrite runs fn in one transaction. Waiting for a connection ends with ctx; the transaction itself has its own bound: it is
// short, and a commit cut off half-way would leave the caller guessing. A transaction that lost a race is done over.
func (a *Archive) inWrite(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	const attempts = 5
	for n := 1; ; n++ {
		err := a.write(ctx, fn)
		if err == nil || n == attempts || ctx.Err() != nil || !lostRace(err) {
			return wrap(err)
		}
	}
}

func (a *Archive) write(ctx context.Context, fn func(context.Context, pgx.Tx) error) error {
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return wrapIn(ctx, err)
	}
	defer conn.Release() // ends the connection when a transaction is still open on it
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWithin)
	defer cancel()
	tx, err := conn.BeginTx(whole, pgx.TxOptions{BeginQuery: beginWrite})
	if err != nil {
		return err
	}
	if err := fn(whole, tx); err != nil {
		return errors.Join(err, rollback(whole, tx))
	}
	return tx.Commit(whole)
}

// rollback ends a transaction. When it fails the connection is gone, and with it all the transaction did.
func rollback(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) && !tx.Conn().IsClosed() {
		return err
	}
	return nil
}

// inRead runs fn on one state of the database. A shelf that is dropped between finding it and reading it is no error: fn runs
// again, on a state without it.
func (a *Archive) inRead(ctx context.Context, fn func(pgx.Tx) error) error {
	const attempts = 5
	for n := 1; ; n++ {
		err := a.read(ctx, fn)
		if n == attempts || stateOf(err) != stateNoTable {
			return wrapIn(ctx, err)
		}
	}
}

func (a *Archive) read(ctx context.Context, fn func(pgx.Tx) error) error {
	tx, err := a.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginRead})
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // it only read
	return fn(tx)
}
