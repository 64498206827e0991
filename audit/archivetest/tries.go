//go:build !race

package archivetest

// fewer is what numbers of tries made by dice are divided by.
const fewer = 1
