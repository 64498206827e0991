// Package document reads organization documents: what `postern org apply` and ApplyOrganization take, YAML or JSON.
//
// Purpose: turn at most 1 MiB of text into typed, parsed values with the place of each, and plan what applying them would
// change. Invariant: everything wrong is reported at once with line, column and a fix; unknown keys, duplicate keys, anchors,
// aliases, tags and second documents are refused; what Parse returns has been parsed, not just copied. It must never read
// storage, mint an id or hash an account by itself: callers hand those in, and Plan is a pure function.
// Read document.go first, then plan.go.
package document
