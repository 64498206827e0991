package postgres

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/stored"
)

// eventRows are new rows of one shelf, column by column, as unnest takes them.
type eventRows struct {
	position, moment, time, recorded            []int64
	step                                        []int32
	category, outcome, class, flags, evidence   []int16
	id, flow, salt, sealed, digest, index, body [][]byte
	kind, site, connection, reason              []string
	method, factor, rule, targetType, targetID  []string
	caller, code                                []string
	terms                                       []termRow
}

type termRow struct {
	term     []byte
	position int64
}

type span struct {
	shelf        int32
	organization int32
	block        int64
}

type contentKey struct {
	organization, shelf int32
	category            int16
}

// content is what a transaction adds to a row of shelf_content. Zero ranges are those of no rows.
type content struct {
	events, flows               int64
	firstSequence, lastSequence int64
	firstTime, lastTime         int64
	started                     bool
	firstStarted, lastStarted   int64
}

func (w *writer) contentOf(organization int32, s *shelf, c audit.Category) *content {
	k := contentKey{organization, s.number, category(c)}
	if w.content[k] == nil {
		w.content[k] = &content{}
	}
	return w.content[k]
}

func (c *content) event(sequence, at int64) {
	if c.events == 0 {
		c.firstSequence, c.firstTime, c.lastTime = sequence, at, at
	}
	c.events++
	c.firstSequence, c.lastSequence = min(c.firstSequence, sequence), max(c.lastSequence, sequence)
	c.firstTime, c.lastTime = min(c.firstTime, at), max(c.lastTime, at)
}

func (c *content) flow(fresh bool, started int64) {
	if fresh {
		c.flows++
	}
	if !c.started {
		c.started, c.firstStarted, c.lastStarted = true, started, started
	}
	c.firstStarted, c.lastStarted = min(c.firstStarted, started), max(c.lastStarted, started)
}

// add gives one event the next sequence number and its row, unless its id is there already.
func (w *writer) add(it *item, known map[string]bool, done *audit.Appended) error {
	if known[string(it.id)] {
		done.Duplicates++
		return nil
	}
	known[string(it.id)] = true
	e, o := &it.event, w.organizations[it.event.OrganizationUID]
	f := w.flowOf(it)
	e.Forked = f != nil && f.fork(e)
	done.Inserted++
	if e.Forked {
		done.Forked++
	}
	e.Sequence = o.last + 1
	w.put(it, o)
	w.people.follow(o.number, e)
	if e.Directory != nil {
		w.history = append(w.history, historyRow{o.number, *e, it.body})
	}
	if f == nil {
		return nil
	}
	return w.flow(f, it, o)
}

// put adds the rows of an event that has its sequence number.
func (w *writer) put(it *item, o *organization) {
	e := &it.event
	o.last, o.changed = max(o.last, e.Sequence), true
	o.recorded = max(o.recorded, stored.Nanos(e.RecordedTime))
	o.revision = max(o.revision, e.Revision)
	if e.Organization != "" {
		o.name = e.Organization
	}
	w.stray(it.shelf, it.own)
	w.row(it, position(o.number, e.Sequence))
	w.fold.note(it, o)
	w.widen(span{it.shelf.number, o.number, e.Sequence >> blockBits}, stored.Nanos(e.Time))
	w.contentOf(o.number, it.shelf, it.category).event(e.Sequence, stored.Nanos(e.Time))
}

// row adds the event's row and those of its blind indexes.
func (w *writer) row(it *item, pos int64) {
	e := &it.event
	r := w.events[it.shelf]
	if r == nil {
		r = &eventRows{}
		w.events[it.shelf] = r
	}
	var flags int16
	if e.Forked {
		flags |= flagForked
	}
	if e.Type == audit.TypeUnreadable {
		flags |= flagUnreadable
	}
	if e.Sandbox {
		flags |= flagSandbox
	}
	var salt, data, digest, flow []byte
	if s := e.Sealed; s != nil {
		salt, data, digest = s.Salt, s.Data, s.Digest
	}
	if e.Flow != "" {
		flow = idKey(e.Flow)
	}
	r.position, r.moment = append(r.position, pos), append(r.moment, it.moment.UnixMilli())
	r.time, r.recorded = append(r.time, stored.Nanos(e.Time)), append(r.recorded, stored.Nanos(e.RecordedTime))
	r.step, r.category = append(r.step, clamp(e.Step)), append(r.category, category(it.category))
	r.outcome, r.class, r.flags = append(r.outcome, int16(e.Outcome)), append(r.class, int16(e.Class)), append(r.flags, flags)
	r.id, r.flow = append(r.id, it.id), append(r.flow, flow)
	r.kind, r.site = append(r.kind, key(string(e.Type))), append(r.site, key(e.Site))
	r.connection, r.reason = append(r.connection, key(e.Connection)), append(r.reason, key(e.Reason))
	r.terse(e)
	r.salt, r.sealed, r.digest = append(r.salt, salt), append(r.sealed, data), append(r.digest, digest)
	r.index, r.body = append(r.index, stored.PackIndexes(e.Indexes)), append(r.body, it.body)
	from := len(r.terms)
	for _, x := range e.Indexes {
		t := termRow{term(x), pos}
		if !slices.ContainsFunc(r.terms[from:], func(o termRow) bool { return bytes.Equal(o.term, t.term) }) {
			r.terms = append(r.terms, t)
		}
	}
}

// terse adds the columns that are filtered by and have no index.
func (r *eventRows) terse(e *audit.Event) {
	v := valuesOf(e)
	text := func(f audit.Field) string { return key(*v.of(f)) }
	r.evidence, r.method, r.factor = append(r.evidence, int16(e.Evidence)), append(r.method, text(audit.FieldMethod)), append(r.factor, text(audit.FieldFactor))
	r.rule, r.targetType = append(r.rule, text(audit.FieldRule)), append(r.targetType, text(audit.FieldTargetType))
	r.targetID, r.caller, r.code = append(r.targetID, text(audit.FieldTargetID)), append(r.caller, text(audit.FieldCaller)), append(r.code, key(e.SupportCode))
}

// widen notes an event's time for span_N.
func (w *writer) widen(key span, at int64) {
	if s, ok := w.spans[key]; ok {
		w.spans[key] = [2]int64{min(s[0], at), max(s[1], at)}
		return
	}
	w.spans[key] = [2]int64{at, at}
}

// write sends everything new in one trip, behind two where a block becomes whole.
func (w *writer) write(wrapped []audit.OrganizationKey) error {
	if err := w.addUp(); err != nil {
		return err
	}
	var b pgx.Batch
	queueKeys(&b, wrapped)
	for _, s := range w.inOrder() {
		if r := w.events[s]; r != nil {
			r.queue(&b, s)
		}
	}
	w.queueFlowRows(&b)
	if err := w.queuePeopleRows(&b); err != nil {
		return err
	}
	w.queueSpans(&b)
	for shelf := range w.strays {
		b.Queue(`UPDATE shelf SET strays = true WHERE shelf = $1`, shelf)
	}
	w.queueSums(&b)
	w.queueContent(&b)
	w.queueHistory(&b)
	w.queueOrganizations(&b)
	return w.tx.SendBatch(w.ctx, &b).Close()
}

func queueKeys(b *pgx.Batch, wrapped []audit.OrganizationKey) {
	wrapped = slices.Clone(wrapped)
	slices.SortStableFunc(wrapped, func(x, y audit.OrganizationKey) int { return cmp.Compare(x.OrganizationUID, y.OrganizationUID) })
	for _, k := range wrapped {
		// The first key stays, until a mark says that it was destroyed; that stays for good.
		b.Queue(`INSERT INTO organization_key (organization_uid, wrapped, exact) VALUES ($1, $2, $3) ON CONFLICT (organization_uid)
			DO UPDATE SET wrapped = excluded.wrapped WHERE $4`, key(k.OrganizationUID), k.Wrapped, []byte(k.OrganizationUID), k.Destroyed())
	}
}

func (r *eventRows) queue(b *pgx.Batch, s *shelf) {
	b.Queue(`INSERT INTO `+s.table("event")+` (position, moment, time, recorded_time, step, category, outcome, class, flags, evidence, id, flow, type, site,
		connection, reason, method, factor, rule, target_type, target_id, caller, support_code, personal_salt, personal_sealed, personal_digest,
		personal_index, body)
		SELECT position, moment, time, recorded_time, step, category, outcome, class, flags, evidence, id, flow, type, nullif(site, ''),
			nullif(connection, ''), nullif(reason, ''), nullif(method, ''), nullif(factor, ''), nullif(rule, ''), nullif(target_type, ''),
			nullif(target_id, ''), nullif(caller, ''), nullif(support_code, ''), salt, sealed, digest, index, body
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::smallint[], $7::smallint[], $8::smallint[],
			$9::smallint[], $10::smallint[], $11::bytea[], $12::bytea[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
			$18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::bytea[], $25::bytea[], $26::bytea[], $27::bytea[],
			$28::bytea[])
		AS r (position, moment, time, recorded_time, step, category, outcome, class, flags, evidence, id, flow, type, site, connection, reason,
			method, factor, rule, target_type, target_id, caller, support_code, salt, sealed, digest, index, body)`,
		r.position, r.moment, r.time, r.recorded, r.step, r.category, r.outcome, r.class, r.flags, r.evidence, r.id, r.flow, r.kind, r.site,
		r.connection, r.reason, r.method, r.factor, r.rule, r.targetType, r.targetID, r.caller, r.code, r.salt, r.sealed, r.digest, r.index, r.body)
	if len(r.terms) == 0 {
		return
	}
	slices.SortFunc(r.terms, func(x, y termRow) int { // in the order of the index: neighbours share its pages
		return cmp.Or(bytes.Compare(x.term, y.term), cmp.Compare(x.position, y.position))
	})
	terms, positions := make([][]byte, len(r.terms)), make([]int64, len(r.terms))
	for i, t := range r.terms {
		terms[i], positions[i] = t.term, t.position
	}
	b.Queue(`INSERT INTO `+s.table("term")+` (term, position) SELECT * FROM unnest($1::bytea[], $2::bigint[])`, terms, positions)
}

func (w *writer) queueSpans(b *pgx.Batch) {
	type rows struct {
		organization    []int32
		block, min, max []int64
	}
	byShelf := map[int32]*rows{}
	for key, at := range w.spans {
		r := byShelf[key.shelf]
		if r == nil {
			r = &rows{}
			byShelf[key.shelf] = r
		}
		r.organization, r.block = append(r.organization, key.organization), append(r.block, key.block)
		r.min, r.max = append(r.min, at[0]), append(r.max, at[1])
	}
	for _, shelf := range slices.Sorted(maps.Keys(byShelf)) {
		r := byShelf[shelf]
		b.Queue(`INSERT INTO `+tableOf("span", shelf)+` AS s (organization, block, min_time, max_time)
			SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[])
			ON CONFLICT (organization, block) DO UPDATE SET min_time = least(s.min_time, excluded.min_time), max_time = greatest(s.max_time, excluded.max_time)
			WHERE s.min_time > excluded.min_time OR s.max_time < excluded.max_time`, r.organization, r.block, r.min, r.max)
	}
}

func (w *writer) queueContent(b *pgx.Batch) {
	order := slices.SortedFunc(maps.Keys(w.content), func(x, y contentKey) int {
		return cmp.Or(cmp.Compare(x.organization, y.organization), cmp.Compare(x.shelf, y.shelf), cmp.Compare(x.category, y.category))
	})
	for _, k := range order {
		c := w.content[k]
		// Ranges of nothing, on either side, do not count.
		b.Queue(`INSERT INTO shelf_content AS c (organization, shelf, category, events, flows, first_sequence, last_sequence, first_time, last_time,
				first_started, last_started) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (organization, shelf, category) DO UPDATE SET events = c.events + excluded.events, flows = c.flows + excluded.flows,
				first_sequence = CASE WHEN c.events = 0 THEN excluded.first_sequence WHEN excluded.events = 0 THEN c.first_sequence
					ELSE least(c.first_sequence, excluded.first_sequence) END,
				last_sequence = greatest(c.last_sequence, excluded.last_sequence),
				first_time = CASE WHEN c.events = 0 THEN excluded.first_time WHEN excluded.events = 0 THEN c.first_time
					ELSE least(c.first_time, excluded.first_time) END,
				last_time = CASE WHEN c.events = 0 THEN excluded.last_time WHEN excluded.events = 0 THEN c.last_time
					ELSE greatest(c.last_time, excluded.last_time) END,
				first_started = CASE WHEN c.flows = 0 THEN excluded.first_started WHEN NOT $12 THEN c.first_started
					ELSE least(c.first_started, excluded.first_started) END,
				last_started = CASE WHEN c.flows = 0 THEN excluded.last_started WHEN NOT $12 THEN c.last_started
					ELSE greatest(c.last_started, excluded.last_started) END`,
			k.organization, k.shelf, k.category, c.events, c.flows, c.firstSequence, c.lastSequence, c.firstTime, c.lastTime,
			c.firstStarted, c.lastStarted, c.started)
	}
}

func (w *writer) queueOrganizations(b *pgx.Batch) {
	for _, uid := range slices.Sorted(maps.Keys(w.organizations)) {
		if o := w.organizations[uid]; o.changed {
			b.Queue(`UPDATE organization SET name = $2, last_sequence = $3, last_recorded = $4, highest_revision = $5 WHERE organization = $1`,
				o.number, []byte(o.name), o.last, o.recorded, o.revision)
		}
	}
}
