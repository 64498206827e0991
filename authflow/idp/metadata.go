package idp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/policy"
)

// How long SAML metadata is fresh, whatever it says of itself, and usable when it cannot be fetched again and does not say.
const (
	minMetadataFresh  = 5 * time.Minute
	maxMetadataFresh  = 24 * time.Hour
	metadataUsableFor = 30 * 24 * time.Hour
)

// maxCertificates is how many bytes of certificates are kept of a provider.
const maxCertificates = 64 << 10

// described is a SAML provider with what Watch is told of it.
type described struct {
	saml.Provider
	keys ProviderKeys
}

func describe(p saml.Provider) *described { return &described{Provider: p, keys: samlKeys(&p)} }

// metadata is a provider's own description of itself.
type metadata struct {
	*document[described]
	once atomic.Bool // there was a good one
}

func newMetadata() *metadata { return &metadata{document: newDocument[described]()} }

// whereabouts says where a SAML provider is and what it signs with: as its metadata says it if the connection names any, else
// as the connection does. What the connection says also holds as long as this process has never seen good metadata, so that
// people can sign in while the metadata is away; good metadata that has run out is not replaced by it.
func (c *Client) whereabouts(ctx context.Context, organizationUID string, conn *policy.Connection) (saml.Provider, error) {
	s := conn.SAML
	var p *described
	if s.MetadataURL != "" {
		m, _ := c.metadata.at(metadataName(s), newMetadata)
		var err error
		p, err = m.get(ctx, c.now, func(ctx context.Context) (*described, life, error) { return c.fetchMetadata(ctx, s, m) })
		if err != nil && (len(s.Certificates) == 0 || m.once.Load()) {
			return saml.Provider{}, err
		}
	}
	if p == nil {
		p, _ = c.pinned.at(pinnedName(s), func() *described { return describe(pinned(s)) })
	}
	if len(p.Certificates) == 0 {
		return saml.Provider{}, federation.Refuse(audit.ReasonKeysUnavailable, "the connection has no certificate of the identity provider")
	}
	c.tell(ctx, organizationUID, conn.UID, p.keys)
	return p.Provider, nil
}

// pinned is the provider as the connection itself describes it.
func pinned(s *policy.SAML) saml.Provider {
	p := saml.Provider{EntityID: s.EntityID, RedirectURL: s.RedirectURL, PostURL: s.PostURL}
	for _, der := range s.Certificates {
		if cert, err := x509.ParseCertificate(der); err == nil {
			p.Certificates = append(p.Certificates, cert)
		}
	}
	return p
}

// pinnedName names a pinned provider by all that it is made of.
func pinnedName(s *policy.SAML) string {
	h := sha256.New()
	for _, part := range append([][]byte{[]byte(s.EntityID), []byte(s.RedirectURL), []byte(s.PostURL)}, s.Certificates...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return string(h.Sum(nil))
}

// metadataName names metadata by what makes it good: where it is, whose it must be and who must have signed it.
func metadataName(s *policy.SAML) string {
	h := sha256.Sum256(s.MetadataCertificate)
	return s.MetadataURL + "\x00" + s.EntityID + "\x00" + hex.EncodeToString(h[:])
}

func (c *Client) fetchMetadata(ctx context.Context, s *policy.SAML, m *metadata) (*described, life, error) {
	a, err := c.get(ctx, "the metadata", s.MetadataURL, "", maxMetadata)
	if err != nil {
		return nil, life{}, err
	}
	now := c.now()
	p, err := readMetadata(a.body, s, now)
	if err != nil {
		return nil, life{}, err
	}
	for _, at := range []string{p.RedirectURL, p.PostURL} {
		if at == "" {
			continue
		}
		if err := c.outbound.Check(at); err != nil {
			return nil, life{}, troubled("the sign-in address in the metadata", err)
		}
	}
	m.once.Store(true)
	return describe(*p), metadataLife(p, now), nil
}

// readMetadata reads metadata, which must be of the connection's provider and signed by whom the connection says.
func readMetadata(doc []byte, s *policy.SAML, now time.Time) (*saml.Provider, error) {
	var p saml.Provider
	var err error
	if len(s.MetadataCertificate) > 0 {
		cert, parseErr := x509.ParseCertificate(s.MetadataCertificate)
		if parseErr != nil {
			return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the certificate that signs the metadata cannot be read")
		}
		p, err = saml.ParseSignedMetadata(doc, cert, now)
	} else {
		p, err = saml.ParseMetadata(doc, now)
	}
	var r *federation.Refusal
	switch {
	case errors.As(err, &r):
		return nil, r
	case err != nil:
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the metadata is not taken: %v", err)
	case !bounded(p.Certificates):
		return nil, federation.Refuse(audit.ReasonKeysUnavailable, "the certificates in the metadata have more than %d bytes", maxCertificates)
	case p.EntityID != s.EntityID:
		return nil, federation.Refuse(audit.ReasonIssuerMismatch, "the metadata is of %s", cut(p.EntityID, maxWords))
	}
	return &p, nil
}

// metadataLife is as long as the metadata itself wants, within bounds.
func metadataLife(p *saml.Provider, now time.Time) life {
	fresh := freshFor
	if p.CacheFor > 0 {
		fresh = min(max(p.CacheFor, minMetadataFresh), maxMetadataFresh)
	}
	l := life{fresh: now.Add(fresh), usable: now.Add(metadataUsableFor)}
	if !p.ValidUntil.IsZero() {
		l.usable = p.ValidUntil
		if p.ValidUntil.Before(l.fresh) {
			l.fresh = p.ValidUntil
		}
	}
	return l
}

// bounded reports whether certificates are short enough to be kept.
func bounded(list []*x509.Certificate) bool {
	total := 0
	for _, cert := range list {
		total += len(cert.Raw)
	}
	return total <= maxCertificates
}

// samlKeys describes what a SAML provider signs with.
func samlKeys(p *saml.Provider) ProviderKeys {
	keys := ProviderKeys{RedirectURL: p.RedirectURL, PostURL: p.PostURL}
	prints := make([]string, 0, len(p.Certificates))
	for _, cert := range p.Certificates {
		sum := sha256.Sum256(cert.Raw)
		one := hex.EncodeToString(sum[:])
		prints = append(prints, one)
		keys.Certificates = append(keys.Certificates, Certificate{
			Subject: federation.Text(cert.Subject.String(), maxWords), Fingerprint: one, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
			DER: cert.Raw,
		})
	}
	if len(prints) > 0 {
		slices.Sort(prints)
		all := sha256.Sum256([]byte(strings.Join(slices.Compact(prints), "")))
		keys.Fingerprint = hex.EncodeToString(all[:])
	}
	return keys
}
