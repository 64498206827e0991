package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.HistoryDumper = (*Archive)(nil)

// The texts behind the dump of the history, so that a test can look at their plans. $1 is the organization's number, $2 and $3 are the
// range of sequences.
const (
	dumpCommits = `SELECT h.sequence, h.revision, h.recorded, coalesce(h.back_to, 0) FROM history_commit h
		WHERE h.organization = $1 AND h.sequence > $2 AND h.sequence <= $3 ORDER BY h.sequence LIMIT $4`
	dumpVersions = `SELECT h.sequence, h.revision, h.recorded, h.policy, h.personal_salt, h.personal_sealed, h.personal_digest, h.body, h.record
		FROM history_organization h WHERE h.organization = $1 AND h.sequence > $2 AND h.sequence <= $3 ORDER BY h.sequence LIMIT $4`
	dumpItems = `SELECT h.key, h.sequence, h.record, EXISTS (SELECT 1 FROM history_commit c WHERE c.organization = h.organization AND c.sequence = h.sequence)
		FROM history_item h WHERE h.organization = $1 AND (h.key, h.sequence) > ($5, $6) AND h.sequence > $2 AND h.sequence <= $3
		ORDER BY h.key, h.sequence LIMIT $4`
)

func historyRows[T any](ctx context.Context, a *Archive, uid, text string, p *audit.HistoryPage, more []any, scan pgx.RowToFunc[T]) (out []T, err error) {
	err = a.ofNumber(ctx, uid, func(tx pgx.Tx, number int32) error {
		rows, err := tx.Query(ctx, text, append([]any{number, p.After, p.UpTo, max(p.Limit, 0)}, more...)...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, scan)
		return err
	})
	return out, err
}

// DumpCommits returns commits, in sequence order.
func (a *Archive) DumpCommits(ctx context.Context, organizationUID string, p audit.HistoryPage) ([]audit.StoredCommit, error) {
	return historyRows(ctx, a, organizationUID, dumpCommits, &p, nil, func(r pgx.CollectableRow) (c audit.StoredCommit, err error) {
		var recorded int64
		err = r.Scan(&c.Sequence, &c.Revision, &recorded, &c.BackTo)
		c.RecordedTime = stored.Time(recorded)
		return c, err
	})
}

// DumpVersions returns what commits wrote of the organization's record, in sequence order.
func (a *Archive) DumpVersions(ctx context.Context, organizationUID string, p audit.HistoryPage) ([]audit.StoredVersion, error) {
	return historyRows(ctx, a, organizationUID, dumpVersions, &p, nil, func(r pgx.CollectableRow) (v audit.StoredVersion, err error) {
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
	more := []any{append([]byte{}, at.Key...), at.Sequence}
	return historyRows(ctx, a, organizationUID, dumpItems, &p, more, func(r pgx.CollectableRow) (i audit.StoredItem, err error) {
		var key []byte
		err = r.Scan(&key, &i.Sequence, &i.Record, &i.Committed)
		i.Key = audit.DirectoryKey(key)
		return i, err
	})
}
