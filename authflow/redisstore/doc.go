// Package redisstore keeps flows in Redis and moves their events to the archiver: it implements authflow.Store, audit.Outbox
// and audit.Source.
//
// Purpose: one Lua script per change (commit.lua), one per read (read.lua), and the outboxes, one stream per partition.
// Invariant: a script looks at everything before it writes anything, so that state and events change together or not at all;
// a commit is sent once; what identifies a person is sealed before it leaves this process, and sealed once.
//
// It must never decide what a flow does next, read the clock but through its configuration, or let driver text out.
// Read store.go first, then commit.lua and commit.go; what stands in Redis is in state.go.
package redisstore
