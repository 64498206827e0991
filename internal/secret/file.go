package secret

import "io/fs"

// Exposed reports whether others than this process's user can read a file of keys, by its mode. One that belongs to root may be
// read by its group too, as orchestrators hand secrets to processes that are not root.
func Exposed(info fs.FileInfo) bool { return exposed(info.Mode().Perm(), ofRoot(info)) }

func exposed(mode fs.FileMode, ofRoot bool) bool {
	if ofRoot {
		return mode&0o037 != 0
	}
	return mode&0o077 != 0
}
