// Package resolve asks name servers for the record a domain's zone has to show.
//
// Purpose: one question to each configured resolver at once, over UDP and, when the answer does not fit, over TCP, and what each
// of them said as a domaincheck.Answer.
//
// Invariant: an answer is negative only when it carries the zone's own SOA, or an alias that leads elsewhere; whatever cannot be
// read, is too late, too large, an error, or answers another question is trouble. Every question has a random id and a random
// source port. It must never decide what answers come to (package domaincheck does), ask anything but configured resolvers, or
// follow an alias anywhere but to another challenge name, once. First file to read: resolve.go; read.go reads replies.
package resolve
