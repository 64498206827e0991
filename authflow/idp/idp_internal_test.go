package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/internal/secret"
)

func start() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func TestMetadataIsAsFreshAsItSaysWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		cache, until  time.Duration // until 0: not said
		fresh, usable time.Duration
	}{
		"says nothing":           {0, 0, time.Hour, 30 * 24 * time.Hour},
		"a while":                {3 * time.Hour, 0, 3 * time.Hour, 30 * 24 * time.Hour},
		"hardly":                 {time.Second, 0, 5 * time.Minute, 30 * 24 * time.Hour},
		"for ever":               {10000 * time.Hour, 0, 24 * time.Hour, 30 * 24 * time.Hour},
		"runs out first":         {3 * time.Hour, 2 * time.Hour, 2 * time.Hour, 2 * time.Hour},
		"runs out in two months": {3 * time.Hour, 60 * 24 * time.Hour, 3 * time.Hour, 60 * 24 * time.Hour},
	} {
		p := saml.Provider{CacheFor: c.cache}
		if c.until > 0 {
			p.ValidUntil = start().Add(c.until)
		}
		if got := metadataLife(&p, start()); !got.fresh.Equal(start().Add(c.fresh)) || !got.usable.Equal(start().Add(c.usable)) {
			t.Errorf("%s: fresh for %s, usable for %s", name, got.fresh.Sub(start()), got.usable.Sub(start()))
		}
	}
}

func TestWhatIsOldServesWhileAnotherCallFetches(t *testing.T) {
	at := start()
	now := func() time.Time { return at }
	d := newDocument[int]()
	one, two := 1, 2
	l := func() life { return life{fresh: at.Add(time.Hour), usable: at.Add(2 * time.Hour)} }
	if v, err := d.get(t.Context(), now, func(context.Context) (*int, life, error) { return &one, l(), nil }); err != nil || *v != 1 {
		t.Fatal(v, err)
	}
	at = at.Add(90 * time.Minute)
	if v, err := d.get(t.Context(), now, func(ctx context.Context) (*int, life, error) {
		inner, err := d.get(ctx, now, func(context.Context) (*int, life, error) { return nil, life{}, errors.New("two at once") })
		if err != nil || *inner != 1 {
			t.Errorf("meanwhile %v, %v", inner, err)
		}
		return &two, l(), nil
	}); err != nil || *v != 2 {
		t.Fatal(v, err)
	}
}

func TestAFailureIsRememberedUnlessTheCallerGaveUp(t *testing.T) {
	at := start()
	now := func() time.Time { return at }
	d := newDocument[int]()
	asked := 0
	fail := func(context.Context) (*int, life, error) { asked++; return nil, life{}, fmt.Errorf("broken %d", asked) }
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, c := range []struct {
		ctx   context.Context
		later time.Duration
		want  int
	}{{gone, 0, 1}, {t.Context(), 0, 2}, {t.Context(), 29 * time.Second, 2}, {t.Context(), time.Second, 3}} {
		at = at.Add(c.later)
		if _, err := d.get(c.ctx, now, fail); err == nil || asked != c.want || err.Error() != fmt.Sprintf("broken %d", c.want) {
			t.Errorf("%d: asked %d times, %v", i, asked, err)
		}
	}
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	c := newCache[string](2)
	put := func(name string) *string {
		_, gone := c.at(name, func() string { return "value of " + name })
		return gone
	}
	if put("a") != nil || put("b") != nil || put("a") != nil {
		t.Fatal("something went although there was room")
	}
	if gone := put("c"); gone == nil || *gone != "value of b" {
		t.Errorf("gone: %v", gone)
	}
	if all := c.drop(); len(all) != 2 || len(c.named) != 0 || c.order.Len() != 0 {
		t.Errorf("dropped %v", all)
	}
}

func TestScrubTakesWhatWasSentOutOfATextInAnyOfItsForms(t *testing.T) {
	for _, c := range []struct {
		text, sent string
		kept       bool
	}{
		{"the code is wrong", "abc def", true}, {"the code abc is wrong", "abc", false}, {"the code abc+d%2Fe is wrong", "abc d/e", false},
		{"bad a%26b%3Dcccc", "a&b=cccc", false}, {"bad 34567890", "1234567890", false}, {"bad 4567890", "1234567890", true}, {"anything", "", true},
	} {
		if got := scrub(c.text, []secret.String{secret.NewString(c.sent)}); (got == c.text) != c.kept {
			t.Errorf("scrub(%q) without %q = %q", c.text, c.sent, got)
		}
	}
}

func TestNoVerbShowsATokenOrAProof(t *testing.T) {
	const canary = "canary-7f3a"
	s := secret.NewString(canary)
	answered := told{tokenAnswer: tokenAnswer{IDToken: s, AccessToken: s}}
	if err := decode([]byte(`{"id_token":"`+canary+`","access_token":"`+canary+`"}`), &answered.tokenAnswer); err != nil || answered.IDToken.Reveal() != canary {
		t.Fatal(err)
	}
	for _, v := range []any{tokens{s, s}, &answered, token{raw: s, access: s, code: s}, proof{form: map[string]secret.String{"a": s}, header: s, hidden: []secret.String{s}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %T shows it: %s", verb, v, out)
			}
		}
	}
}

func TestKeysAreForAlgorithmsOfTheirKind(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key  jose.JSONWebKey
		alg  string
		want bool
	}{
		{jose.JSONWebKey{Key: &ec.PublicKey}, "ES384", true}, {jose.JSONWebKey{Key: &ec.PublicKey}, "ES256", false},
		{jose.JSONWebKey{Key: &ec.PublicKey}, "RS256", false}, {jose.JSONWebKey{Key: &ec.PublicKey, Use: "enc"}, "ES384", false},
		{jose.JSONWebKey{Key: &ec.PublicKey, Algorithm: "ES512"}, "ES384", false}, {jose.JSONWebKey{Key: ed}, "EdDSA", true},
		{jose.JSONWebKey{Key: ed}, "ES256", false}, {jose.JSONWebKey{Key: []byte("secret")}, "HS256", false},
	} {
		if got := checks(&c.key, c.alg); got != c.want {
			t.Errorf("%T with use %q, alg %q for %s: %v", c.key.Key, c.key.Use, c.key.Algorithm, c.alg, got)
		}
	}
}
