// Package saml is the service provider's side of SAML 2.0: it asks an identity provider about somebody and judges the answer.
//
// Purpose: turn a Response, which anybody may have written, into a federation.Identity or a federation.Refusal with the true
// reason; read identity providers' metadata; make AuthnRequests.
//
// Invariants: nothing is read before the bytes were screened (screen.go); what an Identity says is read from the very bytes a
// signature covers, and only a configured certificate can have made that signature (signature.go); whatever is accepted the
// library github.com/crewjam/saml accepts too, and then ours is checked on top (check.go). No input panics.
//
// A response is looked at from the outside in, and the first thing wrong is the reason:
//
//  0. expectations of ours that nothing could meet: VERIFIER_ERROR; no certificate, or metadata that is over: KEYS_UNAVAILABLE
//  1. size and shape of the document, and what every response must have: MALFORMED; encryption: ENCRYPTION_NOT_ALLOWED
//  2. the version and the issuer of the response: MALFORMED, ISSUER_MISMATCH
//  3. signatures: ALGORITHM_NOT_ALLOWED, SIGNATURE_INVALID, CERTIFICATE_EXPIRED
//  4. the status: IDP_ERROR
//  5. where it was sent and what it answers: RECIPIENT_MISMATCH, REQUEST_MISMATCH
//  6. in the assertion the issuer, the audience, the confirmation and at last the times: ISSUER_MISMATCH, AUDIENCE_MISMATCH,
//     MALFORMED, RECIPIENT_MISMATCH, REQUEST_MISMATCH, NOT_YET_VALID, EXPIRED
//
// It must never do I/O, read a clock, resolve what a document refers to, trust a key that came with a document, or put a part of
// a document that could be used to sign in into an error. Replays are the caller's to refuse, with Identity.Uses.
//
// Read verify.go first.
package saml
