package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// lockFile takes a lock that ends with the process, however that ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process runs on it; stop that one or choose another directory")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// listenSocket listens on a unix socket that only this user can open. What a killed process left behind is removed; a socket
// that somebody answers on is not.
func listenSocket(path string) (net.Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The file is made with its final mode: between making and changing it somebody could connect.
	before := syscall.Umask(0o177)
	l, err := net.Listen("unix", path) //nolint:noctx // nothing to wait for
	syscall.Umask(before)
	return l, err
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is there and no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("another process serves on %s", path), c.Close())
	}
	return os.Remove(path)
}
