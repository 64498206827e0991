// Package redisx is what every user of Redis in Postern shares: key names, client options, the running of scripts, the
// meaning of errors, the offset to Redis' clock and the checks of a server.
//
// Invariant: every key of a partition carries the partition's hash tag, so that a script's keys lie in one slot; a script is
// sent once; an error says truthfully whether a write may have happened.
//
// It must never know what a record holds, and never let driver text reach a caller.
// Read keys.go first, then script.go and classify.go.
package redisx
