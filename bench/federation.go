package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	guests     = "organizations/bench-guests" // of its own: connections make the answers of other cases longer
	guestsSite = guests + "/sites/hall"
	// linked is how many identities have an account; sign-ins take turns among them.
	linked = 16
	// fewCallers bounds the cases with evidence: minting it takes longer than checking it.
	fewCallers = 16
	// firstGuess is how many proofs the warm-up gets.
	firstGuess = 400
)

// kinds of evidence that are measured.
var kinds = [...]string{"RS256", "ES256", "SAML"}

// providers are the identity providers of a run: they mint here, and their keys are served to the sidecar.
type providers struct {
	base   string
	byKind map[string]*minter
	server *http.Server
}

func startProviders() (*providers, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &providers{base: "http://" + l.Addr().String(), byKind: map[string]*minter{}}
	mux := http.NewServeMux()
	for _, kind := range kinds {
		m, err := newMinter(kind, p.base)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		p.byKind[kind] = m
		mux.HandleFunc("/"+kind+"/keys", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(m.jwks) // who does not get it says so
		})
	}
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

func (p *providers) close() { _ = p.server.Close() }

// document is the organization whose guests sign in elsewhere.
func (p *providers) document() ([]byte, error) {
	var connections []any
	for _, kind := range kinds {
		m := p.byKind[kind]
		c := map[string]any{"id": connectionOf(kind), "kind": "sso", "protocol": "oidc"}
		if kind == "SAML" {
			c["protocol"] = "saml"
			c["saml"] = map[string]any{"entity_id": m.issuer, "sp_entity_id": samlSP, "acs_urls": []string{samlACS}, "email_attribute": "mail",
				"name_attribute": "displayName", "certificates": []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw}))}}
		} else {
			c["oidc"] = map[string]any{"issuer": m.issuer, "client_id": clientID, "client_auth": "none",
				"jwks_uri": m.issuer + "/keys", "authorization_endpoint": m.issuer + "/authorize", "token_endpoint": m.issuer + "/token"}
		}
		connections = append(connections, c)
	}
	return json.Marshal(map[string]any{"organization": "bench-guests", "sites": []any{map[string]any{"id": "hall"}}, "connections": connections})
}

// settle makes the organization and links every identity to an account, as first sign-ins do. It returns where their
// events go to.
func (p *providers) settle(ctx context.Context, t *target, redisAddr string) (outbox string, err error) {
	document, err := p.document()
	if err != nil {
		return "", err
	}
	if _, err := posternv1.NewDirectoryServiceClient(t.conns[0]).ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{
		Name: guests, Document: string(document), RequestId: "bench-1", Reason: "benchmark"}); err != nil {
		return "", err
	}
	flow := ""
	for _, kind := range kinds {
		for n := range linked {
			call, err := p.proven(ctx, t, 0, kind, n)
			if err != nil {
				return "", err
			}
			first, err := t.signIn(0).CompleteFederation(ctx, call)
			if err != nil {
				return "", err
			}
			if first.GetIdentity() == nil {
				return "", fmt.Errorf("%s was refused: %s", kind, first.GetAnswer().GetReason())
			}
			flow = call.GetFlow()
			if _, err := t.signIn(0).LinkAccount(ctx, &posternv1.LinkAccountRequest{Flow: flow, RequestId: t.requestID("link"),
				AccountId: fmt.Sprintf("%s-%d", kind, n), NewAccount: true}); err != nil {
				return "", err
			}
		}
	}
	client, err := redisClient(redisAddr)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	_, outbox, err = whereIs(ctx, client, flow)
	return outbox, err
}

// proven opens a flow and mints evidence for it.
func (p *providers) proven(ctx context.Context, t *target, c int, kind string, n int) (*posternv1.CompleteFederationRequest, error) {
	m := p.byKind[kind]
	evidence, err := m.mint(fmt.Sprintf("guest-%d", n%linked))
	if err != nil {
		return nil, err
	}
	r := startRequest(t, t.ids.Add(1))
	r.Parent = guestsSite
	a, err := t.signIn(c).StartFlow(ctx, r)
	if err != nil {
		return nil, err
	}
	call := m.call(evidence)
	call.Flow, call.RequestId = a.GetFlow(), t.requestID("complete")
	return call, nil
}

// operations are the cases of evidence that is handed in. An item is a whole request: nothing is minted or encoded twice.
func (p *providers) operations() []operation {
	var all []operation
	for _, kind := range kinds {
		all = append(all, operation{name: "CompleteFederation/" + kind, calls: 1, each: 1, evidence: kind, do: completeFederation,
			prepare: func(ctx context.Context, t *target, callers, perCaller int) ([][]string, error) {
				return p.prepare(ctx, t, kind, callers, perCaller)
			}})
	}
	return all
}

func (p *providers) prepare(ctx context.Context, t *target, kind string, callers, perCaller int) ([][]string, error) {
	return concurrently(callers, func(c int) ([]string, error) {
		var items []string
		for n := range perCaller {
			if t.name == "floor" && n > 0 { // it looks at nothing: one proof will do
				items = append(items, items[0])
				continue
			}
			call, err := p.proven(ctx, t, c, kind, c+n)
			if err != nil {
				return nil, err
			}
			b, err := proto.Marshal(call)
			if err != nil {
				return nil, err
			}
			items = append(items, string(b))
		}
		return items, nil
	})
}

func completeFederation(ctx context.Context, t *target, c int, item string) error {
	call := &posternv1.CompleteFederationRequest{}
	if err := proto.Unmarshal([]byte(item), call); err != nil {
		return err
	}
	a, err := t.signIn(c).CompleteFederation(ctx, call)
	if err == nil && t.name == "postern" && (a.GetIdentity().GetAccountId() == "" || a.GetAnswer().GetVerdict() != posternv1.Verdict_VERDICT_ALLOW) {
		err = fmt.Errorf("good evidence was answered %s (%s)", a.GetAnswer().GetVerdict(), a.GetAnswer().GetReason())
	}
	return err
}
