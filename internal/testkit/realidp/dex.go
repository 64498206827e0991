package realidp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	portsTried = 10
	pollEvery  = 10 * time.Millisecond
	maxAnswer  = 64 << 10
)

// StartDex runs Dex, with its configuration in dir, everything else in its memory.
func StartDex(dir string, c Client) (*OIDC, error) {
	program, err := installed("dex")
	if err != nil {
		return nil, err
	}
	if c.Algorithm != "" && c.Algorithm != "RS256" {
		return nil, fmt.Errorf("realidp: Dex signs with RS256, not %s", c.Algorithm)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	o := &OIDC{Client: c, User: newUser()}
	// Dex puts its own address into everything, so the port is chosen first; another process may take it meanwhile: then again.
	for range portsTried {
		if err = o.startDex(dir, program); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *OIDC) startDex(dir, program string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	o.Issuer = "http://" + addr + "/dex"
	file := filepath.Join(dir, "dex.json") // Dex reads YAML, which JSON is
	config, err := o.dexConfig(addr)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return fmt.Errorf("realidp: %w", err)
	}
	if o.process, err = run(dir, program, "serve", file); err != nil {
		return err
	}
	if err := o.awaitDiscovery(); err != nil {
		stopped := o.process.stop()
		if strings.Contains(o.Log(), "address already in use") {
			return errPortTaken
		}
		return errors.Join(fmt.Errorf("%w: %s", err, o.Log()), stopped)
	}
	return nil
}

func (o *OIDC) dexConfig(addr string) ([]byte, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(o.User.Password), bcrypt.DefaultCost) // Dex takes no cheaper one
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	config, err := json.Marshal(map[string]any{
		"issuer":  o.Issuer,
		"storage": map[string]any{"type": "memory"},
		"web":     map[string]any{"http": addr},
		"logger":  map[string]any{"level": "warn", "format": "text"},
		"oauth2":  map[string]any{"skipApprovalScreen": false},
		"staticClients": []any{map[string]any{
			"id": o.Client.ID, "secret": o.Client.Secret, "name": "Relying party of a test", "redirectURIs": []string{o.Client.RedirectURI},
		}},
		"enablePasswordDB": true,
		"staticPasswords": []any{map[string]any{
			"email": o.User.Email, "username": o.User.Name, "userID": "7f1c6d4e-guest", "hash": string(hash),
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	return config, nil
}

// awaitDiscovery waits until this Dex describes itself.
func (o *OIDC) awaitDiscovery() error {
	ctx, cancel := context.WithTimeout(context.Background(), upWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := describes(ctx, client, o.Issuer)
		if err == nil {
			return nil
		}
		select {
		case <-o.process.exited:
			return fmt.Errorf("realidp: Dex ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("realidp: Dex was not ready within %v: %w", upWithin, err)
		case <-tick.C:
		}
	}
}

func describes(ctx context.Context, client *http.Client, issuer string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var found struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&found); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if found.Issuer != issuer {
		return fmt.Errorf("discovery names %q", found.Issuer)
	}
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("realidp: find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
