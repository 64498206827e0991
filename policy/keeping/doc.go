// Package keeping brings to the archive for how long each organization wants its record kept.
//
// Purpose: the setting stands in the directory, in Redis, and what lets the record end is the archive; this carries it there: when a
// process starts, when the archiver has stored a change of an organization, every hour, and before anything is let go. Invariant: what
// is carried last is what the directory says, whoever else carries it at the same time; what cannot be read is left as it is. It must
// never let anything of the record go itself, and never hold up a sign-in or the archiver. First file to read: keeping.go.
package keeping
