// Package savedfilter keeps filters of events under a name, each organization its own.
//
// Purpose: make, replace, remove and look up saved filters, so that what an admin asks every morning has a name. Invariant: what a filter
// says may name people, and is therefore kept sealed with the organization's key; a filter that was changed without its event cannot
// exist. It must never say what a filter means (it keeps bytes that server/convert reads), nor put its personal values into an error,
// a log or the clear part of an event. First file to read: filter.go, then store.go and filters.go.
package savedfilter
