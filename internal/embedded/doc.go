// Package embedded is a Redis-compatible store in this process, for trying Postern out without a Redis server.
//
// It runs miniredis behind in-memory connections: nothing listens, so that no neighbour on the machine can reach it. Every
// few seconds, and on a clean stop, everything goes into one snapshot file that is replaced in one step.
// Invariant: a snapshot is one moment of the whole store, a damaged one is refused, and stream ids never go back.
// It is outside the promise that nothing acknowledged is lost: a kill loses what came after the last snapshot, and the
// recovery at the next start says what that was. It must never be used for production data.
// Read embedded.go first, then snapshot.go; the file's form is in format.go.
package embedded
