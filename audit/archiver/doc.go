// Package archiver carries events from the outboxes to the archive.
//
// Purpose: read what waits at the head of each partition's outbox, store it durably, then let it go. One Archiver runs per
// process; several processes share the partitions through a lease.
//
// Invariant: an entry leaves its outbox only after the archive has answered that it is durable. Stopping, dying or waking up
// too late at any point loses nothing and doubles nothing: entries are read again and their ids are known to the archive, and
// the archive's epochs shut out whoever lost a partition. The lease is a hint that saves work, no more.
//
// It must never drop an entry, never stop a partition because of one entry, and never open a sealed part.
//
// Read archiver.go first, then pass.go.
package archiver
