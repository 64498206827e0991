// Package apikey keeps the keys programs read an organization's record with.
//
// Purpose: mint, list, revoke and recognise bearer tokens, each good for one organization until it expires or is revoked; and emit
// the event that shows whether whoever reads the record does so. Invariant: a secret is kept as a keyed hash only, apart from the
// sealed answer to a call that may be repeated, which is gone once the key is used, revoked or 15 minutes old; a key that was made
// or revoked without its event cannot exist. It must never put a token or a part of a secret into an error, an event or a log, and
// never say more about a token that is not good than that. First file to read: token.go, then key.go, store.go and keys.go.
package apikey
