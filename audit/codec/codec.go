// Package codec turns events into the private record of the outbox and the archive, and into the public message and back.
//
// Purpose: one place where audit.Event meets protobuf. A record is one format byte followed by a
// postern.store.v1.EventRecord: the event in the clear without anything personal, the personal part sealed, blind indexes.
// Invariant: no field of audit.Personal ever stands in a record outside the sealed part; an event with a sealed part is
// encoded with it byte for byte, so that writing it again changes nothing.
// It must never choose keys, reach a store, or open a personal part while decoding.
// Read codec.go first, then event.go.
package codec

import (
	"bytes"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// Format is the first byte of every record this process writes, and the newest it reads.
const Format = 1

// Personal states that readers set.
const (
	StateErased     = "ERASED"
	StateUnreadable = "UNREADABLE"
)

// Codec implements audit.Codec. Safe for concurrent use.
type Codec struct {
	sealer  audit.Sealer
	scratch sync.Pool // of *wire
}

var _ audit.Codec = (*Codec)(nil)

// New returns a codec that seals and opens with sealer.
func New(sealer audit.Sealer) *Codec { return &Codec{sealer: sealer} }

// Encode returns e's record. A sealed part that e carries is used as it is; otherwise the personal part is sealed and
// indexed now, and e stays as it was: encoding it again then yields other bytes. See SealEvent.
func (c *Codec) Encode(e *audit.Event) ([]byte, error) {
	e, sealed, indexes, err := c.ready(e)
	if err != nil {
		return nil, err
	}
	return c.marshal(e, sealed, indexes)
}

// Append is Encode that writes behind what b holds and returns the longer slice.
func (c *Codec) Append(b []byte, e *audit.Event) ([]byte, error) {
	return c.AppendRecord(append(b, Format), e)
}

// AppendRecord is Append without the format byte: the record is part of a larger one.
func (c *Codec) AppendRecord(b []byte, e *audit.Event) ([]byte, error) {
	e, sealed, indexes, err := c.ready(e)
	if err != nil {
		return nil, err
	}
	w := wire{b: b}
	w.record(e, sealed, indexes)
	return w.b, w.err()
}

// SealEvent seals e's personal part and makes its indexes, unless it has a sealed part, and keeps both in e, so that every
// later Encode uses the same bytes. What its privacy does not let stay is gone from e then.
func (c *Codec) SealEvent(e *audit.Event) error {
	if settled(e) {
		return nil // events are shared: what needs nothing is not written to
	}
	if !e.Privacy.Full() {
		return c.sealMasked(e)
	}
	sealed, indexes, err := c.sealed(e)
	if err != nil {
		return err
	}
	e.Sealed, e.Indexes = sealed, indexes
	return nil
}

// SealAfter is SealEvent for an event behind another one of the same flow: what is found by the same terms shares its indexes,
// which are a keyed hash for each term.
func (c *Codec) SealAfter(e, before *audit.Event) error {
	if settled(e) || !e.Privacy.Full() || len(before.Indexes) == 0 || !sameTerms(e, before) {
		return c.SealEvent(e)
	}
	sealed, err := c.seal(e)
	if err != nil {
		return err
	}
	e.Sealed, e.Indexes = sealed, before.Indexes
	return nil
}

// ready returns e as it may leave the process, with its sealed part and indexes. e itself stays as it was.
func (c *Codec) ready(e *audit.Event) (*audit.Event, *audit.Sealed, []audit.Index, error) {
	if e.Privacy.Full() || settled(e) {
		sealed, indexes, err := c.sealed(e)
		return e, sealed, indexes, err
	}
	masked := *e
	err := c.sealMasked(&masked)
	return &masked, masked.Sealed, masked.Indexes, err
}

// sealed returns e's sealed part and indexes, made now if it has none. An event about nobody has neither, nor has one of an
// organization whose key was destroyed: that it happened is still recorded.
func (c *Codec) sealed(e *audit.Event) (*audit.Sealed, []audit.Index, error) {
	if settled(e) {
		return e.Sealed, e.Indexes, nil
	}
	var stack [maxTerms]audit.IndexTerm
	terms := termsOf(stack[:0], e)
	indexes, err := makeIndexes(c.sealer, e.OrganizationUID, terms)
	var sealed *audit.Sealed
	if err == nil {
		sealed, err = c.seal(e)
	}
	if errs.Is(err, audit.KeyDestroyed) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return sealed, append(indexes, e.Sought...), nil
}

// termsOf adds what an event is found by when all of it is kept.
func termsOf(terms []audit.IndexTerm, e *audit.Event) []audit.IndexTerm {
	terms = appendTerms(terms, &e.Personal)
	if e.IdentifierHash != "" {
		terms = append(terms, audit.IndexTerm{Purpose: audit.IndexIdentifier, Value: e.IdentifierHash})
	}
	return terms
}

// seal encrypts e's personal part, nil when it is empty.
func (c *Codec) seal(e *audit.Event) (*audit.Sealed, error) {
	if personalEmpty(&e.Personal) {
		return nil, nil //nolint:nilnil // an event about nobody has no such part
	}
	return c.sealer.Seal(e.OrganizationUID, e.ID, e.Personal)
}

// settled reports whether an event has its sealed part and indexes, or needs none.
func settled(e *audit.Event) bool {
	return e.Sealed != nil || personalEmpty(&e.Personal) && (e.IdentifierHash == "" || e.Indexes != nil)
}

// Decode reads a record. It opens nothing: Personal stays empty, Sealed and Indexes are set.
func (c *Codec) Decode(b []byte) (audit.Event, error) {
	if err := checkFormat(b); err != nil {
		return audit.Event{}, err
	}
	var r storev1.EventRecord
	if err := proto.Unmarshal(b[1:], &r); err != nil {
		return audit.Event{}, malformed(err, "it is no event record")
	}
	if r.GetEvent() == nil {
		return audit.Event{}, malformed(nil, "it holds no event")
	}
	e, err := fromBody(r.GetEvent())
	if err != nil {
		return audit.Event{}, err
	}
	e.Sealed, e.Indexes, e.Named = SealedFromProto(r.GetPersonal()), IndexesFromProto(r.GetIndexes()), r.GetNamed()
	e.Directory, err = directoryFrom(r.GetDirectory())
	return e, err
}

// Open fills e.Personal from e.Sealed. A part that was erased or cannot be opened is no error: PersonalState says so.
func (c *Codec) Open(e *audit.Event) error {
	if e.Sealed == nil {
		return nil
	}
	if len(e.Sealed.Salt) == 0 && len(e.Sealed.Data) == 0 {
		e.PersonalState = StateErased
		return nil
	}
	p, err := c.sealer.Open(e.OrganizationUID, e.ID, e.Sealed)
	if errs.Is(err, audit.KeyDestroyed) {
		e.PersonalState = StateErased
		return nil
	}
	if err != nil {
		e.PersonalState = StateUnreadable
		return nil //nolint:nilerr // the contract: a reader sees the event all the same
	}
	e.Personal, e.PersonalState = p, ""
	return nil
}

// marshal writes the format byte and the record, and returns bytes of their own.
func (c *Codec) marshal(e *audit.Event, sealed *audit.Sealed, indexes []audit.Index) ([]byte, error) {
	w, ok := c.scratch.Get().(*wire)
	if !ok {
		w = &wire{b: make([]byte, 0, 2048)}
	}
	defer c.scratch.Put(w)
	w.b, w.bad = append(w.b[:0], Format), false
	w.record(e, sealed, indexes)
	if err := w.err(); err != nil {
		return nil, err
	}
	return bytes.Clone(w.b), nil
}

// checkFormat looks at the format byte.
func checkFormat(b []byte) error {
	switch {
	case len(b) == 0:
		return malformed(nil, "it is empty")
	case b[0] > Format:
		return errs.Newf(errs.FailedPrecondition, "RECORD_FORMAT_NEWER",
			"the record has format %d, this process reads up to %d: a newer version wrote it", b[0], Format)
	case b[0] == 0:
		return malformed(nil, "its format byte is 0")
	}
	return nil
}

// malformed is the error for bytes that are no record.
func malformed(cause error, why string) error {
	return errs.Wrap(cause, errs.Internal, "RECORD_MALFORMED", "the record cannot be read: "+why)
}

// SealedToProto converts a sealed part; nil stays nil.
func SealedToProto(s *audit.Sealed) *storev1.SealedPart {
	if s == nil {
		return nil
	}
	return &storev1.SealedPart{Salt: s.Salt, Sealed: s.Data, Digest: s.Digest}
}

// SealedFromProto is the reverse of SealedToProto. The result shares bytes with m.
func SealedFromProto(m *storev1.SealedPart) *audit.Sealed {
	if m == nil {
		return nil
	}
	return &audit.Sealed{Salt: m.GetSalt(), Data: m.GetSealed(), Digest: m.GetDigest()}
}

// IndexesToProto converts blind indexes.
func IndexesToProto(in []audit.Index) []*storev1.Index {
	if len(in) == 0 {
		return nil
	}
	all := make([]storev1.Index, len(in))
	out := make([]*storev1.Index, len(in))
	for i := range in {
		all[i].Purpose, all[i].Value = int32(in[i].Purpose), in[i].Value
		out[i] = &all[i]
	}
	return out
}

// IndexesFromProto is the reverse of IndexesToProto. The result shares bytes with in.
func IndexesFromProto(in []*storev1.Index) []audit.Index {
	if len(in) == 0 {
		return nil
	}
	out := make([]audit.Index, len(in))
	for i, m := range in {
		out[i] = audit.Index{Purpose: audit.Purpose(m.GetPurpose()), Value: m.GetValue()}
	}
	return out
}
