package idp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/internal/outbound"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
)

// Config is what a Client works with.
type Config struct {
	Outbound outbound.Options // how providers may be reached; its Total is at most Timeout
	Secrets  Secrets
	Now      func() time.Time
	Rand     io.Reader // crypto/rand.Reader
	// Watch is told which keys providers sign with. It may be nil.
	Watch Watch
	// Timeout bounds one exchange with a provider; 0 or more than 10 s: 10 s.
	Timeout time.Duration
	// MaxProviders is how many providers are kept in memory, of each kind; 0: 1,000.
	MaxProviders int
}

const (
	maxTimeout          = 10 * time.Second
	defaultMaxProviders = 1000
)

// Client implements authflow.Providers. Safe for concurrent use. Close it: key sets are fetched in goroutines.
type Client struct {
	http     *http.Client
	outbound *outbound.Options
	secrets  Secrets
	now      func() time.Time
	rand     io.Reader
	watch    Watch
	timeout  time.Duration

	discoveries *cache[*document[discovery]] // by issuer
	keySets     *cache[*oidc.RemoteKeys]     // by address
	metadata    *cache[*metadata]            // by metadataName
	pinned      *cache[*described]           // by pinnedName
	watched     *cache[*seen]                // by organization and connection
}

var _ authflow.Providers = (*Client)(nil)

// New returns a client.
func New(cfg Config) (*Client, error) {
	if cfg.Secrets == nil || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("idp: secrets, a clock and random bytes are needed")
	}
	if cfg.Timeout <= 0 || cfg.Timeout > maxTimeout {
		cfg.Timeout = maxTimeout
	}
	if cfg.MaxProviders <= 0 {
		cfg.MaxProviders = defaultMaxProviders
	}
	options := cfg.Outbound
	if options.Total <= 0 || options.Total > cfg.Timeout {
		options.Total = cfg.Timeout
	}
	return &Client{
		http: outbound.New(options), outbound: &options, secrets: cfg.Secrets, now: cfg.Now, rand: cfg.Rand, watch: cfg.Watch,
		timeout: cfg.Timeout, discoveries: newCache[*document[discovery]](cfg.MaxProviders),
		keySets: newCache[*oidc.RemoteKeys](cfg.MaxProviders), metadata: newCache[*metadata](cfg.MaxProviders),
		pinned:  newCache[*described](cfg.MaxProviders),
		watched: newCache[*seen](cfg.MaxProviders),
	}, nil
}

// Close ends what is fetched at the moment and closes connections. Calls after it are refused, or begin anew.
func (c *Client) Close() {
	for _, k := range c.keySets.drop() {
		k.Close()
	}
	c.http.CloseIdleConnections()
}

// Begin implements authflow.Providers.
func (c *Client) Begin(ctx context.Context, organizationUID string, conn *policy.Connection, b authflow.Beginning) (authflow.Redirect, error) {
	applied := ApplyPreset(*conn)
	switch {
	case applied.OIDC != nil:
		return c.authorization(ctx, &applied, b)
	case applied.SAML != nil:
		return c.request(ctx, organizationUID, &applied, b)
	}
	return authflow.Redirect{}, errProtocol
}

// Redeem implements authflow.Providers.
func (c *Client) Redeem(ctx context.Context, organizationUID string, conn *policy.Connection, code authflow.Code) (federation.Identity, error) {
	applied := ApplyPreset(*conn)
	if applied.OIDC == nil {
		return federation.Identity{}, errProtocol
	}
	p, err := c.resolve(ctx, &applied)
	if err != nil {
		return federation.Identity{}, err
	}
	if err := sameIssuer(p, code.Issuer); err != nil {
		return federation.Identity{}, err
	}
	if err := named(p, code.ResponseIssuer); err != nil {
		return federation.Identity{}, err
	}
	got, err := c.exchange(ctx, organizationUID, &applied, p, code)
	if err != nil {
		return federation.Identity{}, err
	}
	if presetOf(&applied).plainOAuth {
		return c.githubUser(ctx, p, got.access, code)
	}
	nonce := code.NonceHash
	return c.idToken(ctx, organizationUID, &applied, p, token{
		raw: got.id, access: got.access, code: secret.NewString(code.Code), nonce: &nonce, maxAge: code.MaxAge, now: code.Now, fromCode: true,
	})
}

// errProtocol says that a call was made for a connection that does not speak so: a defect of the caller.
var errProtocol = errors.New("idp: the connection does not speak this protocol")

// sameIssuer refuses evidence of a flow that began with another provider than the connection has now.
func sameIssuer(p *provider, began string) error {
	if began != "" && began != p.issuer {
		return federation.Refuse(audit.ReasonIssuerMismatch, "the flow began with %s, and the connection is now with %s",
			cut(began, maxWords), cut(p.issuer, maxWords))
	}
	return nil
}

// named refuses a callback of another provider (RFC 9207), before the code goes anywhere.
func named(p *provider, iss string) error {
	switch {
	case iss == p.issuer, iss == "" && !p.namesItself:
		return nil
	case iss == "":
		return federation.Refuse(audit.ReasonIssuerMismatch, "the callback has no iss, and the provider promises one")
	}
	return federation.Refuse(audit.ReasonIssuerMismatch, "the callback is of %s", cut(iss, maxWords))
}
