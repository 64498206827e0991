package idptest

import "slices"

// Seen is every private value that went through the provider so far, either way: states, nonces, codes, code verifiers, client
// assertions, access tokens and ID tokens; RelayStates, request ids and responses. A test looks for them where they must not be.
func (w *web) Seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// saw keeps private values; what is empty is none.
func (w *web) saw(values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range values {
		if v != "" {
			w.seen = append(w.seen, v)
		}
	}
}
