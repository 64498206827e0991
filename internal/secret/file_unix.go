//go:build unix

package secret

import (
	"io/fs"
	"os"
	"syscall"
)

// ofRoot reports whether a file is root's and this process is not.
func ofRoot(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == 0 && os.Geteuid() != 0
}
