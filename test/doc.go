// Package test holds stories that cross packages and are played against the real binary, a real redis-server and real signals.
//
// Invariant: nothing here reaches into the product; a story sees what an operator sees: the API, the files, the exit code.
// It must never sleep for luck or skip for lack of a backend. Read rig_test.go first.
package test
