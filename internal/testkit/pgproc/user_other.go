//go:build !linux

package pgproc

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// servant is this process's own user: only Linux builds run tests as root.
func servant() (*syscall.Credential, error) { return nil, nil } //nolint:nilnil // this process's own user

func (p *Process) attributes() *syscall.SysProcAttr { return nil }

// children lists the processes of a server: each is a child of the first one.
func children(pid int) []int {
	b, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	if err != nil {
		return nil
	}
	var out []int
	for _, f := range strings.Fields(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}
