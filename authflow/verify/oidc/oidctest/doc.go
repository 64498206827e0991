// Package oidctest is a corpus of ID tokens, honest and hostile, each with the verdict that is right.
//
// Purpose: the same cases for everything that judges ID tokens: the verifier, the command, the calls. Every case is signed anew with
// the keys of one made-up issuer, for the setting it is asked for.
// Invariant: a case has one name and one verdict whatever judges it.
// It must never be imported by anything but tests, and never ask the verifier what the verdict should be.
// Read case.go first.
package oidctest
