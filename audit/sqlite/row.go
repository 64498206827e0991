package sqlite

import (
	"database/sql"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
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

// Field numbers of postern.store.v1.EventRecord that have columns or tables of their own.
const (
	fieldPersonal  = 2
	fieldIndexes   = 3
	fieldDirectory = 4
)

// bodyOf returns an encoded EventRecord without its sealed part, its indexes and what it brings for the history: what stays
// when a person is erased. It copies
// the other fields as they came, also those this binary does not know. False when the bytes are no such record.
func bodyOf(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != codec.Format {
		return nil, false
	}
	body := make([]byte, 1, len(raw))
	body[0] = raw[0]
	for rest := raw[1:]; len(rest) > 0; {
		number, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			return nil, false
		}
		if number != fieldPersonal && number != fieldIndexes && number != fieldDirectory {
			body = append(body, rest[:n]...)
		}
		rest = rest[n:]
	}
	return body, true
}

// storable returns the event of an entry and the bytes to keep. What cannot be kept as an event becomes one of type
// unreadable with all its bytes: an entry never stops its partition.
func storable(partition int, entry *audit.Entry) (audit.Event, []byte) {
	e := entry.Event
	e.RecordedTime, e.Forked = entry.RecordedTime, false
	if e.Type != audit.TypeUnreadable {
		if body, ok := bodyOf(entry.Raw); ok && e.ID != "" && e.OrganizationUID != "" && e.Type != "" {
			return e, body
		}
	} else if e.ID != "" && e.OrganizationUID != "" {
		return e, append([]byte{}, entry.Raw...)
	}
	return audit.NewUnreadable(partition, entry.OutboxID, entry.Raw, entry.RecordedTime), append([]byte{}, entry.Raw...)
}

// packIndexes writes indexes one after the other: purpose, length, value.
func packIndexes(indexes []audit.Index) []byte {
	var b []byte
	for _, x := range indexes {
		b = protowire.AppendVarint(b, uint64(x.Purpose)) //nolint:gosec // purposes are small and positive
		b = protowire.AppendBytes(b, x.Value)
	}
	return b
}

func unpackIndexes(b []byte) []audit.Index {
	var out []audit.Index
	for len(b) > 0 {
		purpose, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return out
		}
		value, m := protowire.ConsumeBytes(b[n:])
		if m < 0 {
			return out
		}
		out = append(out, audit.Index{Purpose: audit.Purpose(purpose), Value: append([]byte{}, value...)}) //nolint:gosec // written by packIndexes
		b = b[n+m:]
	}
	return out
}

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
	e.Time, e.Site, e.Flow, e.OrganizationUID = fromNanos(at), site.String, flow.String, organizationUID
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
	e.Sequence, e.RecordedTime, e.Forked = sequenceOf(pos), fromNanos(recorded), flags&flagForked != 0
	if digest != nil {
		e.Sealed = &audit.Sealed{Salt: salt, Data: data, Digest: digest}
	}
	e.Indexes = unpackIndexes(index)
	return e, nil
}
