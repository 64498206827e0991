package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWhoElseCanReadAFileOfKeys(t *testing.T) {
	for _, c := range []struct {
		mode         fs.FileMode
		own, ofRoots bool // exposed when it is the process's own; when it is root's
	}{{0o600, false, false}, {0o400, false, false}, {0o440, true, false}, {0o640, true, false}, {0o660, true, true}, {0o450, true, true},
		{0o604, true, true}, {0o644, true, true}, {0o601, true, true}} {
		if got := exposed(c.mode, false); got != c.own {
			t.Errorf("%04o, own: %v", c.mode, got)
		}
		if got := exposed(c.mode, true); got != c.ofRoots {
			t.Errorf("%04o, of root: %v", c.mode, got)
		}
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]bool{0o600: false, 0o640: true} { // whoever runs this, it is the process's own
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := Exposed(info); got != want {
			t.Errorf("%04o: %v", mode, got)
		}
	}
}
