// Package idp speaks with identity providers: the side of a sign-in elsewhere that needs a network or a secret.
//
// Purpose: implement authflow.Providers. Where a provider is (discovery, metadata, presets), what takes a person there, how a
// code becomes tokens, and which expectations and keys the verifiers of authflow/verify are given for a connection.
//
// Invariants: every request goes through internal/outbound; what is fetched is bounded in bytes, time, number and frequency; a
// code leaves at most once for each call; what is handed out as an identity was accepted by a verifier, or with the preset
// github read from the user API with a token that this process got for the code.
//
// It must never keep or log a code, token, assertion, nonce or secret, quote one in a Refusal, or decide what an identity
// is good for: that is the use cases'.
//
// Read client.go first, preset.go for what is known of which provider.
package idp
