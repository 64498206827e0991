// Package postgres keeps the record in a PostgreSQL database, 15 or newer.
//
// Purpose: audit.Archive, audit.BatchArchive, audit.Reader, audit.Recovery, audit.Keeper, audit.Shelves and audit.Counter for many processes
// on many hosts.
//
// Invariant: a batch is in the database whole or not at all, and once Append has returned nil it survives kill -9 of the server
// and a power cut (Check says whether the server is set up so). Sequence numbers of an organization have no gaps but those of
// dropped shelves. Everything one transaction locks it locks in one order: epochs, organizations, shelves, tables of shelves.
//
// Counts speak of whole blocks of an organization's sequence, and are written with the event that makes a block whole (fold.go).
//
// It must never open a sealed part, never show PostgreSQL's own texts to a caller, and never change or delete an event.
//
// Read migrations/00001_record.sql, shelf.sql and counts.sql first: they explain the layout and why each index exists. Then
// append.go, query.go and counter.go.
package postgres
