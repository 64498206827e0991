package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// The snapshot file:
//
//	file   = magic version saved count record* crc
//	magic  = "POSTERNS"     version = 1 byte     saved = 8 bytes, Unix ms     count = 4 bytes
//	record = type key expires value          expires = 8 bytes, Unix ms, 0 for never
//	value  = text                            of a string
//	       | n (field value)*                of a hash
//	       | n (member score)*               of a sorted set; score = 8 bytes, IEEE 754
//	       | n (id m text*)*                 of a stream
//	text   = length byte*                    length, n, m = unsigned varint
//	crc    = 4 bytes, CRC-32C of everything before
//
// Fixed numbers are big-endian.
const (
	magic         = "POSTERNS"
	formatVersion = 1
	headerSize    = len(magic) + 1 + 8 + 4
)

const (
	typeString = 's'
	typeHash   = 'h'
	typeZSet   = 'z'
	typeStream = 'x'
)

// record is one key.
type record struct {
	kind    byte
	key     string
	expires time.Time // zero: never
	text    string
	pairs   []string // field, value, field, value …
	members []member
	entries []entry
}

type member struct {
	name  string
	score float64
}

type entry struct {
	id     string
	values []string
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// encode returns the whole file.
func encode(saved time.Time, records []record) []byte {
	b := append(make([]byte, 0, 1<<16), magic...)
	b = append(b, formatVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(saved.UnixMilli()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(records))) //nolint:gosec // far fewer
	for i := range records {
		b = records[i].append(b)
	}
	return binary.BigEndian.AppendUint32(b, castagnoli(b))
}

func (r *record) append(b []byte) []byte {
	b = appendText(append(b, r.kind), r.key)
	var expires uint64
	if !r.expires.IsZero() {
		expires = uint64(r.expires.UnixMilli())
	}
	b = binary.BigEndian.AppendUint64(b, expires)
	switch r.kind {
	case typeString:
		b = appendText(b, r.text)
	case typeHash:
		b = appendTexts(b, r.pairs)
	case typeZSet:
		b = binary.AppendUvarint(b, uint64(len(r.members)))
		for _, m := range r.members {
			b = binary.BigEndian.AppendUint64(appendText(b, m.name), math.Float64bits(m.score))
		}
	case typeStream:
		b = binary.AppendUvarint(b, uint64(len(r.entries)))
		for _, e := range r.entries {
			b = appendTexts(appendText(b, e.id), e.values)
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, all []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, s := range all {
		b = appendText(b, s)
	}
	return b
}

// decode reads a whole file.
func decode(b []byte) (saved time.Time, records []record, err error) {
	switch {
	case len(b) < headerSize+4 || string(b[:len(magic)]) != magic:
		return saved, nil, damaged("it is no snapshot of Postern")
	case b[len(magic)] > formatVersion:
		return saved, nil, errs.Newf(errs.FailedPrecondition, "SNAPSHOT_NEWER",
			"the snapshot has version %d, this process reads up to %d: a newer version wrote it", b[len(magic)], formatVersion)
	case binary.BigEndian.Uint32(b[len(b)-4:]) != castagnoli(b[:len(b)-4]):
		return saved, nil, damaged("its checksum is wrong")
	}
	saved = time.UnixMilli(int64(binary.BigEndian.Uint64(b[len(magic)+1:]))).UTC() //nolint:gosec // what encode wrote
	count := binary.BigEndian.Uint32(b[len(magic)+9:])
	d := decoder{rest: b[headerSize : len(b)-4]}
	for range count {
		r := d.record()
		if d.bad {
			return saved, nil, damaged("a record cannot be read")
		}
		records = append(records, r)
	}
	if len(d.rest) != 0 {
		return saved, nil, damaged("something follows the last record")
	}
	return saved, records, nil
}

func damaged(why string) error {
	return errs.New(errs.FailedPrecondition, "SNAPSHOT_DAMAGED", "the snapshot cannot be used: "+why)
}

// decoder reads from the front of rest; bad stays set once something was not there.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) record() record {
	kind := d.bytes(1)
	r := record{key: d.text()}
	if ms := d.fixed(); ms != 0 {
		r.expires = time.UnixMilli(int64(ms)).UTC() //nolint:gosec // what append wrote
	}
	if d.bad {
		return r
	}
	r.kind = kind[0]
	switch r.kind {
	case typeString:
		r.text = d.text()
	case typeHash:
		r.pairs = d.texts()
	case typeZSet:
		for range d.count() {
			r.members = append(r.members, member{d.text(), math.Float64frombits(d.fixed())})
		}
	case typeStream:
		for range d.count() {
			r.entries = append(r.entries, entry{d.text(), d.texts()})
		}
	default:
		d.bad = true
	}
	return r
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) fixed() uint64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// count reads a number of things that take at least one byte each.
func (d *decoder) count() int {
	n, size := binary.Uvarint(d.rest)
	if d.bad || size <= 0 || n > uint64(len(d.rest)-size) { //nolint:gosec // size is at most the length
		d.bad = true
		return 0
	}
	d.rest = d.rest[size:]
	return int(n) //nolint:gosec // bounded by the file
}

func (d *decoder) text() string { return string(d.bytes(d.count())) }

func (d *decoder) texts() []string {
	n := d.count()
	if d.bad {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.text())
	}
	return out
}
