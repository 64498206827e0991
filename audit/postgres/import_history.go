package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// ImportHistory stores rows of an organization's history as another archive has them, in one durable transaction. Rows that are there
// stay, so that a piece may come again. Whoever imports brings commits last and in order: then a Standing's Commit says how far the
// history is whole.
//
// It refuses with ARCHIVE_IN_USE once an archiver has taken a partition here.
func (a *Archive) ImportHistory(ctx context.Context, organizationUID string, h audit.StoredHistory) error {
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := unused(ctx, tx); err != nil {
			return err
		}
		w := newWriter(ctx, tx)
		if err := w.lockOrganizations([]string{organizationUID}); err != nil {
			return err
		}
		number := w.organizations[organizationUID].number
		var b pgx.Batch
		importItems(&b, number, h.Items)
		importVersions(&b, number, h.Versions)
		importCommits(&b, number, h.Commits)
		return tx.SendBatch(ctx, &b).Close()
	})
}

func importItems(b *pgx.Batch, organization int32, items []audit.StoredItem) {
	var keys, records [][]byte
	var sequences []int64
	for i := range items {
		keys, sequences, records = append(keys, []byte(items[i].Key)), append(sequences, items[i].Sequence), append(records, items[i].Record)
	}
	if len(items) > 0 {
		b.Queue(`INSERT INTO history_item (organization, key, sequence, record)
			SELECT $1, key, sequence, record FROM unnest($2::bytea[], $3::bigint[], $4::bytea[]) AS r (key, sequence, record)
			ON CONFLICT DO NOTHING`, organization, keys, sequences, records)
	}
}

func importVersions(b *pgx.Batch, organization int32, versions []audit.StoredVersion) {
	for i := range versions {
		v := &versions[i]
		var salt, data, digest []byte
		if s := v.Sealed; s != nil {
			salt, data, digest = s.Salt, s.Data, s.Digest
		}
		b.Queue(insertVersion+` ON CONFLICT DO NOTHING`, organization, v.Sequence, v.Revision, stored.Nanos(v.RecordedTime), v.Policy, salt, data, digest, v.Body, v.Record)
	}
}

func importCommits(b *pgx.Batch, organization int32, commits []audit.StoredCommit) {
	for i := range commits {
		c := &commits[i]
		b.Queue(insertCommit+` ON CONFLICT DO NOTHING`, organization, c.Sequence, c.Revision, stored.Nanos(c.RecordedTime), c.BackTo)
	}
}
