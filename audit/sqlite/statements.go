package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

const (
	// manyRows is how many index rows one statement inserts, and how many ids one looks up.
	manyRows = 64
	// keptShelves is how many shelves' statements stay prepared: those written to last.
	keptShelves = 24
)

// Texts that belong to no shelf.
const (
	sqlEpoch = `SELECT epoch FROM partition_epoch WHERE partition = ?`
	// The first key stays, until a mark says that it was destroyed; that stays for good.
	sqlKey = `INSERT INTO organization_key (organization_uid, wrapped) VALUES (?1, ?2) ON CONFLICT (organization_uid)
		DO UPDATE SET wrapped = ?2 WHERE ?3`
	// One row whether or not organization and retention are known.
	sqlOrganization = `SELECT o.organization, o.last_sequence, o.last_recorded, o.highest_revision, o.name, r.sign_in, r.administration, r.activity, r.hold
		FROM (SELECT ? AS uid) u LEFT JOIN organization_sequence o ON o.organization_uid = u.uid LEFT JOIN retention r ON r.organization_uid = u.uid`
	sqlNewOrganization = `INSERT INTO organization_sequence (organization_uid, last_sequence, last_recorded, highest_revision)
		VALUES (?, 0, 0, 0) RETURNING organization`
	sqlSaveOrganization = `UPDATE organization_sequence SET last_sequence = ?, last_recorded = ?, highest_revision = ?, name = ?
		WHERE organization = ?`
	sqlType = `INSERT OR IGNORE INTO type_seen (type) VALUES (?)`
)

// Texts of a shelf: "_#" is its number.
const (
	sqlEvent = `INSERT INTO event_# (position, id, time, recorded_time, type, outcome, site, flow, step, connection, reason, class,
		method, factor, evidence, rule, target_type, target_id, caller, support_code,
		flags, personal_salt, personal_sealed, personal_digest, personal_index, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
		? | (? > 0 AND EXISTS (SELECT 1 FROM event_# WHERE flow = ? AND step = ? AND position BETWEEN ? AND ?)),
		?, ?, ?, ?, ?)
		ON CONFLICT (id) DO NOTHING RETURNING flags`
	sqlForked = `SELECT EXISTS (SELECT 1 FROM event_# WHERE flow = ? AND step = ? AND position BETWEEN ? AND ?)`
	sqlSpan   = `INSERT INTO event_span_# (organization, block, min_time, max_time) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET min_time = min(min_time, excluded.min_time), max_time = max(max_time, excluded.max_time)`
	sqlFlow    = `SELECT f.flow, f.organization, f.places, ` + flowColumns + ` FROM flow_# f JOIN organization_sequence o USING (organization) WHERE f.id = ?`
	sqlNewFlow = `INSERT INTO flow_# (id, organization, partition, name, stray, site, site_uid, support_code, correlation_id, class, provisional,
		started, ended, ending, reason, last_step, last_time, start_event, bind_event, end_event, places, terms)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING flow`
	sqlSaveFlow = `UPDATE flow_# SET site = ?, site_uid = ?, support_code = ?, correlation_id = ?, class = ?, provisional = ?,
		started = ?, ended = ?, ending = ?, reason = ?, last_step = ?, last_time = ?, start_event = ?, bind_event = ?, end_event = ?, places = ?, terms = ?
		WHERE flow = ?`
	sqlEventIndex = `INSERT OR IGNORE INTO event_index_# (purpose, value, position) VALUES (?, ?, ?)`
	sqlTerm       = `INSERT OR IGNORE INTO term_# (organization, field, value, block) VALUES (?, ?, ?, ?)`
	sqlQuarters   = `SELECT quarters FROM term_count_# WHERE organization = ? AND site = ? AND field = ? AND value = ? AND week = ? AND category = ? AND sandbox = ?`
	sqlCount      = `INSERT INTO term_count_# (organization, site, field, value, week, category, sandbox, events, quarters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET events = excluded.events, quarters = excluded.quarters`
	sqlFlowIndex = `INSERT OR IGNORE INTO flow_index_# (purpose, value, flow) VALUES (?, ?, ?)`
)

// What events bring for the history belongs to no shelf.
const (
	sqlHistoryCommit       = `INSERT INTO history_commit (organization, sequence, revision, recorded, back_to) VALUES (?, ?, ?, ?, nullif(?, 0))`
	sqlHistoryOrganization = `INSERT INTO history_organization (organization, sequence, revision, recorded, policy,
		personal_salt, personal_sealed, personal_digest, body, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlHistoryRow   = `INSERT INTO history_item (organization, key, sequence, record) VALUES (?, ?, ?, ?)`
	sqlHistoryAgain = ` ON CONFLICT DO UPDATE SET record = excluded.record`
	sqlHistoryItem  = sqlHistoryRow + sqlHistoryAgain
)

// The same for many rows at once.
var (
	sqlHistoryItems = sqlHistoryRow + strings.Repeat(", (?, ?, ?, ?)", manyRows-1) + sqlHistoryAgain
	sqlEventIndexes = sqlEventIndex + strings.Repeat(", (?, ?, ?)", manyRows-1)
	sqlTerms        = sqlTerm + strings.Repeat(", (?, ?, ?, ?)", manyRows-1)
	sqlFlowIndexes  = sqlFlowIndex + strings.Repeat(", (?, ?, ?)", manyRows-1)
	sqlKnown        = `SELECT id FROM event_# WHERE id IN (?` + strings.Repeat(", ?", manyRows-1) + `)`
)

// statements are prepared on the writing connection when they are first used. Those of shelves that were not written to for
// long are closed.
type statements struct {
	conn    *sql.Conn
	common  map[string]*sql.Stmt
	shelves []*shelfStatements // used last first
}

type shelfStatements struct {
	shelf  int64
	byText map[string]*sql.Stmt
}

// get returns the statement of a text that belongs to no shelf.
func (s *statements) get(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt, ok := s.common[text]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if s.common == nil {
		s.common = map[string]*sql.Stmt{}
	}
	s.common[text] = stmt
	return stmt, nil
}

// of returns the statement of a shelf's text.
func (s *statements) of(ctx context.Context, shelf int64, text string) (*sql.Stmt, error) {
	kept, err := s.at(shelf)
	if err != nil {
		return nil, err
	}
	if stmt, ok := kept.byText[text]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, shelfName(shelf, text))
	if err != nil {
		return nil, err
	}
	kept.byText[text] = stmt
	return stmt, nil
}

// at returns a shelf's statements and puts them in front.
func (s *statements) at(shelf int64) (*shelfStatements, error) {
	for i, kept := range s.shelves {
		if kept.shelf == shelf {
			copy(s.shelves[1:i+1], s.shelves[:i])
			s.shelves[0] = kept
			return kept, nil
		}
	}
	var err error
	if len(s.shelves) >= keptShelves {
		err = s.shelves[len(s.shelves)-1].close()
		s.shelves = s.shelves[:len(s.shelves)-1]
	}
	s.shelves = append([]*shelfStatements{{shelf: shelf, byText: map[string]*sql.Stmt{}}}, s.shelves...)
	return s.shelves[0], err
}

// forget closes the statements of a shelf.
func (s *statements) forget(shelf int64) error {
	for i, kept := range s.shelves {
		if kept.shelf == shelf {
			s.shelves = append(s.shelves[:i], s.shelves[i+1:]...)
			return kept.close()
		}
	}
	return nil
}

func (k *shelfStatements) close() error {
	var all []error
	for _, stmt := range k.byText {
		all = append(all, stmt.Close())
	}
	return errors.Join(all...)
}

func (s *statements) close() error {
	var all []error
	for _, stmt := range s.common {
		all = append(all, stmt.Close())
	}
	for _, kept := range s.shelves {
		all = append(all, kept.close())
	}
	return errors.Join(all...)
}
