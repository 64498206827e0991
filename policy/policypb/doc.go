// Package policypb converts the values of package policy to postern.v1 messages and back.
//
// Purpose: one conversion, used by the API (what it shows) and by the directory in Redis (what it stores).
// Invariant: what goes out comes back equal; what comes in is parsed again, so that no stored byte becomes a policy value
// unchecked. It must never fill in a default or drop an unknown value: a message it does not understand is an error, which
// the caller turns into an unreadable policy. Read organization.go first.
package policypb
