package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// manyRows is how many index rows one statement inserts.
const manyRows = 64

// statements are prepared once on the writing connection; the driver compiles each text only then.
type statements struct {
	epoch, key                                      *sql.Stmt
	event, eventIndex, eventIndexes, span           *sql.Stmt
	organization, newOrganization, saveOrganization *sql.Stmt
	flow, newFlow, saveFlow, flowIndex, flowIndexes *sql.Stmt
	historyCommit, historyOrganization              *sql.Stmt
	historyItem, historyItems                       *sql.Stmt
}

func (s *statements) texts() map[**sql.Stmt]string {
	const eventIndex, flowIndex = `INSERT OR IGNORE INTO event_index (purpose, value, position) VALUES `, `INSERT OR IGNORE INTO flow_index (purpose, value, flow) VALUES `
	const historyItem, again = `INSERT INTO history_item (organization, key, sequence, record) VALUES `, ` ON CONFLICT DO UPDATE SET record = excluded.record`
	several := strings.Repeat("(?, ?, ?), ", manyRows-1) + "(?, ?, ?)"
	return map[**sql.Stmt]string{
		&s.epoch: `SELECT epoch FROM partition_epoch WHERE partition = ?`,
		&s.key:   `INSERT OR IGNORE INTO organization_key (organization_uid, wrapped) VALUES (?, ?)`,
		&s.event: `INSERT INTO event (position, id, time, recorded_time, type, outcome, site, flow, step, connection, reason, class,
			flags, personal_salt, personal_sealed, personal_digest, personal_index, body)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
			? | (? > 0 AND EXISTS (SELECT 1 FROM event WHERE flow = ? AND step = ? AND position BETWEEN ? AND ?)),
			?, ?, ?, ?, ?)
			ON CONFLICT (id) DO NOTHING RETURNING flags`,
		&s.eventIndex:   eventIndex + "(?, ?, ?)",
		&s.eventIndexes: eventIndex + several,
		&s.span: `INSERT INTO event_span (organization, block, min_time, max_time) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET min_time = min(min_time, excluded.min_time), max_time = max(max_time, excluded.max_time)`,
		&s.organization: `SELECT organization, last_sequence, last_recorded, highest_revision
			FROM organization_sequence WHERE organization_uid = ?`,
		&s.newOrganization: `INSERT INTO organization_sequence (organization_uid, last_sequence, last_recorded, highest_revision)
			VALUES (?, 0, 0, 0) RETURNING organization`,
		&s.saveOrganization: `UPDATE organization_sequence SET last_sequence = ?, last_recorded = ?, highest_revision = ?
			WHERE organization = ?`,
		&s.flow: `SELECT f.flow, ` + flowColumns + ` FROM flow f JOIN organization_sequence o USING (organization) WHERE f.id = ?`,
		&s.newFlow: `INSERT INTO flow (id, organization, partition, name, site, site_uid, support_code, correlation_id, class, provisional,
			started, ended, ending, reason, last_step, last_time, start_event, bind_event, end_event)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING flow`,
		&s.saveFlow: `UPDATE flow SET site = ?, site_uid = ?, support_code = ?, correlation_id = ?, class = ?, provisional = ?,
			started = ?, ended = ?, ending = ?, reason = ?, last_step = ?, last_time = ?, start_event = ?, bind_event = ?, end_event = ?
			WHERE flow = ?`,
		&s.flowIndex:     flowIndex + "(?, ?, ?)",
		&s.flowIndexes:   flowIndex + several,
		&s.historyCommit: `INSERT INTO history_commit (organization, sequence, revision, recorded, back_to) VALUES (?, ?, ?, ?, nullif(?, 0))`,
		&s.historyOrganization: `INSERT INTO history_organization (organization, sequence, revision, recorded, policy,
			personal_salt, personal_sealed, personal_digest, body, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		&s.historyItem:  historyItem + "(?, ?, ?, ?)" + again,
		&s.historyItems: historyItem + strings.Repeat("(?, ?, ?, ?), ", manyRows-1) + "(?, ?, ?, ?)" + again,
	}
}

func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for stmt, query := range s.texts() {
		var err error
		if *stmt, err = db.PrepareContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

func (s *statements) close() error {
	var all []error
	for stmt := range s.texts() {
		if *stmt != nil {
			all = append(all, (*stmt).Close())
		}
	}
	return errors.Join(all...)
}
