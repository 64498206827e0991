package postgres

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// termColumn is the column of event_N that holds a field.
type termColumn struct {
	field  audit.Field
	name   string
	number bool // smallint, 0 where there is none; the others are texts, NULL where there is none
}

// termColumns lists them in the order of fields.
func termColumns() [13]termColumn {
	return [13]termColumn{
		{audit.FieldType, "e.type", false}, {audit.FieldOutcome, "e.outcome", true}, {audit.FieldReason, "e.reason", false},
		{audit.FieldMethod, "e.method", false}, {audit.FieldFactor, "e.factor", false}, {audit.FieldConnection, "e.connection", false},
		{audit.FieldClass, "e.class", true}, {audit.FieldEvidence, "e.evidence", true}, {audit.FieldRule, "e.rule", false},
		{audit.FieldTargetType, "e.target_type", false}, {audit.FieldTargetID, "e.target_id", false}, {audit.FieldCaller, "e.caller", false},
		{audit.FieldSite, "e.site", false},
	}
}

// column is where a field is.
func column(f audit.Field) string { return termColumns()[f-audit.FieldType].name }

// text is the column as a text, NULL where there is no value.
func (c *termColumn) text() string {
	if c.number {
		return "nullif(" + c.name + ", 0)::text"
	}
	return c.name
}

// values are an event's values, whole, in the order of fields; "" where there is none.
type values [13]string

func (v *values) of(f audit.Field) *string { return &v[f-audit.FieldType] }

func valuesOf(e *audit.Event) (v values) {
	number := func(n uint8) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(int(n))
	}
	v = values{string(e.Type), number(uint8(e.Outcome)), e.Reason, e.Method, e.Factor, e.Connection, number(uint8(e.Class)), number(uint8(e.Evidence)),
		"", "", "", e.Caller, e.Site}
	if e.Decision != nil {
		*v.of(audit.FieldRule) = e.Decision.Rule
	}
	if e.Target != nil {
		*v.of(audit.FieldTargetType), *v.of(audit.FieldTargetID) = e.Target.Type, e.Target.ID
	}
	return v
}

// termed is what counting wants to know of an event.
type termed struct {
	position, moment, time int64
	category, flags        int16
	values                 values
}

// termedColumns are what scanTermed reads. The body comes along only where a column has but the hash of its text.
func termedColumns() string {
	var texts, all []string
	for _, c := range termColumns() {
		all = append(all, "coalesce("+c.text()+", '')")
		if !c.number {
			texts = append(texts, c.name)
		}
	}
	return `e.position, e.moment, e.time, e.category, e.flags, ` + strings.Join(all, ", ") +
		`, CASE WHEN strpos(concat(` + strings.Join(texts, ", ") + `), E'\x1f') > 0 THEN e.body END`
}

func scanTermed(row pgx.CollectableRow) (t termed, err error) {
	var body []byte
	into := []any{&t.position, &t.moment, &t.time, &t.category, &t.flags}
	for i := range t.values {
		into = append(into, &t.values[i])
	}
	if err = row.Scan(append(into, &body)...); err != nil || body == nil {
		return t, err
	}
	if e, err := codec.New(nil).Decode(body); err == nil { // what cannot be read has what its columns say, as scanEvent says
		t.values = valuesOf(&e)
	}
	return t, nil
}

// The parts of hour_N's keys that are not values.
const (
	wholeShelf  audit.Field = 100 // added to the field in rows that count the whole shelf
	fieldAny    audit.Field = 0   // with the empty value: events themselves
	kindSandbox int16       = 4   // added to the category
	hourNanos               = int64(3600e9)
	hourMillis              = int64(3600e3)
)

// hours returns the hour of the event's time, and what must be added to have that of its moment.
func (t *termed) hours() (hour, lag int64) {
	hour = floor(t.time, hourNanos)
	return hour, floor(t.moment, hourMillis) - hour
}

func (t *termed) kind() int16 {
	if t.flags&flagSandbox != 0 {
		return t.category + kindSandbox
	}
	return t.category
}

func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

// exactTerm is the term of a value where its column does not say it.
func exactTerm(value string) []byte {
	if k := key(value); k != value || len(value) > audit.MaxTerm {
		return []byte(audit.TermValue(value))
	}
	return nil
}

// wordFields are the fields whose values have words.
func wordFields() (out []termColumn) {
	for _, c := range termColumns() {
		if c.field.HasWords() {
			out = append(out, c)
		}
	}
	return out
}
