// Package audit is the record: what an event is, which types and reasons exist, and what the parts that seal, carry, keep
// and read events promise each other.
//
// Purpose: give every other package one vocabulary for "this happened" (Event), one closed catalogue of types and reasons
// (Lookup, Types, ReasonsFor), and the contracts of the way an event takes: Codec and Sealer into the outbox, Source out of
// it, Archive into the record, Reader back to whoever asks.
//
// Invariant: an event is immutable once it has an id; what identifies a person sits in Personal and nowhere else; a type or
// reason that is not in the catalogue is never written.
//
// It must never import an adapter (no Redis, SQL, protobuf or cryptography here), never read the clock, and never hold a
// secret, a code, a token or a password in any field.
//
// Read event.go first, then catalogue.go.
package audit
