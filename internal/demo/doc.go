// Package demo shows what Postern does: a score of sign-ins against a real sidecar, and the record they leave.
//
// Purpose: `postern demo`. It starts this binary's own `serve` as another process on a directory of its own, applies the example
// organization, plays a login service over gRPC, and reads the record back. Invariant: every sign-in says beforehand what the
// sidecar will answer and record, and a difference fails the demo, so that what people read is never a fairy tale. It must never
// reach into the sidecar: what it knows it has from the API. First file to read: demo.go, then stories.go.
package demo
