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
)

// The lines of one algorithm compare: ours, and the library alone with the key sets it brings.
func BenchmarkVerifyRS256(b *testing.B) { benchmark(b, "RS256", "rsa2") }
func BenchmarkVerifyES256(b *testing.B) { benchmark(b, "ES256", "ec") }
func BenchmarkVerifyEdDSA(b *testing.B) { benchmark(b, "EdDSA", "ed") }
func BenchmarkVerifyPS256(b *testing.B) { benchmark(b, "PS256", "ps") }

func benchmark(b *testing.B, alg, kid string) {
	text := token{header: members{"alg": alg, "kid": kid}, claims: members{"jti": "1", "azp": clientID, "auth_time": unix(-time.Minute)}}.signed()
	keys := parsed(b, jwks(kid))
	config := &gooidc.Config{ClientID: clientID, SupportedSigningAlgs: []string{alg}, Now: func() time.Time { return now }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(jwks(kid)) }))
	defer server.Close()
	b.Run("ours", func(b *testing.B) {
		e, token := expect(), []byte(text)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := oidc.Verify(context.Background(), token, e, keys, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, set := range map[string]gooidc.KeySet{
		"library": gooidc.NewRemoteKeySet(context.Background(), server.URL),
		"static":  &gooidc.StaticKeySet{PublicKeys: []crypto.PublicKey{secretKeys()[kid].Public()}},
	} {
		b.Run(name, func(b *testing.B) {
			verifier := gooidc.NewVerifier(issuer, set, config)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(context.Background(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
