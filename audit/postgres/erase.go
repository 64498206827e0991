package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

var _ audit.Eraser = (*Archive)(nil)

// Erase forgets in one transaction, beside no append of the organization. What the server itself keeps of rows that were, in dead
// rows and in its log, is not in this package's hands.
func (a *Archive) Erase(ctx context.Context, e audit.Erasure) (erased int, more bool, err error) {
	if len(e.Subjects) == 0 || e.Limit <= 0 {
		return 0, false, nil
	}
	err = a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		x := erasing{ctx: ctx, tx: tx, e: &e, gone: map[string][]stored.Trace{}}
		if err := x.begin(); err != nil {
			return err
		}
		more, err = x.run()
		erased = x.erased
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return erased, more, nil
}

// erasing is one such transaction.
type erasing struct {
	ctx      context.Context //nolint:containedctx // lives as long as the transaction
	tx       pgx.Tx
	e        *audit.Erasure
	number   int32 // of the organization
	from, to int64 // positions, exclusive and inclusive
	shelves  []shelf
	gone     map[string][]stored.Trace // what was erased, by flow
	erased   int
}

// begin locks the organization, as an append does, and finds the shelves it has something on.
func (x *erasing) begin() error {
	err := x.tx.QueryRow(x.ctx, `SELECT organization FROM organization WHERE uid = $1 FOR NO KEY UPDATE`, key(x.e.OrganizationUID)).Scan(&x.number)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // no shelves, nothing to erase
	}
	if err != nil {
		return err
	}
	x.from, x.to = position(x.number, 0), position(x.number, min(max(x.e.UpTo, 0), 1<<sequenceBits-1))
	rows, err := x.tx.Query(x.ctx, `SELECT `+shelfColumns+` FROM shelf s
		WHERE s.shelf IN (SELECT c.shelf FROM shelf_content c WHERE c.organization = $1) ORDER BY s.shelf`, x.number)
	if err != nil {
		return err
	}
	x.shelves, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (shelf, error) { return scanShelf(r) })
	return err
}

// run erases the first events that have one of the indexes, and what belongs to them.
func (x *erasing) run() (more bool, err error) {
	room := x.e.Limit
	for i := range x.shelves {
		s := &x.shelves[i]
		found, err := x.find(s, room+1)
		if err != nil {
			return false, err
		}
		if more = len(found) > room; more {
			found = found[:room]
		}
		room -= len(found)
		traces, err := x.traces(s, `e.position = ANY ($1)`, found)
		if err != nil {
			return false, err
		}
		if err := x.erase(s, traces); err != nil {
			return false, err
		}
		if more {
			break
		}
	}
	if err := x.flows(); err != nil {
		return false, err
	}
	return more, x.people()
}

// people deletes the rows of the person.
func (x *erasing) people() error {
	if x.number == 0 {
		return nil
	}
	accounts := slices.DeleteFunc(slices.Clone(x.e.Subjects), func(i audit.Index) bool { return i.Purpose != audit.IndexAccount })
	_, err := x.tx.Exec(x.ctx, `DELETE FROM subject WHERE organization = $1 AND subject = ANY ($2)`, x.number, terms(accounts))
	return err
}

// find returns the positions of a shelf's first events with one of the indexes.
func (x *erasing) find(s *shelf, limit int) ([]int64, error) {
	rows, err := x.tx.Query(x.ctx, `SELECT DISTINCT t.position FROM `+s.table("term")+` t WHERE t.term = ANY ($1) AND t.position > $2 AND t.position <= $3
		ORDER BY t.position LIMIT $4`, terms(x.e.Subjects), x.from, x.to, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// traces reads events of the organization on a shelf. Ids are as stored.
func (x *erasing) traces(s *shelf, where string, arg any) ([]stored.Trace, error) {
	rows, err := x.tx.Query(x.ctx, `SELECT e.position, e.id, e.flow, e.personal_index, e.personal_digest IS NOT NULL AND e.personal_sealed IS NULL
		FROM `+s.table("event")+` e WHERE `+where+` AND e.position > $2 AND e.position < $3`, arg, x.from, position(x.number+1, 0))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (t stored.Trace, err error) {
		var id, flow, index []byte
		err = r.Scan(&t.Position, &id, &flow, &index, &t.Erased)
		t.ID, t.Flow, t.Indexes = string(id), string(flow), stored.UnpackIndexes(index)
		return t, err
	})
}

// erase takes away what events of a shelf have of a person, there and in the history of the directory.
func (x *erasing) erase(s *shelf, traces []stored.Trace) error {
	if len(traces) == 0 {
		return nil
	}
	var positions, sequences, of []int64
	var found [][]byte
	for i := range traces {
		t := &traces[i]
		positions, sequences = append(positions, t.Position), append(sequences, sequenceOf(t.Position))
		for _, term := range terms(slices.Concat(t.Indexes, x.e.Subjects)) {
			found, of = append(found, term), append(of, t.Position)
		}
		if t.Flow != "" {
			x.gone[t.Flow] = append(x.gone[t.Flow], *t)
		}
	}
	var b pgx.Batch
	b.Queue(`UPDATE `+s.table("event")+` SET personal_salt = NULL, personal_sealed = NULL, personal_index = NULL WHERE position = ANY ($1)
		AND (personal_salt IS NOT NULL OR personal_sealed IS NOT NULL OR personal_index IS NOT NULL) RETURNING position`, positions).
		Query(func(rows pgx.Rows) error {
			changed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			x.erased += len(changed)
			return err
		})
	b.Queue(`DELETE FROM `+s.table("term")+` t USING unnest($1::bytea[], $2::bigint[]) AS r (term, position)
		WHERE t.term = r.term AND t.position = r.position`, found, of)
	b.Queue(`UPDATE history_organization SET personal_salt = NULL, personal_sealed = NULL WHERE organization = $1 AND sequence = ANY ($2)`, x.number, sequences)
	return x.tx.SendBatch(x.ctx, &b).Close()
}

// flows erases the rest of each flow that was the person's, and takes away what leads from the person to the flows.
func (x *erasing) flows() error {
	ids := make([][]byte, 0, len(x.gone))
	for id := range x.gone {
		ids = append(ids, []byte(id))
	}
	slices.SortFunc(ids, slices.Compare)
	if len(ids) == 0 {
		return nil
	}
	binds, err := x.binds(ids)
	if err != nil {
		return err
	}
	events, err := x.flowTraces(ids)
	if err != nil {
		return err
	}
	mates, left := map[*shelf][]stored.Trace{}, map[string][]stored.Trace{}
	for id, bind := range binds {
		all := tracesOf(events[id])
		whole := stored.Whole(bind, all)
		for i := range all {
			switch t := &all[i]; {
			case t.Erased:
			case whole && t.Position <= x.to:
				mates[events[id][i].shelf] = append(mates[events[id][i].shelf], *t)
			default:
				left[id] = append(left[id], *t)
			}
		}
	}
	for i := range x.shelves {
		if err := x.erase(&x.shelves[i], mates[&x.shelves[i]]); err != nil {
			return err
		}
	}
	return x.loosen(ids, left)
}

// binds returns what bound each flow that has a row: the id of an event as stored, "" for none.
func (x *erasing) binds(ids [][]byte) (map[string]string, error) {
	out := map[string]string{}
	var b pgx.Batch
	for i := range x.shelves {
		b.Queue(`SELECT f.id, f.bind_event, f.exact FROM `+x.shelves[i].table("flow")+` f WHERE f.id = ANY ($1) AND f.organization = $2`, ids, x.number).
			Query(func(rows pgx.Rows) error {
				var id, exact []byte
				var r audit.FlowRow
				_, err := pgx.ForEachRow(rows, []any{&id, &r.BindEventID, &exact}, func() error {
					if exact != nil {
						unpack(exact, flowTexts(&r)...)
					}
					out[string(id)] = string(idKey(r.BindEventID))
					return nil
				})
				return err
			})
	}
	return out, x.tx.SendBatch(x.ctx, &b).Close()
}

// placedTrace is an event with the shelf it lies on.
type placedTrace struct {
	stored.Trace
	shelf *shelf
}

func tracesOf(placed []placedTrace) []stored.Trace {
	out := make([]stored.Trace, len(placed))
	for i := range placed {
		out[i] = placed[i].Trace
	}
	return out
}

// flowTraces reads all events of flows, by flow.
func (x *erasing) flowTraces(ids [][]byte) (map[string][]placedTrace, error) {
	out := map[string][]placedTrace{}
	for i := range x.shelves {
		s := &x.shelves[i]
		found, err := x.traces(s, `e.flow = ANY ($1)`, ids)
		if err != nil {
			return nil, err
		}
		for _, t := range found {
			out[t.Flow] = append(out[t.Flow], placedTrace{t, s})
		}
	}
	return out, nil
}

// loosen deletes the blind indexes of flows that must not lead to them any more.
func (x *erasing) loosen(ids [][]byte, left map[string][]stored.Trace) error {
	var found, of [][]byte
	for _, id := range ids {
		for _, term := range terms(stored.Loose(x.e.Subjects, x.gone[string(id)], left[string(id)])) {
			found, of = append(found, term), append(of, id)
		}
	}
	var b pgx.Batch
	for i := range x.shelves {
		b.Queue(`DELETE FROM `+x.shelves[i].table("flow_term")+` t USING unnest($1::bytea[], $2::bytea[]) AS r (term, id) WHERE t.term = r.term AND t.id = r.id`, found, of)
	}
	return x.tx.SendBatch(x.ctx, &b).Close()
}

// Forget puts a mark in the place of an organization's key, which nothing that comes later replaces.
func (a *Archive) Forget(ctx context.Context, organizationUID string) error {
	k := audit.DestroyedKey(organizationUID)
	return a.inWrite(ctx, func(ctx context.Context, tx pgx.Tx) error {
		var b pgx.Batch
		queueKeys(&b, []audit.OrganizationKey{k})
		return tx.SendBatch(ctx, &b).Close()
	})
}
