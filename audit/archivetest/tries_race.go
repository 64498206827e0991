//go:build race

package archivetest

// fewer is what numbers of tries made by dice are divided by: under the race detector each takes ten times as long, and what it looks
// for, goroutines that meet, is not what they are about.
const fewer = 6
