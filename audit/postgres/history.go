package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.HistoryReader = (*Archive)(nil)

// historyRow is what an event brings of the directory.
type historyRow struct {
	organization int32
	event        audit.Event
	body         []byte
}

const (
	insertCommit  = `INSERT INTO history_commit (organization, sequence, revision, recorded, back_to) VALUES ($1, $2, $3, $4, nullif($5::bigint, 0))`
	insertVersion = `INSERT INTO history_organization (organization, sequence, revision, recorded, policy, personal_salt, personal_sealed, personal_digest,
		body, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
)

// queueHistory writes what new events bring of directories.
func (w *writer) queueHistory(b *pgx.Batch) {
	for i := range w.history {
		h := &w.history[i]
		e, d := &h.event, h.event.Directory
		b.Queue(insertCommit, h.organization, e.Sequence, e.Revision, stored.Nanos(e.RecordedTime), d.BackTo)
		if d.Organization != nil {
			var salt, data, digest []byte
			if s := e.Sealed; s != nil {
				salt, data, digest = s.Salt, s.Data, s.Digest
			}
			b.Queue(insertVersion, h.organization, e.Sequence, e.Revision, stored.Nanos(e.RecordedTime), audit.ChangesPolicy(e.Type), salt, data, digest, h.body, d.Organization)
		}
		queueItems(b, h.organization, e.Sequence, d.Items)
	}
}

// queueItems writes items in one statement. Of two with one key the later counts.
func queueItems(b *pgx.Batch, organization int32, sequence int64, items []audit.DirectoryItem) {
	if len(items) == 0 {
		return
	}
	at := make(map[audit.DirectoryKey]int, len(items))
	var keys, records [][]byte
	for _, item := range items {
		if i, again := at[item.Key]; again {
			records[i] = item.Record
			continue
		}
		at[item.Key] = len(keys)
		keys, records = append(keys, stored.Key(item.Key)), append(records, item.Record)
	}
	b.Queue(`INSERT INTO history_item (organization, key, sequence, record) SELECT $1, key, $2, record FROM unnest($3::bytea[], $4::bytea[]) AS r (key, record)`,
		organization, sequence, keys, records)
}

// The texts behind the reads, so that a test can look at their plans. $1 is the organization's number.
const (
	commitAt = `SELECT h.sequence, h.revision, h.recorded FROM history_commit h WHERE h.organization = $1 AND h.recorded <= $2
		ORDER BY h.recorded DESC, h.sequence DESC LIMIT 1`
	organizationAt = `SELECT ` + versionColumns + `, h.record FROM history_organization h
		WHERE h.organization = $1 AND h.sequence > $2 AND h.sequence <= $3 ORDER BY h.sequence DESC LIMIT 1`
	itemAt = `SELECT h.record FROM history_item h WHERE h.organization = $1 AND h.key = $2 AND h.sequence > $3 AND h.sequence <= $4
		ORDER BY h.sequence DESC LIMIT 1`
	setBackAt = `SELECT h.sequence, h.back_to FROM history_commit h WHERE h.organization = $1 AND h.back_to IS NOT NULL AND h.sequence <= $2
		ORDER BY h.sequence DESC LIMIT 1`
	commitBefore = `SELECT h.sequence FROM history_commit h WHERE h.organization = $1 AND h.revision <= $2 AND h.sequence < $3
		ORDER BY h.revision DESC, h.sequence DESC LIMIT 1`
	versionColumns = `h.sequence, h.revision, h.recorded, h.personal_salt, h.personal_sealed, h.personal_digest, h.body`
)

// versionsText is the text of a list of versions.
func versionsText(q *audit.VersionQuery) string {
	only, record := "", "NULL::bytea"
	if q.PolicyOnly {
		only = " AND h.policy"
	}
	if q.WithRecords {
		record = "h.record"
	}
	return `SELECT ` + versionColumns + `, ` + record + ` FROM history_organization h WHERE h.organization = $1 AND h.revision < $2` + only + `
		ORDER BY h.revision DESC, h.sequence DESC LIMIT $3`
}

// ofNumber runs fn with the number of an organization, unless it has no record.
func (a *Archive) ofNumber(ctx context.Context, uid string, fn func(tx pgx.Tx, number int32) error) error {
	return a.inRead(ctx, func(tx pgx.Tx) error {
		var number int32
		err := tx.QueryRow(ctx, `SELECT organization FROM organization WHERE uid = $1`, key(uid)).Scan(&number)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(tx, number)
	})
}

// CommitAt returns the newest directory commit recorded at or before a moment.
func (a *Archive) CommitAt(ctx context.Context, organizationUID string, at time.Time) (audit.DirectoryCommit, error) {
	var c audit.DirectoryCommit
	found := false
	err := a.ofNumber(ctx, organizationUID, func(tx pgx.Tx, number int32) error {
		var recorded int64
		err := tx.QueryRow(ctx, commitAt, number, stored.Nanos(at)).Scan(&c.Sequence, &c.Revision, &recorded)
		c.RecordedTime, found = stored.Time(recorded), err == nil
		return ignoreNone(err)
	})
	return c, unknownUnless(found, err)
}

func ignoreNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// unknownUnless is HISTORY_UNKNOWN where nothing was found.
func unknownUnless(found bool, err error) error {
	if err == nil && !found {
		return audit.ErrHistoryUnknown()
	}
	return err
}

// runs are the runs of commits that made a directory what it was after one of them.
func runs(ctx context.Context, tx pgx.Tx, number int32, upTo int64) ([]stored.Run, error) {
	return stored.Runs(upTo, func(upTo int64) (sequence, backTo int64, found bool, err error) {
		err = tx.QueryRow(ctx, setBackAt, number, upTo).Scan(&sequence, &backTo)
		return sequence, backTo, err == nil, ignoreNone(err)
	}, func(revision, sequence int64) (upTo int64, found bool, err error) {
		err = tx.QueryRow(ctx, commitBefore, number, revision, sequence).Scan(&upTo)
		return upTo, err == nil, ignoreNone(err)
	})
}

// OrganizationAt returns the record as it was after a commit.
func (a *Archive) OrganizationAt(ctx context.Context, organizationUID string, c audit.DirectoryCommit) (v audit.OrganizationVersion, err error) {
	found := false
	err = a.ofNumber(ctx, organizationUID, func(tx pgx.Tx, number int32) error {
		found = false
		all, err := runs(ctx, tx, number, c.Sequence)
		for i := 0; i < len(all) && !found && err == nil; i++ {
			v, err = stored.Version(organizationUID, tx.QueryRow(ctx, organizationAt, number, all[i].After, all[i].UpTo).Scan)
			found, err = err == nil, ignoreNone(err)
		}
		return err
	})
	return v, unknownUnless(found, err)
}

// ItemsAt returns what keys stood for after a commit.
func (a *Archive) ItemsAt(ctx context.Context, organizationUID string, c audit.DirectoryCommit, keys []audit.DirectoryKey) (map[audit.DirectoryKey][]byte, error) {
	out := make(map[audit.DirectoryKey][]byte, len(keys))
	err := a.ofNumber(ctx, organizationUID, func(tx pgx.Tx, number int32) error {
		clear(out)
		all, err := runs(ctx, tx, number, c.Sequence)
		if err != nil {
			return err
		}
		left := keys
		for _, r := range all {
			if left, err = itemsIn(ctx, tx, number, r, left, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// itemsIn looks keys up in one run, in one trip, and returns those that it does not say anything about.
func itemsIn(ctx context.Context, tx pgx.Tx, number int32, r stored.Run, keys []audit.DirectoryKey, out map[audit.DirectoryKey][]byte) (left []audit.DirectoryKey, err error) {
	var b pgx.Batch
	for _, k := range keys {
		b.Queue(itemAt, number, stored.Key(k), r.After, r.UpTo).QueryRow(func(row pgx.Row) error {
			var record []byte
			err := row.Scan(&record)
			if errors.Is(err, pgx.ErrNoRows) {
				left = append(left, k)
				return nil
			}
			if record != nil {
				out[k] = record
			}
			return err
		})
	}
	return left, tx.SendBatch(ctx, &b).Close()
}

// Versions returns versions of the record, highest revision first.
func (a *Archive) Versions(ctx context.Context, q audit.VersionQuery) (out []audit.OrganizationVersion, err error) {
	before := q.Before
	if before <= 0 {
		before = 1<<63 - 1
	}
	err = a.ofNumber(ctx, q.OrganizationUID, func(tx pgx.Tx, number int32) error {
		rows, err := tx.Query(ctx, versionsText(&q), number, before, max(q.Limit, 0))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (audit.OrganizationVersion, error) {
			return stored.Version(q.OrganizationUID, r.Scan)
		})
		return err
	})
	return out, err
}
