package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

// TargetArchive is the target type of archive.pruned; its id names the shelf.
const TargetArchive = "archive"

// PrunedID returns the id of the event that tells p, whatever p.EventID holds. It follows from what was dropped, of whom and
// when: telling twice makes one event. It is a UUIDv7 of the time of the drop.
func PrunedID(p *Pruned) string {
	h := sha256.New()
	number := func(n int64) { _ = binary.Write(h, binary.BigEndian, n) } // a hash takes everything
	h.Write([]byte(p.OrganizationUID))
	number(int64(p.Shelf.Keep))
	number(p.Shelf.Start.UnixMilli())
	number(p.Shelf.End.UnixMilli())
	for i := range p.Parts {
		part := &p.Parts[i]
		h.Write([]byte(part.Category))
		number(part.Events)
		number(part.Flows)
		number(part.FirstSequence)
		number(part.LastSequence)
	}
	b := [16]byte(h.Sum(nil))
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(min(max(p.Dropped.UnixMilli(), 0), maxIDMillis)))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Event returns the event that tells the organization what is gone: how many events and flows of each category as its tally,
// from which to which sequence number and time as its changes.
func (p *Pruned) Event() Event {
	e := Event{
		ID: p.EventID, Type: TypeArchivePruned, Time: p.Dropped, Outcome: OutcomeOf(TypeArchivePruned),
		Organization: p.Organization, OrganizationUID: p.OrganizationUID,
		Target: &Target{Type: TargetArchive, ID: p.Shelf.String()}, Tally: map[string]int64{},
	}
	for i := range p.Parts {
		part := &p.Parts[i]
		e.Target.Count += part.Events
		name := string(part.Category)
		e.Tally[name+":events"] = part.Events
		if part.Flows > 0 {
			e.Tally[name+":flows"] = part.Flows
		}
		if part.Events > 0 {
			e.Changes = append(e.Changes,
				Change{Field: name + ".sequence", Before: strconv.FormatInt(part.FirstSequence, 10), After: strconv.FormatInt(part.LastSequence, 10)},
				Change{Field: name + ".time", Before: stamp(part.FirstTime), After: stamp(part.LastTime)})
		}
	}
	return e
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
