package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/secret"
)

// settings says what was given up on purpose.
func (e *Examination) settings() {
	if e.Config.Embedded() {
		e.bad(Warn, "settings.redis", "redis.mode is embedded", "the embedded store is for trying out: a kill loses what the last seconds brought",
			"run a Redis and set redis.mode and redis.addresses (docs/operations.md)")
	}
	waived := 0
	for _, f := range config.Fields(&e.Config) {
		if strings.Contains(f.Path, "insecure_") && f.YAML() == "true" {
			waived++
			e.bad(Warn, "settings."+f.Path, "is true", "it gives up a promise (docs/reference/config.md says which)", "remove "+f.Path+" once what it waives is mended")
		}
	}
	if waived == 0 {
		e.ok("settings.insecure", "no promise is given up by a setting")
	}
}

// Room on disk.
const (
	tightPercent = 15
	fullPercent  = 5
)

// machine looks at the data directory and its disk.
func (e *Examination) machine() {
	dir := e.Config.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.bad(Warn, "data_dir", dir+" does not exist", "the first start makes it, with mode 0700", "start postern, or make it: install -d -m 0700 "+dir)
		dir = filepath.Dir(filepath.Clean(dir))
	case err != nil:
		e.bad(Fail, "data_dir", plain(err), "keysets, socket and archive lie there", "let the process's user enter "+dir)
		return
	case !info.IsDir():
		e.bad(Fail, "data_dir", dir+" is no directory", "keysets, socket and archive lie there", "set data_dir to a directory")
		return
	case info.Mode().Perm()&0o077 != 0:
		e.bad(Warn, "data_dir", fmt.Sprintf("%s has mode %04o", dir, info.Mode().Perm()), "others on this machine can list what lies there",
			"chmod 0700 "+dir)
	default:
		e.ok("data_dir", dir)
	}
	free, err := freePercent(dir)
	switch {
	case err != nil:
		e.skip("data_dir.disk", "cannot be asked on this system")
	case free < fullPercent:
		e.bad(Fail, "data_dir.disk", fmt.Sprintf("%.0f %% free", free), "an archive or a spool that cannot be written to stops taking events", "make room on the disk of "+dir)
	case free < tightPercent:
		e.bad(Warn, "data_dir.disk", fmt.Sprintf("%.0f %% free", free), "the archive grows", "make room on the disk of "+dir+", or keep the record for fewer days")
	default:
		e.ok("data_dir.disk", fmt.Sprintf("%.0f %% free", free))
	}
}

// keys looks at what must never be lost and never be seen.
func (e *Examination) keys() {
	master, hash := e.Config.Keys.MasterFile, e.Config.Keys.HashFile
	own := master == ""
	if own {
		master, hash = filepath.Join(e.Config.DataDir, seal.Directory, seal.MasterFile), filepath.Join(e.Config.DataDir, seal.Directory, seal.HashFile)
	}
	const why = "without the master keyset everything that is sealed is gone, and whoever can read it can open everything"
	keysets, err := seal.Load(master, hash)
	switch {
	case own && errs.Is(err, "KEYSET_MISSING") && missing(master) && missing(hash):
		e.bad(Warn, "keys", "there are none in "+filepath.Dir(master)+" yet", "the very first start makes them; on a later one they must be there", "start postern once, then copy them to where no copy of the data is")
	case err != nil:
		e.bad(Fail, "keys", plain(err), why, "restore both files from their backup, mode 0600")
	default:
		e.ok("keys", "master "+keysets.MasterFingerprint()+", hash "+keysets.HashFingerprint())
	}
	if e.Config.HTTP.Address == "" {
		return
	}
	path := e.Config.HTTPKeyPath()
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		e.ok("http.key", path+" is not there yet: the start makes it")
	case err != nil:
		e.bad(Fail, "http.key", plain(err), "callers over HTTP are known by it", "let the process's user read "+path)
	case secret.Exposed(info):
		e.bad(Fail, "http.key", fmt.Sprintf("%s has mode %04o", path, info.Mode().Perm()), "whoever can read it can call everything over HTTP", "chmod 0600 "+path+", and make a new one")
	default:
		e.ok("http.key", path)
	}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// soon is how long before its end a certificate is worth a word.
const soon = 30 * 24 * time.Hour

// certificate looks at the end of a certificate in a file.
func (e *Examination) certificate(check, certFile, keyFile string) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	const why = "connections that show it are refused after its end"
	switch {
	case err != nil:
		e.bad(Fail, check, plain(err), "no connection can be made with it", "put a PEM certificate and its key there")
	case e.Now().After(pair.Leaf.NotAfter):
		e.bad(Fail, check, "ended "+pair.Leaf.NotAfter.UTC().Format(time.DateOnly), why, "renew "+certFile)
	case e.Now().Add(soon).After(pair.Leaf.NotAfter):
		e.bad(Warn, check, "ends "+pair.Leaf.NotAfter.UTC().Format(time.DateOnly), why, "renew "+certFile)
	default:
		e.ok(check, "until "+pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
}

// plain is what people read of an error.
func plain(err error) string {
	if known := errs.As(err); known != nil {
		return string(known.Reason) + ": " + known.Public
	}
	return err.Error()
}
