// Package erasure forgets people.
//
// Purpose: take a request to erase one person from an organization, and carry it out in pieces that survive a crash: what the live
// store keeps of the account, what the archive keeps of the person, and once more when the sign-ins that were under way have ended.
// Invariant: a request and its event are one write, as are the end of an erasure and its event; from the moment a request is written
// the person stands in it as keyed hashes only. It must never keep an account id or an address, nor touch what an organization
// decided (claims, account lists). First file to read: erasure.go, then worker.go.
package erasure
