// Package stored says in what form an event lies in an archive's row, whatever database keeps the row.
//
// Purpose: the parts of an encoded record that have columns of their own, and the body that stays when a person is erased, so
// that a row copied from one archive to another means the same there.
// Invariant: a body holds every field of the record but the sealed part, the indexes and what the history keeps, also those this binary does not know.
// It must never open a sealed part or refuse an entry: what is no event is kept as the bytes it is.
// First file to read: stored.go.
package stored

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

// Field numbers of postern.store.v1.EventRecord that have columns of their own.
const (
	fieldPersonal  = 2
	fieldIndexes   = 3
	fieldDirectory = 4
)

// Body returns an encoded EventRecord without its sealed part, its indexes and what it brings for the history. False when the bytes are no
// such record.
func Body(raw []byte) ([]byte, bool) {
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

// Entry returns the event of an outbox entry and the body to keep. What cannot be kept as an event becomes one of type
// unreadable with all its bytes: an entry never stops its partition.
func Entry(partition int, entry *audit.Entry) (audit.Event, []byte) {
	e := entry.Event
	e.RecordedTime, e.Forked = entry.RecordedTime, false
	if e.Type != audit.TypeUnreadable {
		if body, ok := Body(entry.Raw); ok && e.ID != "" && e.OrganizationUID != "" && e.Type != "" {
			return e, body
		}
	} else if e.ID != "" && e.OrganizationUID != "" {
		return e, append([]byte{}, entry.Raw...)
	}
	return audit.NewUnreadable(partition, entry.OutboxID, entry.Raw, entry.RecordedTime), append([]byte{}, entry.Raw...)
}

// PackIndexes writes indexes one after the other: purpose, length, value. None is nil.
func PackIndexes(indexes []audit.Index) []byte {
	var b []byte
	for _, x := range indexes {
		b = protowire.AppendVarint(b, uint64(x.Purpose)) //nolint:gosec // purposes are small and positive
		b = protowire.AppendBytes(b, x.Value)
	}
	return b
}

// UnpackIndexes reads what PackIndexes wrote, as far as it goes.
func UnpackIndexes(b []byte) []audit.Index {
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
		out = append(out, audit.Index{Purpose: audit.Purpose(purpose), Value: append([]byte{}, value...)}) //nolint:gosec // written by PackIndexes
		b = b[n+m:]
	}
	return out
}
