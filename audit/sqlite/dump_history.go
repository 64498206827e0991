package sqlite

import (
	"context"
	"database/sql"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.HistoryDumper = (*Archive)(nil)

// The texts behind the dump of the history, so that a test can look at their plans.
const (
	dumpCommits = `SELECT h.sequence, h.revision, h.recorded, coalesce(h.back_to, 0) FROM organization_sequence o CROSS JOIN history_commit h
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.sequence > ? AND h.sequence <= ? ORDER BY h.sequence LIMIT ?`
	dumpVersions = `SELECT h.sequence, h.revision, h.recorded, h.policy, h.personal_salt, h.personal_sealed, h.personal_digest, h.body, h.record
		FROM organization_sequence o CROSS JOIN history_organization h INDEXED BY history_organization_sequence
		WHERE o.organization_uid = ? AND h.organization = o.organization AND h.sequence > ? AND h.sequence <= ? ORDER BY h.sequence LIMIT ?`
	dumpItems = `SELECT h.key, h.sequence, h.record IS NULL, h.record,
			EXISTS (SELECT 1 FROM history_commit c WHERE c.organization = h.organization AND c.sequence = h.sequence)
		FROM organization_sequence o CROSS JOIN history_item h
		WHERE o.organization_uid = ? AND h.organization = o.organization AND (h.key, h.sequence) > (?, ?) AND h.sequence > ? AND h.sequence <= ?
		ORDER BY h.key, h.sequence LIMIT ?`
)

func historyRows[T any](ctx context.Context, a *Archive, text string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := a.read.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, wrap(err)
	}
	out, err := collect(rows, scan)
	return out, wrap(err)
}

// DumpCommits returns commits, in sequence order.
func (a *Archive) DumpCommits(ctx context.Context, organizationUID string, p audit.HistoryPage) ([]audit.StoredCommit, error) {
	return historyRows(ctx, a, dumpCommits, []any{organizationUID, p.After, p.UpTo, max(p.Limit, 0)}, func(r *sql.Rows) (c audit.StoredCommit, err error) {
		var recorded int64
		err = r.Scan(&c.Sequence, &c.Revision, &recorded, &c.BackTo)
		c.RecordedTime = stored.Time(recorded)
		return c, err
	})
}

// DumpVersions returns what commits wrote of the organization's record, in sequence order.
func (a *Archive) DumpVersions(ctx context.Context, organizationUID string, p audit.HistoryPage) ([]audit.StoredVersion, error) {
	return historyRows(ctx, a, dumpVersions, []any{organizationUID, p.After, p.UpTo, max(p.Limit, 0)}, func(r *sql.Rows) (v audit.StoredVersion, err error) {
		var recorded int64
		var salt, data, digest []byte
		err = r.Scan(&v.Sequence, &v.Revision, &recorded, &v.Policy, &salt, &data, &digest, &v.Body, &v.Record)
		v.RecordedTime = stored.Time(recorded)
		if digest != nil {
			v.Sealed = &audit.Sealed{Salt: salt, Data: data, Digest: digest}
		}
		return v, err
	})
}

// DumpItems returns what commits wrote of domains and claims, in the order of key and sequence.
func (a *Archive) DumpItems(ctx context.Context, organizationUID string, p audit.HistoryPage) ([]audit.StoredItem, error) {
	var at audit.DirectoryPlace
	if p.Behind != nil {
		at = *p.Behind
	}
	args := []any{organizationUID, append([]byte{}, at.Key...), at.Sequence, p.After, p.UpTo, max(p.Limit, 0)}
	return historyRows(ctx, a, dumpItems, args, func(r *sql.Rows) (i audit.StoredItem, err error) {
		var key []byte
		var gone bool
		err = r.Scan(&key, &i.Sequence, &gone, &i.Record, &i.Committed)
		if i.Key = audit.DirectoryKey(key); !gone && i.Record == nil {
			i.Record = []byte{} // the driver does not tell nothing from no bytes
		}
		return i, err
	})
}
