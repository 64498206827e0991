// Package totp checks time-based one-time codes (RFC 6238), and makes secrets, otpauth URIs and their QR codes.
//
// Purpose: turn what a person typed into a step and a reason, as a function of its arguments. How often somebody may try, and
// that a step is used once, is kept by authflow/factor.
// Invariants: a code is accepted only if github.com/pquerna/otp accepts it for a step of the window above the last one used;
// every code of the right form costs the same work, whether there is a secret or not, whichever step it matches.
// It must never keep state, read a clock, trim or repair what was typed, or let a secret or a code into an error.
// Read check.go first.
package totp
