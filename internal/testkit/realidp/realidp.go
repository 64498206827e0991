// Package realidp starts identity providers that nobody here wrote and signs a person in at their own login pages: Dex and
// oidc-provider (OpenID Connect), samlify and crewjam's samlidp (SAML 2.0).
//
// Invariant: a provider listens on 127.0.0.1 alone over plain HTTP, has keys, secrets and one person of its own, knows one relying
// party, and is gone when Stop returns. Users of tests take Dex, OIDCProvider, Samlify and Samlidp, which stop by themselves; a
// demonstration takes Start…. What is started comes from hack/ensure-idps.sh (make idps).
//
// It must never reach the binary, skip a test because a provider is missing, or send anything to the relying party: signing in
// returns the request that a browser would make there. Read Client and SP first, then oidc.go and saml.go.
package realidp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

// signInWithin bounds one sign-in at a login page; generous, for a machine under load.
const signInWithin = time.Minute

// ErrNotInstalled means that what a provider needs is not here. Its text says how to get it.
var ErrNotInstalled = errors.New("the identity providers for tests are not installed: run `make idps` (or make test, which does)")

// User is the one person a provider knows.
type User struct {
	Name     string // displayed
	Email    string // also what is typed as the user name
	Password string
}

// newUser is somebody with a password of this run.
func newUser() User {
	return User{Name: "Gwen Guest", Email: "gwen@partner-postern-demo.com", Password: rand.Text()}
}

// installed finds a file or directory that hack/ensure-idps.sh put into hack/idps, from the directory this process works in
// upwards: tests and `go run` work inside the repository.
func installed(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("realidp: %w", err)
	}
	for {
		root := filepath.Join(dir, "hack", "idps")
		if _, err := os.Stat(filepath.Join(root, "package-lock.json")); err == nil {
			path := filepath.Join(root, name)
			if _, err := os.Stat(path); err != nil {
				return "", fmt.Errorf("realidp: %s: %w", path, ErrNotInstalled)
			}
			return path, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("realidp: not inside the repository: %w", ErrNotInstalled)
		}
		dir = up
	}
}

// person opens a browser for somebody at a provider of a relying party.
func person(u User, callback string) (*browser.Browser, error) {
	b, err := browser.New(nil)
	if err != nil {
		return nil, err
	}
	b.Callbacks = []string{callback}
	b.User, b.Password = u.Email, u.Password
	return b, nil
}

// signIn runs one visit with a bound.
func signIn(ctx context.Context, visit func(context.Context) (browser.Callback, error)) (browser.Callback, error) {
	ctx, cancel := context.WithTimeout(ctx, signInWithin)
	defer cancel()
	return visit(ctx)
}

// stopper ends what a test has started.
type stopper interface{ Stop() error }

func stopAtEnd(t testing.TB, s stopper) {
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("realidp: stop: %v", err)
		}
	})
}
