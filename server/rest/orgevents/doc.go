// Package orgevents serves an organization's record over HTTP in the form that today's pollers of organization audit logs read:
// /events, /events-stream, /events/{id} and /event-actions below a prefix and the organization's id.
//
// Purpose: a poller whose base URL can be set reads this record unchanged. docs/siem.md says how each known one is pointed here.
// Invariant: a request shows rows of the one organization its key is of, and nothing else; what /events-stream has served is never
// followed by a row that belongs before it; every answer is JSON, refusals in the errors envelope included, and leave
// access.denied on the record. It must never put a credential, a query or an address into a log, answer with a permission for other
// origins, or build a link from a header. First file to read: handler.go, then actions.go (names) and row.go (rows).
package orgevents
