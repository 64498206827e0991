package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.HistoryReader = (*Archive)(nil)

// history stores what an event that was just inserted brings of the directory. body is what is kept of the event.
func (w *writer) history(organization int64, e *audit.Event, body []byte) error {
	d := e.Directory
	if d == nil {
		return nil
	}
	if err := w.exec(sqlHistoryCommit, organization, e.Sequence, e.Revision, stored.Nanos(e.RecordedTime), d.BackTo); err != nil {
		return err
	}
	if d.Organization != nil {
		var salt, data, digest []byte
		if s := e.Sealed; s != nil {
			salt, data, digest = s.Salt, s.Data, s.Digest
		}
		if err := w.exec(sqlHistoryOrganization, organization, e.Sequence, e.Revision, stored.Nanos(e.RecordedTime),
			audit.ChangesPolicy(e.Type), salt, data, digest, body, d.Organization); err != nil {
			return err
		}
	}
	return w.items(organization, e.Sequence, d.Items)
}

// items stores what a commit wrote, manyRows at a time.
func (w *writer) items(organization, sequence int64, items []audit.DirectoryItem) error {
	args := make([]any, 0, 4*min(len(items), manyRows))
	for len(items) > 0 {
		stmt, n := sqlHistoryItem, 1
		if len(items) >= manyRows {
			stmt, n = sqlHistoryItems, manyRows
		}
		args = args[:0]
		for _, item := range items[:n] {
			args = append(args, organization, stored.Key(item.Key), sequence, item.Record)
		}
		if err := w.exec(stmt, args...); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// CommitAt returns the newest directory commit recorded at or before a moment.
func (a *Archive) CommitAt(ctx context.Context, organizationUID string, at time.Time) (audit.DirectoryCommit, error) {
	var c audit.DirectoryCommit
	var recorded int64
	err := a.read.QueryRowContext(ctx, commitAt, organizationUID, stored.Nanos(at)).Scan(&c.Sequence, &c.Revision, &recorded)
	c.RecordedTime = stored.Time(recorded)
	return c, unknown(err)
}

// The texts behind the reads, so that a test can look at their plans.
const (
	commitAt = `SELECT h.sequence, h.revision, h.recorded FROM organization_sequence o CROSS JOIN history_commit h INDEXED BY history_moment
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.recorded <= ?
		ORDER BY h.recorded DESC, h.sequence DESC LIMIT 1`
	organizationAt = `SELECT ` + versionColumns + `, h.record FROM organization_sequence o CROSS JOIN history_organization h
		INDEXED BY history_organization_sequence
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.sequence > ? AND h.sequence <= ? ORDER BY h.sequence DESC LIMIT 1`
	itemAt = `SELECT h.record FROM organization_sequence o CROSS JOIN history_item h
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.key = ? AND h.sequence > ? AND h.sequence <= ?
		ORDER BY h.sequence DESC LIMIT 1`
	setBackAt = `SELECT h.sequence, h.back_to FROM organization_sequence o CROSS JOIN history_commit h INDEXED BY history_set_back
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.back_to IS NOT NULL AND h.sequence <= ?
		ORDER BY h.sequence DESC LIMIT 1`
	commitBefore = `SELECT h.sequence FROM organization_sequence o CROSS JOIN history_commit h INDEXED BY history_revision
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.revision <= ? AND h.sequence < ?
		ORDER BY h.revision DESC, h.sequence DESC LIMIT 1`
	versionColumns = `h.sequence, h.revision, h.recorded, h.personal_salt, h.personal_sealed, h.personal_digest, h.body`
)

// versionsText is the text of a list of versions.
func versionsText(q *audit.VersionQuery) string {
	index, only, record := "history_organization_revision", "", "NULL"
	if q.PolicyOnly {
		index, only = "history_organization_policy", " AND h.policy = 1"
	}
	if q.WithRecords {
		record = "h.record"
	}
	return `SELECT ` + versionColumns + `, ` + record + ` FROM organization_sequence o CROSS JOIN history_organization h INDEXED BY ` + index + `
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.revision < ?` + only + `
		ORDER BY h.revision DESC, h.sequence DESC LIMIT ?`
}

// runs are the runs of commits that made a directory what it was after one of them.
func runs(ctx context.Context, q querier, organizationUID string, upTo int64) ([]stored.Run, error) {
	return stored.Runs(upTo, func(upTo int64) (sequence, backTo int64, found bool, err error) {
		err = q.QueryRowContext(ctx, setBackAt, organizationUID, upTo).Scan(&sequence, &backTo)
		return sequence, backTo, err == nil, ignoreNone(err)
	}, func(revision, sequence int64) (upTo int64, found bool, err error) {
		err = q.QueryRowContext(ctx, commitBefore, organizationUID, revision, sequence).Scan(&upTo)
		return upTo, err == nil, ignoreNone(err)
	})
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// OrganizationAt returns the record as it was after a commit.
func (a *Archive) OrganizationAt(ctx context.Context, organizationUID string, c audit.DirectoryCommit) (v audit.OrganizationVersion, err error) {
	err = a.inRead(ctx, func(tx *sql.Tx) error {
		all, err := runs(ctx, tx, organizationUID, c.Sequence)
		if err != nil {
			return err
		}
		err = sql.ErrNoRows
		for i := 0; i < len(all) && errors.Is(err, sql.ErrNoRows); i++ {
			v, err = stored.Version(organizationUID, tx.QueryRowContext(ctx, organizationAt, organizationUID, all[i].After, all[i].UpTo).Scan)
		}
		return unknown(err)
	})
	return v, err
}

// unknown turns "no rows" into HISTORY_UNKNOWN.
func unknown(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return audit.ErrHistoryUnknown()
	}
	return wrap(err)
}

// ItemsAt returns what keys stood for after a commit.
func (a *Archive) ItemsAt(ctx context.Context, organizationUID string, c audit.DirectoryCommit, keys []audit.DirectoryKey) (map[audit.DirectoryKey][]byte, error) {
	out := make(map[audit.DirectoryKey][]byte, len(keys))
	err := a.inRead(ctx, func(tx *sql.Tx) error {
		all, err := runs(ctx, tx, organizationUID, c.Sequence)
		if err != nil {
			return err
		}
		stmt, err := tx.PrepareContext(ctx, itemAt)
		if err != nil {
			return err
		}
		defer stmt.Close() //nolint:errcheck // it only read
		for _, k := range keys {
			var record []byte
			err := sql.ErrNoRows
			for i := 0; i < len(all) && errors.Is(err, sql.ErrNoRows); i++ {
				err = stmt.QueryRowContext(ctx, organizationUID, stored.Key(k), all[i].After, all[i].UpTo).Scan(&record)
			}
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			if record != nil {
				out[k] = record
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Versions returns versions of the record, highest revision first.
func (a *Archive) Versions(ctx context.Context, q audit.VersionQuery) ([]audit.OrganizationVersion, error) {
	rows, err := a.read.QueryContext(ctx, versionsText(&q), versionsArgs(&q)...)
	if err != nil {
		return nil, wrap(err)
	}
	out, err := collect(rows, func(r *sql.Rows) (audit.OrganizationVersion, error) { return stored.Version(q.OrganizationUID, r.Scan) })
	return out, wrap(err)
}

func versionsArgs(q *audit.VersionQuery) []any {
	before := q.Before
	if before <= 0 {
		before = 1<<63 - 1
	}
	return []any{q.OrganizationUID, before, max(q.Limit, 0)}
}
