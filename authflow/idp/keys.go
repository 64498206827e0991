package idp

import (
	"context"
	"sync"
	"time"

	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/policy"
)

// ExpiresSoon is how long before its end a certificate is worth a word.
const ExpiresSoon = 30 * 24 * time.Hour

// ProviderKeys is what a provider signs with.
type ProviderKeys struct {
	// Fingerprint is the same for the same keys in any order.
	Fingerprint  string
	Certificates []Certificate // of a SAML provider
	// RedirectURL and PostURL are where a SAML provider is: with the certificates, what a connection with a metadata URL keeps.
	RedirectURL, PostURL string
}

// Certificate is one certificate of a provider.
type Certificate struct {
	Subject     string
	Fingerprint string // SHA-256 of the certificate, hex
	NotBefore   time.Time
	NotAfter    time.Time
	DER         []byte // shared: nobody changes it
}

// Soon reports whether the certificate ends within ExpiresSoon, or has.
func (c Certificate) Soon(now time.Time) bool { return !now.Before(c.NotAfter.Add(-ExpiresSoon)) }

// Watch is told which keys a connection's provider signs with: the first time this process sees them, and whenever they are
// others than the last time. It is called within a sign-in: it must be quick, and it must not call back. Other processes tell
// it too: who records a change compares with what is recorded.
type Watch func(ctx context.Context, organizationUID, connectionUID string, keys ProviderKeys)

// seen is the last fingerprint of a connection's keys.
type seen struct {
	mu          sync.Mutex
	fingerprint string
}

// tell tells Watch of keys it has not been told of.
func (c *Client) tell(ctx context.Context, organizationUID, connectionUID string, keys ProviderKeys) {
	if c.watch == nil || keys.Fingerprint == "" {
		return
	}
	s, _ := c.watched.at(organizationUID+"\x00"+connectionUID, func() *seen { return &seen{} })
	s.mu.Lock()
	changed := s.fingerprint != keys.Fingerprint
	s.fingerprint = keys.Fingerprint
	s.mu.Unlock()
	if changed {
		c.watch(ctx, organizationUID, connectionUID, keys)
	}
}

// keysOf returns the keys behind an address: one set for all connections that name it.
func (c *Client) keysOf(address string) *oidc.RemoteKeys {
	set, gone := c.keySets.at(address, func() *oidc.RemoteKeys { return oidc.NewRemoteKeys(address, c.http, c.now) })
	if gone != nil {
		(*gone).Close()
	}
	return set
}

// KeyFingerprint is the fingerprint of the keys of a connection as this process has them now, "" when it has none: nothing is
// fetched for it.
func (c *Client) KeyFingerprint(conn *policy.Connection) string {
	applied := ApplyPreset(*conn)
	switch {
	case applied.SAML != nil:
		if m, _ := c.metadata.at(metadataName(applied.SAML), newMetadata); applied.SAML.MetadataURL != "" && m.once.Load() {
			if p := m.old(c.now()); p != nil {
				return p.keys.Fingerprint
			}
			return ""
		}
		return describe(pinned(applied.SAML)).keys.Fingerprint
	case applied.OIDC == nil:
		return ""
	}
	address := applied.OIDC.JWKSURI
	if address == "" {
		known, _ := c.discoveries.at(applied.OIDC.Issuer, newDocument[discovery])
		d := known.old(c.now())
		if d == nil {
			return ""
		}
		address = d.JWKS
	}
	return c.keysOf(address).Fingerprint()
}
