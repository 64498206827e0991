package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/stored"
)

const (
	sequenceBits = 40 // of a position; the bits above are the organization's number

	flagForked     = 1
	flagUnreadable = 2
	flagSandbox    = 4

	blockBits = 10 // 1024 sequence numbers share a row of span_N
)

func position(organization int32, sequence int64) int64 {
	return int64(organization)<<sequenceBits | sequence
}

func sequenceOf(position int64) int64 { return position & (1<<sequenceBits - 1) }

// category is how a category is stored.
func category(c audit.Category) int16 {
	switch c {
	case audit.CategoryAdministration:
		return 1
	case audit.CategoryActivity:
		return 2
	default:
		return 0
	}
}

// categories are all of them, each at its number.
func categories() [3]audit.Category {
	return [3]audit.Category{audit.CategorySignIn, audit.CategoryAdministration, audit.CategoryActivity}
}

// eventColumns are the columns scanEvent reads, in its order.
const eventColumns = `e.position, e.id, e.time, e.recorded_time, e.type, e.outcome, coalesce(e.site, ''), e.flow, e.step, e.flags,
	e.personal_salt, e.personal_sealed, e.personal_digest, e.personal_index, e.body`

// scanEvent reads one row, after the columns into. The event comes from its body; id, sequence, recorded time and flags from
// their columns. A body that cannot be read leaves what the columns say: one damaged row must not hide the others.
func scanEvent(row pgx.Row, organizationUID string, into ...any) (audit.Event, error) {
	var (
		e                  audit.Event
		pos, at, recorded  int64
		outcome, flags     int16
		step               int32
		id, flow           []byte
		salt, data, digest []byte
		index, body        []byte
	)
	err := row.Scan(append(into, &pos, &id, &at, &recorded, &e.Type, &outcome, &e.Site, &flow, &step, &flags, &salt, &data, &digest, &index, &body)...)
	if err != nil {
		return audit.Event{}, err
	}
	e.Time, e.OrganizationUID, e.Outcome, e.Step = stored.Time(at), organizationUID, audit.Outcome(outcome), int(step) //nolint:gosec // as stored
	e.Flow, _ = idText(flow)
	if organizationUID == audit.SystemUID {
		e.Organization = audit.SystemID
	}
	if flags&flagUnreadable == 0 {
		if whole, err := codec.New(nil).Decode(body); err == nil { // decoding opens nothing, so it needs no sealer
			e = whole
		} else {
			e.PersonalState = codec.StateUnreadable
		}
	}
	if text, ok := idText(id); ok {
		e.ID = text
	}
	e.Sequence, e.RecordedTime, e.Forked = sequenceOf(pos), stored.Time(recorded), flags&flagForked != 0
	if digest != nil {
		e.Sealed = &audit.Sealed{Salt: salt, Data: data, Digest: digest}
	}
	e.Indexes = stored.UnpackIndexes(index)
	return e, nil
}

// flowColumns are the columns scanFlow reads, in its order.
const flowColumns = `f.id, f.name, f.site, f.site_uid, f.support_code, f.correlation_id, f.class, f.provisional,
	f.started, coalesce(f.ended, 0), f.ending, f.reason, f.last_step, f.last_time, f.start_event, f.bind_event, f.end_event, f.exact, f.terms`

// scanFlow reads flowColumns, after the columns into.
func scanFlow(row pgx.Row, organizationUID string, into ...any) (audit.FlowRow, error) {
	r := audit.FlowRow{OrganizationUID: organizationUID}
	var (
		started, ended, last int64
		class, ending        int16
		step                 int32
		id, exact            []byte
	)
	err := row.Scan(append(into, &id, &r.Organization, &r.Site, &r.SiteUID, &r.SupportCode, &r.CorrelationID, &class, &r.Provisional,
		&started, &ended, &ending, &r.Reason, &step, &last, &r.StartEventID, &r.BindEventID, &r.EndEventID, &exact, &r.Terms)...)
	r.ID, _ = idText(id)
	if exact != nil {
		unpack(exact, flowTexts(&r)...)
	}
	r.Class, r.Ending, r.LastStep = audit.Class(class), audit.Ending(ending), int(step) //nolint:gosec // as stored
	r.Started, r.Ended, r.LastTime = stored.Time(started), stored.Time(ended), stored.Time(last)
	return r, err
}
