// Package convert turns requests into domain values and domain values into answers.
//
// Purpose: the border. In front of it stands text from anywhere, behind it values with a known size and shape. Every field of
// every request message has a bound in the table of bounds.go; one walker (check.go) holds each request against it before a
// converter looks at any field. Combinations of fields that only make sense together are authflow's to judge: it knows the
// flow.
// Invariant: a request field without a bound is a start-up error; what a person typed passes only as an address or to be
// hashed; errors name the field, never its value.
// It must never read the clock, a store or the context.
// First file to read: bounds.go.
package convert
