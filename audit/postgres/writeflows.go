package postgres

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit/stored"
)

// flowRows are rows of flows of one shelf, column by column.
type flowRows struct {
	id, exact                                                                                         [][]byte
	organization, partition, lastStep                                                                 []int32
	moment, started, ended, last, steps                                                               []int64
	class, ending                                                                                     []int16
	provisional, over                                                                                 []bool
	name, site, siteUID, code, correlation, reason, startEvent, bindEvent, endEvent, moreSteps, marks []string
	terms, termIDs                                                                                    [][]byte
}

func (r *flowRows) add(f *flowState) {
	r.id, r.exact = append(r.id, idKey(f.ID)), append(r.exact, exact(&f.FlowRow))
	r.organization, r.partition = append(r.organization, f.organization), append(r.partition, clamp(f.partition))
	r.lastStep, r.moment = append(r.lastStep, clamp(f.LastStep)), append(r.moment, f.moment)
	r.started, r.ended, r.last = append(r.started, stored.Nanos(f.Started)), append(r.ended, stored.Nanos(f.Ended)), append(r.last, stored.Nanos(f.LastTime))
	r.steps, r.moreSteps = append(r.steps, f.steps.low), append(r.moreSteps, arrayText(f.steps.more))
	r.class, r.ending = append(r.class, int16(f.Class)), append(r.ending, int16(f.Ending))
	r.provisional, r.over = append(r.provisional, f.Provisional), append(r.over, f.EndEventID != "")
	r.name, r.site, r.siteUID = append(r.name, key(f.Organization)), append(r.site, key(f.Site)), append(r.siteUID, key(f.SiteUID))
	r.code, r.correlation = append(r.code, key(f.SupportCode)), append(r.correlation, key(f.CorrelationID))
	r.reason, r.startEvent = append(r.reason, key(f.Reason)), append(r.startEvent, key(f.StartEventID))
	r.bindEvent, r.endEvent = append(r.bindEvent, key(f.BindEventID)), append(r.endEvent, key(f.EndEventID))
	r.marks = append(r.marks, string(f.Terms))
}

// arrayText is an array of numbers as PostgreSQL reads it: arrays of arrays would have to be of one length.
func arrayText(numbers []int32) string {
	if len(numbers) == 0 {
		return ""
	}
	b := []byte{'{'}
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(append(b, '}'))
}

// flowSource names the columns both statements read.
const flowSource = ` FROM unnest($1::bytea[], $2::bytea[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[],
		$9::bigint[], $10::bigint[], $11::smallint[], $12::smallint[], $13::boolean[], $14::boolean[], $15::text[], $16::text[], $17::text[],
		$18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[])
	AS r (id, exact, organization, partition, last_step, moment, started, ended, last_time, steps, class, ending, provisional, over,
		name, site, site_uid, support_code, correlation_id, reason, start_event, bind_event, end_event, more_steps, terms)`

func (r *flowRows) args() []any {
	return []any{r.id, r.exact, r.organization, r.partition, r.lastStep, r.moment, r.started, r.ended, r.last, r.steps, r.class, r.ending,
		r.provisional, r.over, r.name, r.site, r.siteUID, r.code, r.correlation, r.reason, r.startEvent, r.bindEvent, r.endEvent, r.moreSteps, r.marks}
}

func (r *flowRows) insert(b *pgx.Batch, s *shelf) {
	b.Queue(`INSERT INTO `+s.table("flow")+` (id, exact, organization, partition, last_step, moment, started, ended, last_time, steps, class, ending,
			provisional, name, site, site_uid, support_code, correlation_id, reason, start_event, bind_event, end_event, more_steps, terms)
		SELECT id, exact, organization, partition, last_step, moment, started, CASE WHEN over THEN ended END, last_time, steps, class, ending,
			provisional, name, site, site_uid, support_code, correlation_id, reason, start_event, bind_event, end_event, nullif(more_steps, '')::integer[], terms`+
		flowSource, r.args()...)
}

func (r *flowRows) update(b *pgx.Batch, s *shelf) {
	b.Queue(`UPDATE `+s.table("flow")+` f SET exact = r.exact, last_step = r.last_step, started = r.started,
			ended = CASE WHEN r.over THEN r.ended END, last_time = r.last_time, steps = r.steps, class = r.class, ending = r.ending,
			provisional = r.provisional, site = r.site, site_uid = r.site_uid, support_code = r.support_code,
			correlation_id = r.correlation_id, reason = r.reason, start_event = r.start_event, bind_event = r.bind_event,
			end_event = r.end_event, more_steps = nullif(r.more_steps, '')::integer[], terms = r.terms`+
		flowSource+` WHERE f.id = r.id`, r.args()...)
}

// queueFlowRows stores the rows that changed, and the subjects' indexes.
func (w *writer) queueFlowRows(b *pgx.Batch) {
	fresh, changed, found := map[*shelf]*flowRows{}, map[*shelf]*flowRows{}, map[*shelf]*flowRows{}
	rows := func(m map[*shelf]*flowRows, s *shelf) *flowRows {
		if m[s] == nil {
			m[s] = &flowRows{}
		}
		return m[s]
	}
	for _, f := range w.flowOrder {
		switch {
		case !f.stored:
			rows(fresh, f.shelf).add(f)
		case f.changed:
			rows(changed, f.shelf).add(f)
		}
		for t := range f.terms {
			r := rows(found, f.shelf)
			r.terms, r.termIDs = append(r.terms, []byte(t)), append(r.termIDs, idKey(f.ID))
		}
	}
	for _, s := range w.inOrder() {
		if r := fresh[s]; r != nil {
			r.insert(b, s)
		}
		if r := changed[s]; r != nil {
			r.update(b, s)
		}
		if r := found[s]; r != nil {
			r.queueTerms(b, s)
		}
	}
}

// queueTerms adds the blind indexes, in the order of their table.
func (r *flowRows) queueTerms(b *pgx.Batch, s *shelf) {
	order := make([]int, len(r.terms))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int {
		return cmp.Or(bytes.Compare(r.terms[i], r.terms[k]), bytes.Compare(r.termIDs[i], r.termIDs[k]))
	})
	terms, ids := make([][]byte, len(order)), make([][]byte, len(order))
	for i, k := range order {
		terms[i], ids[i] = r.terms[k], r.termIDs[k]
	}
	b.Queue(`INSERT INTO `+s.table("flow_term")+` (term, id) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING`, terms, ids)
}
