// Package postgres keeps the record in a PostgreSQL database, 15 or newer.
//
// Purpose: audit.Archive, audit.BatchArchive, audit.Reader, audit.Recovery, audit.Keeper and audit.Shelves for many processes
// on many hosts.
//
// Invariant: a batch is in the database whole or not at all, and once Append has returned nil it survives kill -9 of the server
// and a power cut (Check says whether the server is set up so). Sequence numbers of an organization have no gaps but those of
// dropped shelves. Everything one transaction locks it locks in one order: epochs, organizations, shelves, tables of shelves.
//
// It must never open a sealed part, never show PostgreSQL's own texts to a caller, and never change or delete an event.
//
// Read migrations/00001_record.sql and shelf.sql first: they explain the layout and why each index exists. Then append.go and
// query.go.
package postgres
