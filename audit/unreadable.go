package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewUnreadable returns the event that stands for an outbox entry which could not be decoded. Its id follows from partition,
// outbox id and bytes alone, so that the same entry read again is found to be stored already. It belongs to the system
// organization; whoever can read the organization from the bytes sets it.
func NewUnreadable(partition int, outboxID string, raw []byte, recorded time.Time) Event {
	h := sha256.New()
	var n [16]byte
	binary.BigEndian.PutUint64(n[:8], uint64(partition)) //nolint:gosec // a partition is a small positive number
	binary.BigEndian.PutUint64(n[8:], uint64(len(outboxID)))
	h.Write(n[:])
	h.Write([]byte(outboxID))
	h.Write(raw)
	return Event{
		ID: uuid8(h.Sum(nil)), Type: TypeUnreadable, Time: recorded, RecordedTime: recorded,
		Organization: SystemID, OrganizationUID: SystemUID, Outcome: OutcomeFailure,
	}
}

// uuid8 makes a UUID of version 8 (RFC 9562: content is the maker's business) from the first 16 bytes of a hash.
func uuid8(sum []byte) string {
	b := [16]byte(sum)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
