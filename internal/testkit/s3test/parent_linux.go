package s3test

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the server when its starter dies, for then nobody is left to stop it (go test -timeout, kill).
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
