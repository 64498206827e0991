// Package directory applies organization documents: the use case behind ApplyOrganization.
//
// Purpose: turn a document into a series of directory commits (creation, additions, the policy record, removals), each all or
// nothing with its events, and carry on where an earlier call with the same request id stopped.
// Invariant: nothing is applied on a version other than the one the caller saw; every change has exactly its events; names of
// people stand only in sealed parts.
// It must never decide about a sign-in, and never touch what the API rather than a document owns.
// Read apply.go first, then commits.go.
package directory
