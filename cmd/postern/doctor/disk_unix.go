//go:build unix

package doctor

import "golang.org/x/sys/unix"

// freePercent is how much of a disk is free for this user.
func freePercent(path string) (float64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	if s.Blocks == 0 {
		return 100, nil
	}
	return 100 * float64(s.Bavail) / float64(s.Blocks), nil
}
