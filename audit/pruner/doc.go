// Package pruner lets the record end where organizations' retention says, and tells them.
//
// Purpose: now and then make the archive's shelves of the near future, drop those that nobody's retention needs any more, and
// write one archive.pruned event for each organization that had something on them. One Pruner runs per process; a lease keeps
// several from doing the same work.
//
// Invariant: what goes leaves its record in the same transaction (audit.Keeper), and the record is marked as told only after
// the event is in the outbox. Dying in between tells again with the same event id, which the archive stores once. Two pruners
// at work at once harm nothing.
//
// It must never decide by itself what may go (the archive looks again within its transaction), never drop on a single look at
// the clock, and never wait on anything a sign-in waits on.
//
// Read pruner.go.
package pruner
