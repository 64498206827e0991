package sqlite

import (
	"database/sql"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/stored"
)

const (
	sequenceBits = 40 // of a position; the bits above are the organization's number

	flagForked     = 1
	flagUnreadable = 2
	flagStray      = 4
	flagSandbox    = 8

	blockBits = 10 // 1024 sequence numbers share a row of event_span
)

func position(organization, sequence int64) int64 { return organization<<sequenceBits | sequence }

func sequenceOf(position int64) int64 { return position & (1<<sequenceBits - 1) }

// text stores "" as NULL, so that partial indexes leave it out.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// eventColumns are the columns scanEvent reads, in its order.
const eventColumns = `e.position, e.id, e.time, e.recorded_time, e.type, e.outcome, e.site, e.flow, e.step, e.flags,
	e.personal_salt, e.personal_sealed, e.personal_digest, e.personal_index, e.body`

// scanEvent reads one row. The event comes from its body; id, sequence, recorded time and flags from their columns. A body
// that cannot be read leaves what the columns say: one damaged row must not hide the others.
func scanEvent(rows *sql.Rows, organizationUID string) (audit.Event, error) {
	var (
		e                        audit.Event
		pos, at, recorded, flags int64
		site, flow               sql.NullString
		salt, data, digest       []byte
		index, body              []byte
	)
	err := rows.Scan(&pos, &e.ID, &at, &recorded, &e.Type, &e.Outcome, &site, &flow, &e.Step, &flags, &salt, &data, &digest, &index, &body)
	if err != nil {
		return audit.Event{}, err
	}
	e.Time, e.Site, e.Flow, e.OrganizationUID = stored.Time(at), site.String, flow.String, organizationUID
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
	e.Sequence, e.RecordedTime, e.Forked = sequenceOf(pos), stored.Time(recorded), flags&flagForked != 0
	if digest != nil {
		e.Sealed = &audit.Sealed{Salt: salt, Data: data, Digest: digest}
	}
	e.Indexes = stored.UnpackIndexes(index)
	return e, nil
}
