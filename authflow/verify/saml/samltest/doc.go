// Package samltest makes SAML responses, honest and hostile, with the verdict each must get.
//
// Purpose: one suite for everything that judges responses: the verifier, the command line, the service. Invariant: a case of it
// says what is wrong with the response in its name, and nothing else is wrong with it; honest ones are signed by the key the
// expectations name. It must never be imported by anything but tests. First file to read: world.go.
package samltest
