package saml

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	library "github.com/crewjam/saml"
	xrv "github.com/mattermost/xml-roundtrip-validator"
)

// MaxMetadata is the longest metadata document in bytes.
const MaxMetadata = 1 << 20

const (
	maxMetadataElements = 20000
	maxCertificates     = 16
	maxEntityID         = 1024
	maxLocation         = 2048

	bindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	bindingPost     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// ParseMetadata reads the metadata of one identity provider: an EntityDescriptor, or an EntitiesDescriptor with only one in it
// that is an identity provider. Metadata that is valid no more at now is refused. A signature is not looked at: the document
// must come from somebody who may say what is in it. Errors are for whoever handed it in.
func ParseMetadata(doc []byte, now time.Time) (Provider, error) {
	root, err := screenMetadata(doc)
	if err != nil {
		return Provider{}, err
	}
	return readMetadata(root, now)
}

// ParseSignedMetadata is ParseMetadata for a document whose outermost element must be signed with the key of cert.
func ParseSignedMetadata(doc []byte, cert *x509.Certificate, now time.Time) (p Provider, err error) {
	defer func() {
		if recover() != nil {
			p, err = Provider{}, errors.New("saml metadata: the signature cannot be looked at")
		}
	}()
	root, err := screenMetadata(doc)
	if err != nil {
		return Provider{}, err
	}
	if len(root.all(nsSignature, "Signature")) != 1 {
		return Provider{}, errors.New("saml metadata: the document is not signed once")
	}
	tree, err := parse(doc)
	if err != nil {
		return Provider{}, errors.New("saml metadata: the document cannot be read")
	}
	alone, r := detach(tree.Root())
	if r != nil {
		return Provider{}, fmt.Errorf("saml metadata: %s", r.Detail)
	}
	v := verifier{certificates: []*x509.Certificate{cert}, now: now}
	found, r := v.verify(alone)
	if r != nil {
		return Provider{}, fmt.Errorf("saml metadata: %s: %s", r.Reason, r.Detail)
	}
	return readMetadata(found, now)
}

func screenMetadata(doc []byte) (*node, error) {
	root, err := screen(doc, bounds{bytes: MaxMetadata, elements: maxMetadataElements})
	if err != nil {
		return nil, fmt.Errorf("saml metadata: the document: %w", err)
	}
	if err := xrv.Validate(bytes.NewReader(doc)); err != nil {
		return nil, errors.New("saml metadata: the document does not survive being written and read again")
	}
	return root, nil
}

func readMetadata(root *node, now time.Time) (Provider, error) {
	var p Provider
	if err := p.valid(root, now); err != nil {
		return Provider{}, err
	}
	entity, role, err := findProvider(root)
	if err != nil {
		return Provider{}, err
	}
	p.EntityID = entity.attr("entityID")
	if p.EntityID == "" || len(p.EntityID) > maxEntityID || strings.TrimSpace(p.EntityID) != p.EntityID {
		return Provider{}, errors.New("saml metadata: the identity provider has no usable entityID")
	}
	for _, n := range []*node{entity, role} {
		if err := p.valid(n, now); err != nil {
			return Provider{}, err
		}
	}
	if p.Certificates, err = readCertificates(role); err != nil {
		return Provider{}, err
	}
	if p.RedirectURL, err = readLocation(role, bindingRedirect); err != nil {
		return Provider{}, err
	}
	if p.PostURL, err = readLocation(role, bindingPost); err != nil {
		return Provider{}, err
	}
	wants := role.attr("WantAuthnRequestsSigned")
	p.WantsSigned = wants == "true" || wants == "1"
	return p, nil
}

// findProvider returns the one entity that is an identity provider of SAML 2.0, and its role.
func findProvider(root *node) (entity, role *node, err error) {
	entities := []*node{root}
	switch {
	case root.is(nsMetadata, "EntitiesDescriptor"):
		entities = root.all(nsMetadata, "EntityDescriptor")
	case !root.is(nsMetadata, "EntityDescriptor"):
		return nil, nil, errors.New("saml metadata: the document is no EntityDescriptor")
	}
	for _, e := range entities {
		for _, r := range e.all(nsMetadata, "IDPSSODescriptor") {
			if !slices.Contains(strings.Fields(r.attr("protocolSupportEnumeration")), nsProtocol) {
				continue
			}
			if role != nil {
				return nil, nil, errors.New("saml metadata: the document describes more than one identity provider")
			}
			entity, role = e, r
		}
	}
	if role == nil {
		return nil, nil, errors.New("saml metadata: the document describes no identity provider of SAML 2.0")
	}
	return entity, role, nil
}

// valid takes how long an element says it is good for. The nearest end counts.
func (p *Provider) valid(n *node, now time.Time) error {
	if v, ok := n.lookup("validUntil"); ok {
		until, ok := instant(v)
		switch {
		case !ok:
			return errors.New("saml metadata: validUntil is not readable")
		case !now.Before(until):
			return fmt.Errorf("saml metadata: it was valid until %s", until.Format(time.RFC3339))
		case p.ValidUntil.IsZero() || until.Before(p.ValidUntil):
			p.ValidUntil = until
		}
	}
	if v, ok := n.lookup("cacheDuration"); ok {
		var d library.Duration
		if err := d.UnmarshalText([]byte(v)); err != nil || d < 0 {
			return errors.New("saml metadata: cacheDuration is not readable")
		}
		if age := time.Duration(d); p.CacheFor == 0 || age < p.CacheFor {
			p.CacheFor = age
		}
	}
	return nil
}

// readCertificates returns the certificates whose keys may sign, each once. Whether they have expired is looked at when they are
// used.
func readCertificates(role *node) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for _, key := range role.all(nsMetadata, "KeyDescriptor") {
		if use := key.attr("use"); use != "" && use != "signing" {
			continue
		}
		for _, info := range key.all(nsSignature, "KeyInfo") {
			for _, data := range info.all(nsSignature, "X509Data") {
				for _, n := range data.all(nsSignature, "X509Certificate") {
					cert, err := readCertificate(n.text)
					if err != nil {
						return nil, err
					}
					if !slices.ContainsFunc(found, cert.Equal) {
						found = append(found, cert)
					}
				}
			}
		}
	}
	if len(found) == 0 || len(found) > maxCertificates {
		return nil, fmt.Errorf("saml metadata: there are %d certificates to sign with, where 1 to %d are taken", len(found), maxCertificates)
	}
	return found, nil
}

func readCertificate(text string) (*x509.Certificate, error) {
	der, err := fromBase64(text)
	if err != nil {
		return nil, errors.New("saml metadata: a certificate is no base64")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("saml metadata: a certificate cannot be read")
	}
	return cert, nil
}

// readLocation returns where the first service of a binding is.
func readLocation(role *node, binding string) (string, error) {
	for _, n := range role.all(nsMetadata, "SingleSignOnService") {
		if n.attr("Binding") != binding {
			continue
		}
		location := n.attr("Location")
		u, err := url.Parse(location)
		if err != nil || len(location) > maxLocation || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
			return "", errors.New("saml metadata: the Location of a SingleSignOnService is no usable URL")
		}
		return location, nil
	}
	return "", nil
}
