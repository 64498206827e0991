// Package sqlite keeps the record in one SQLite file (modernc.org/sqlite, no cgo).
//
// Purpose: audit.Archive, audit.BatchArchive, audit.Reader and audit.Recovery for one host, from trying out to a few tens of
// millions of events.
//
// Invariant: a batch is in the file whole or not at all, and once Append has returned nil it survives kill -9 and a power cut
// (WAL with synchronous=FULL). Sequence numbers of an organization have no gaps. One connection writes; the others only read.
//
// It must never open a sealed part, never show SQLite's own texts to a caller, and never change or delete an event.
//
// Read migrations/00001_record.sql first: it explains the layout and why each index exists. Then append.go and query.go.
package sqlite
