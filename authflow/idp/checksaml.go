package idp

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/policy"
)

func (c *Client) testSAML(ctx context.Context, organizationUID string, conn *policy.Connection, f *findings) {
	s := conn.SAML
	f.addresses("ACS addresses", s.ACSURLs)
	p := pinned(s)
	if s.MetadataURL != "" {
		read := c.testMetadata(ctx, s, f)
		if read == nil && len(p.Certificates) == 0 {
			return
		} else if read != nil {
			p = *read
		}
	}
	testCertificates(p.Certificates, c.now(), f)
	testSignIn(&p, f)
	c.testSAMLKey(ctx, organizationUID, conn, &p, f)
}

// testMetadata reads the provider's metadata, nil when it is not good.
func (c *Client) testMetadata(ctx context.Context, s *policy.SAML, f *findings) *saml.Provider {
	const what = "metadata"
	a, err := c.get(ctx, what, s.MetadataURL, "", maxMetadata)
	if err != nil {
		f.failWith(what, err)
		return nil
	}
	now := c.now()
	f.clock(a.date, now)
	p, err := readMetadata(a.body, s, now)
	if err != nil {
		f.failWith(what, err)
		return nil
	}
	switch {
	case p.ValidUntil.IsZero():
		f.ok(what, "it is of the provider")
	case p.ValidUntil.Sub(now) < minMetadataLeft:
		f.warn(what, "ask whoever runs the provider to renew it", "it is valid until %s only", p.ValidUntil.Format(time.RFC3339))
	default:
		f.ok(what, "it is of the provider, and valid until %s", p.ValidUntil.Format(time.RFC3339))
	}
	if len(s.MetadataCertificate) > 0 {
		f.ok("metadata signature", "it is signed by whom it must be")
	}
	return p
}

// minMetadataLeft is how long metadata should be valid yet.
const minMetadataLeft = 24 * time.Hour

// testCertificates looks at what the provider signs with. Who signed the certificates themselves does not matter: they are
// pinned.
func testCertificates(list []*x509.Certificate, now time.Time, f *findings) {
	const what, fix = "certificates", "get the provider's present signing certificate, or use metadata_url"
	good := 0
	for _, cert := range list {
		name := cut(cert.Subject.String(), maxWords)
		key, isRSA := cert.PublicKey.(*rsa.PublicKey)
		switch {
		case isRSA && key.N.BitLen() < minRSABits:
			f.warn(what, "ask whoever runs the provider for a key of 2048 bits or more", "%s: RSA of %d bits is not taken", name, key.N.BitLen())
		case now.Before(cert.NotBefore):
			f.warn(what, "nothing, if the provider has not begun to use it", "%s: it is valid from %s", name, cert.NotBefore.Format(time.RFC3339))
		case now.After(cert.NotAfter):
			f.warn(what, fix, "%s: it expired at %s", name, cert.NotAfter.Format(time.RFC3339))
		case Certificate{NotAfter: cert.NotAfter}.Soon(now):
			good++
			f.warn(what, "get the provider's next certificate before then", "%s: it expires at %s", name, cert.NotAfter.Format(time.RFC3339))
		default:
			good++
			f.ok(what, "%s: valid until %s", name, cert.NotAfter.Format(time.RFC3339))
		}
	}
	if good == 0 {
		f.fail(what, fix, "none of %d can check a signature now", len(list))
	}
}

func testSignIn(p *saml.Provider, f *findings) {
	const what = "sign-in address"
	var list []string
	for _, at := range []string{p.RedirectURL, p.PostURL} {
		if at != "" {
			list = append(list, at)
		}
	}
	f.addresses(what, list)
}

// testSAMLKey looks at our own key, when it is of any use, and makes a request with it.
func (c *Client) testSAMLKey(ctx context.Context, organizationUID string, conn *policy.Connection, p *saml.Provider, f *findings) {
	const what = "private key"
	s := conn.SAML
	if s.SignsRequests || p.WantsSigned || s.AllowsEncryption {
		key, err := c.samlKey(ctx, organizationUID, conn)
		if err != nil {
			detail := "it cannot be opened"
			if errors.Is(err, errSAMLKey) {
				detail = err.Error()
			}
			f.fail(what, "set it with its certificate: postern connection secret", "%s", detail)
			return
		}
		c.testOwnCertificate(key, s, f)
	}
	if p.RedirectURL == "" && p.PostURL == "" {
		return
	}
	if _, err := c.requestTo(ctx, organizationUID, conn, *p, authflow.Beginning{RequestID: "_test"}); err != nil {
		f.failWith("request", err)
		return
	}
	f.ok("request", "one can be made")
}

func (c *Client) testOwnCertificate(key *saml.Key, s *policy.SAML, f *findings) {
	const what = "private key"
	_, isRSA := key.Certificate().PublicKey.(*rsa.PublicKey)
	switch end := key.Certificate().NotAfter; {
	case s.AllowsEncryption && !isRSA:
		f.fail(what, "set an RSA key, or do not allow encryption", "it is no RSA key, and opens no encrypted assertion")
	case (Certificate{NotAfter: end}).Soon(c.now()):
		f.warn(what, "set a new key and tell whoever runs the provider: some check the certificate's end", "its certificate ends at %s", end.Format(time.RFC3339))
	default:
		f.ok(what, "it can be used; its certificate is valid until %s", end.Format(time.RFC3339))
	}
}
