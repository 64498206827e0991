package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	crewjam "github.com/crewjam/saml"

	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/saml"
)

const (
	turnsOfEach = 31
	tokensATurn = 100
	samlATurn   = 12
)

// verification is the processor time of one check of evidence: ours, and the bare library's own full call on the same evidence.
type verification struct{ ours, library float64 } // µs

// duel is one piece of evidence before both.
type duel struct {
	calls         int // in a turn
	ours, library func() error
}

// verifyAll measures the checks of the cases that were chosen.
func (p *providers) verifyAll(ctx context.Context, o options) (map[string]verification, error) {
	all := map[string]verification{}
	for _, op := range p.operations() {
		if !strings.Contains(op.name, o.only) {
			continue
		}
		_, _ = fmt.Fprintf(o.progress, "%s, the checks alone …\n", op.name)
		v, err := p.verify(ctx, op.evidence)
		if err != nil {
			return nil, err
		}
		all[op.name] = v
	}
	return all, nil
}

// verify measures the checks of one kind of evidence, on this thread alone, in turns: what disturbs one disturbs the other.
func (p *providers) verify(ctx context.Context, kind string) (verification, error) {
	m := p.byKind[kind]
	evidence, err := m.mint("guest-0")
	if err != nil {
		return verification{}, err
	}
	d, err := m.duel(ctx, evidence)
	if err != nil {
		return verification{}, err
	}
	var ours, library []float64
	for turn := range turnsOfEach + 1 {
		a, err := turnOf(d.calls, d.ours)
		if err != nil {
			return verification{}, fmt.Errorf("ours refuses %s: %w", kind, err)
		}
		b, err := turnOf(d.calls, d.library)
		if err != nil {
			return verification{}, fmt.Errorf("the library refuses %s: %w", kind, err)
		}
		if turn > 0 { // the first warms up
			ours, library = append(ours, a), append(library, b)
		}
	}
	return verification{ours: median(ours), library: median(library)}, nil
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// turnOf is the processor time of one call, with the garbage it makes but none of others', in µs.
func turnOf(calls int, check func() error) (float64, error) {
	runtime.GC()
	before, err := used()
	if err != nil {
		return 0, err
	}
	for range calls {
		if err := check(); err != nil {
			return 0, err
		}
	}
	after, err := used()
	return float64((after - before).Nanoseconds()) / 1000 / float64(calls), err
}

// used is the processor time of this process.
func used() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

func (m *minter) duel(ctx context.Context, p proof) (duel, error) {
	if m.kind == "SAML" {
		return m.samlDuel(p)
	}
	return m.tokenDuel(ctx, p)
}

// tokenDuel has a verifier of the library that is made once, with a key it has already.
func (m *minter) tokenDuel(ctx context.Context, p proof) (duel, error) {
	now := time.Now()
	keys, err := oidc.ParseKeys(m.jwks)
	if err != nil {
		return duel{}, err
	}
	nonce := sha256.Sum256([]byte(p.request))
	expect := oidc.Expect{Issuer: m.issuer, ClientID: clientID, Nonce: &nonce}
	token := []byte(p.document)
	bare := gooidc.NewVerifier(m.issuer, &gooidc.StaticKeySet{PublicKeys: []crypto.PublicKey{m.public}},
		&gooidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{m.kind}})
	return duel{
		calls: tokensATurn,
		ours: func() error {
			_, err := oidc.Verify(ctx, token, expect, keys, now)
			return err
		},
		library: func() error {
			_, err := bare.Verify(ctx, p.document)
			return err
		},
	}, nil
}

func (m *minter) samlDuel(p proof) (duel, error) {
	now, document := time.Now(), []byte(p.document)
	acs, err := url.Parse(samlACS)
	if err != nil {
		return duel{}, err
	}
	role := crewjam.IDPSSODescriptor{}
	key := crewjam.KeyDescriptor{Use: "signing"}
	key.KeyInfo.X509Data.X509Certificates = []crewjam.X509Certificate{{Data: base64.StdEncoding.EncodeToString(m.cert.Raw)}}
	role.KeyDescriptors = []crewjam.KeyDescriptor{key}
	bare := crewjam.ServiceProvider{EntityID: samlSP, AcsURL: *acs,
		IDPMetadata: &crewjam.EntityDescriptor{EntityID: m.issuer, IDPSSODescriptors: []crewjam.IDPSSODescriptor{role}}}
	expect := saml.Expect{EntityID: samlSP, ACS: samlACS, RequestID: p.request, EmailAttribute: "mail", NameAttribute: "displayName",
		Provider: saml.Provider{EntityID: m.issuer, Certificates: []*x509.Certificate{m.cert}}}
	return duel{
		calls: samlATurn,
		ours: func() error {
			_, err := saml.Verify(document, expect, now)
			return err
		},
		library: func() error {
			_, err := bare.ParseXMLResponse(document, []string{p.request}, *acs)
			return err
		},
	}, nil
}
