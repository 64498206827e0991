//go:build !linux

package redistest

import "os/exec"

// dieWithParent does nothing where the kernel cannot tie the server's life to that of the test binary.
func dieWithParent(*exec.Cmd) {}
