// Package redisdirectory keeps organizations in Redis: it implements policy.Directory and policy.DirectoryWriter.
//
// Purpose: one hash per organization (its policy record, stamps and wrapped key), one key per domain and per claim, the
// index of domains, and the map from ids to uids. Invariant: a change and its events are one script, which checks everything
// before it writes anything; the policy record is cached by its stamp, domains and claims never are.
// It must never decide anything about a subject, and never open a personal field.
// Read record.go first, then directory.go and directory.lua.
package redisdirectory
