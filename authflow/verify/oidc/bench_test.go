package oidc_test

import (
	"context"
	"crypto"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

// The lines of one algorithm compare: ours, and the library alone with the key sets it brings.
func BenchmarkVerifyRS256(b *testing.B) { benchmark(b, "RS256", "rsa2") }
func BenchmarkVerifyES256(b *testing.B) { benchmark(b, "ES256", "ec") }
func BenchmarkVerifyEdDSA(b *testing.B) { benchmark(b, "EdDSA", "ed") }
func BenchmarkVerifyPS256(b *testing.B) { benchmark(b, "PS256", "ps") }

func benchmark(b *testing.B, alg, kid string) {
	text := in.Sign(oidctest.Token{Header: oidctest.M{"alg": alg, "kid": kid}, Claims: oidctest.M{"jti": "1", "azp": in.ClientID, "auth_time": in.Now.Add(-time.Minute).Unix()}})
	keys := parsed(b, oidctest.JWKS(kid))
	config := &gooidc.Config{ClientID: in.ClientID, SupportedSigningAlgs: []string{alg}, Now: func() time.Time { return in.Now }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(oidctest.JWKS(kid)) }))
	defer server.Close()
	b.Run("ours", func(b *testing.B) {
		e, token := in.Expect(), []byte(text)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := oidc.Verify(context.Background(), token, e, keys, in.Now); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, set := range map[string]gooidc.KeySet{
		"library": gooidc.NewRemoteKeySet(context.Background(), server.URL),
		"static":  &gooidc.StaticKeySet{PublicKeys: []crypto.PublicKey{oidctest.Public(kid)}},
	} {
		b.Run(name, func(b *testing.B) {
			verifier := gooidc.NewVerifier(in.Issuer, set, config)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(context.Background(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
