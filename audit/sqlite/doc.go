// Package sqlite keeps the record in one SQLite file (modernc.org/sqlite, no cgo).
//
// Purpose: audit.Archive, audit.BatchArchive, audit.Reader, audit.Recovery, audit.Keeper, audit.Shelves, audit.Counter and audit.Reclaimer
// for one host, from trying out to a few tens of millions of events.
//
// Invariant: a batch is in the file whole or not at all, and once Append has returned nil it survives kill -9 and a power cut
// (WAL with synchronous=FULL). Sequence numbers of an organization are given without gaps, whatever shelf their events go to. A
// shelf is part of the record or it is not: its row in table shelf says so, its tables may linger. One connection writes; the
// others only read.
//
// It must never open a sealed part, never show SQLite's own texts to a caller, never change an event, and never delete one that
// is part of the record.
//
// Read migrations/00001_record.sql first: it explains the layout and why each index exists; then shelves.sql and shelf.sql, which
// make one such layout per shelf, with terms.sql. Then append.go, query.go and count.go.
package sqlite
