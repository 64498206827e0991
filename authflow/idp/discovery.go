package idp

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// How long a provider's discovery document is fresh, and usable when it cannot be fetched again.
const (
	freshFor  = time.Hour
	usableFor = 24 * time.Hour
)

// provider is where an OIDC provider is and what it says of itself.
type provider struct {
	issuer        string
	authorization string
	token         string
	userinfo      string
	jwks          string
	algorithms    []string // that a token may be signed with
	clientAuths   []string // that it says it takes; nil: it does not say
	challenges    []string // of PKCE, likewise
	namesItself   bool     // its answers hold iss (RFC 9207)
	discovered    bool
}

// discovery is what is read of a discovery document.
type discovery struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	ClientAuths   []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	NamesItself   bool     `json:"authorization_response_iss_parameter_supported"`

	date time.Time
}

// defaultAlgorithms are those of a connection that names none.
func defaultAlgorithms() []string { return []string{"RS256", "PS256", "ES256", "EdDSA"} }

// stated is what a connection itself says of its provider, and whether discovery must say the rest.
func stated(conn *policy.Connection) (p *provider, incomplete bool) {
	o := conn.OIDC
	p = &provider{
		issuer: o.Issuer, authorization: o.AuthorizationEndpoint, token: o.TokenEndpoint, userinfo: o.UserinfoEndpoint, jwks: o.JWKSURI,
		algorithms: o.Algorithms,
	}
	if len(p.algorithms) == 0 {
		p.algorithms = defaultAlgorithms()
	}
	return p, p.authorization == "" || p.token == "" || p.jwks == "" && !presetOf(conn).plainOAuth
}

// errAlgorithms is why nothing a provider signs could be taken.
func errAlgorithms() *federation.Refusal {
	return federation.Refuse(audit.ReasonAlgorithmNotAllowed, "the provider signs with none of the algorithms that are allowed")
}

// resolve says where a connection's provider is: as the connection says, else as the provider's own discovery document does.
// c has its preset applied.
func (c *Client) resolve(ctx context.Context, conn *policy.Connection) (*provider, error) {
	p, incomplete := stated(conn)
	if incomplete {
		d, err := c.discover(ctx, conn.OIDC.Issuer)
		if err != nil {
			return nil, err
		}
		p.fill(d)
	}
	if len(p.algorithms) == 0 {
		return nil, errAlgorithms()
	}
	if err := c.checkEndpoints(p, presetOf(conn).plainOAuth); err != nil {
		return nil, err
	}
	return p, nil
}

// fill takes from a discovery document what the connection does not say.
func (p *provider) fill(d *discovery) {
	take := func(at *string, from string) {
		if *at == "" {
			*at = from
		}
	}
	take(&p.authorization, d.Authorization)
	take(&p.token, d.Token)
	take(&p.jwks, d.JWKS)
	if d.Algorithms != nil {
		p.algorithms = slices.DeleteFunc(slices.Clone(p.algorithms), func(a string) bool { return !slices.Contains(d.Algorithms, a) })
	}
	p.clientAuths, p.challenges, p.namesItself, p.discovered = d.ClientAuths, d.Challenges, d.NamesItself, true
}

func (c *Client) checkEndpoints(p *provider, plainOAuth bool) error {
	for _, e := range []struct{ what, at string }{
		{"the authorization endpoint", p.authorization}, {"the token endpoint", p.token}, {"the address of the keys", p.jwks},
		{"the user API", p.userinfo},
	} {
		if e.at == "" && (e.what == "the user API" && !plainOAuth || e.what == "the address of the keys" && plainOAuth) {
			continue
		}
		if e.at == "" {
			return federation.Refuse(audit.ReasonIDPError, "discovery: %s is missing", e.what)
		}
		if err := c.outbound.Check(e.at); err != nil {
			return troubled(e.what, err)
		}
	}
	return nil
}

// discover returns the discovery document of an issuer, from memory when it is young enough.
func (c *Client) discover(ctx context.Context, issuer string) (*discovery, error) {
	d, _ := c.discoveries.at(issuer, newDocument[discovery])
	return d.get(ctx, c.now, func(ctx context.Context) (*discovery, life, error) { return c.fetchDiscovery(ctx, issuer) })
}

func (c *Client) fetchDiscovery(ctx context.Context, issuer string) (*discovery, life, error) {
	a, err := c.get(ctx, "discovery", discoveryURL(issuer), "", maxDocument)
	if err != nil {
		return nil, life{}, err
	}
	var d discovery
	if err := decode(a.body, &d); err != nil {
		return nil, life{}, federation.Refuse(audit.ReasonIDPError, "discovery: the answer is not a discovery document")
	}
	if d.Issuer != issuer {
		return nil, life{}, federation.Refuse(audit.ReasonIssuerMismatch, "discovery: the provider calls itself %s", cut(d.Issuer, maxWords))
	}
	if !d.bounded() {
		return nil, life{}, federation.Refuse(audit.ReasonIDPError, "discovery: an endpoint is longer than %d bytes", policy.MaxURL)
	}
	d.date = a.date
	now := c.now()
	return &d, life{fresh: now.Add(freshFor), usable: now.Add(usableFor)}, nil
}

// bounded drops what nobody here asks for, so that little of a document is kept, and reports whether the rest is short.
func (d *discovery) bounded() bool {
	for _, list := range []struct {
		at    *[]string
		known []string
	}{{&d.Algorithms, policy.Algorithms()}, {&d.ClientAuths, policy.ClientAuths()}, {&d.Challenges, []string{"S256"}}} {
		if given := *list.at; given != nil {
			*list.at = slices.DeleteFunc(list.known, func(s string) bool { return !slices.Contains(given, s) })
		}
	}
	return max(len(d.Authorization), len(d.Token), len(d.JWKS)) <= policy.MaxURL
}

func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}
