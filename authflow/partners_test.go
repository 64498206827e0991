package authflow

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// idp is a provider whose codes, tokens and responses are "<subject>|<e-mail>|<nonce or request id>".
type idp struct {
	mu       sync.Mutex
	sent     []string // codes that left the process
	begun    Beginning
	down     bool
	verified bool
	ends     time.Time // of sessions
	during   func()    // while a code is exchanged
}

func (p *idp) Begin(_ context.Context, _ string, c *policy.Connection, b Beginning) (Redirect, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return Redirect{}, federation.Refuse(audit.ReasonIDPUnreachable, "no answer")
	}
	p.begun = b
	return Redirect{URL: "https://idp.example/authorize?state=" + b.State, Issuer: issuerOf(c)}, nil
}

func issuerOf(c *policy.Connection) string {
	if c.SAML != nil {
		return c.SAML.EntityID
	}
	return c.OIDC.Issuer
}

func (p *idp) judge(c *policy.Connection, evidence string, fits func(string) bool) (federation.Identity, error) {
	parts := strings.Split(evidence, "|")
	if len(parts) != 3 {
		return federation.Identity{}, federation.Refuse(audit.ReasonMalformed, "not three parts")
	}
	if !fits(parts[2]) {
		return federation.Identity{}, federation.Refuse(audit.ReasonNonceMismatch, "another nonce")
	}
	return federation.Identity{Issuer: issuerOf(c), ID: parts[0], Email: parts[1], EmailVerified: p.verified, ACR: "mfa", AuthTime: noon.Add(-time.Minute),
		Until: noon.Add(10 * time.Minute), Uses: []federation.Use{sha256.Sum256([]byte(evidence))}, Checks: []string{"signature"}, SessionEnds: p.ends}, nil
}

func (p *idp) Redeem(_ context.Context, _ string, c *policy.Connection, code Code) (federation.Identity, error) {
	p.mu.Lock()
	p.sent = append(p.sent, code.Code)
	p.mu.Unlock()
	if p.during != nil {
		p.during()
	}
	return p.judge(c, code.Code, func(nonce string) bool { return sum(nonce) == code.NonceHash })
}

func (p *idp) Token(_ context.Context, _ string, c *policy.Connection, t Token) (federation.Identity, error) {
	return p.judge(c, t.Token, func(nonce string) bool { return t.NonceHash == nil || sum(nonce) == *t.NonceHash })
}

func (p *idp) Response(_ context.Context, _ string, c *policy.Connection, r Response) (federation.Identity, error) {
	id, err := p.judge(c, r.Form, func(request string) bool { return request == r.RequestID })
	id.Unsolicited = r.Unsolicited
	return id, err
}

// federated is acme with a connection of each kind that is verified here.
func federated(p policy.Policy, change ...func(*policy.Organization)) *policy.Organization {
	return changed(acme(p), func(o *policy.Organization) {
		o.Connections[0].OIDC = &policy.OIDC{Issuer: "https://okta.example", ClientID: "c", RedirectURIs: []string{"https://login.example/oidc", "https://login.example/two"}}
		o.Connections[1].SAML = &policy.SAML{EntityID: "https://entra.example", ACSURLs: []string{"https://login.example/acs"}}
		for _, f := range change {
			f(o)
		}
	})
}

// partners is a world with providers.
type partners struct {
	*world
	idp  *idp
	flow FlowID
	n    int
}

func newPartners(t *testing.T, org *policy.Organization) *partners {
	p := &partners{world: newWorld(t, org), idp: &idp{}}
	p.flows.c.Providers = p.idp
	p.flow = p.start("start").Flow
	return p
}

func (p *partners) request() string {
	p.n++
	return fmt.Sprintf("fed-%d", p.n)
}

func (p *partners) begin(connection string, change ...func(*BeginInput)) Begun {
	p.t.Helper()
	in := BeginInput{Organization: "acme", Flow: p.flow, RequestID: p.request(), Connection: connection}
	for _, f := range change {
		f(&in)
	}
	b, err := p.flows.BeginFederation(p.t.Context(), caller, in)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// came is what comes back when the provider vouches for a subject.
func (p *partners) came(b Begun, subject, email string) CompleteInput {
	return CompleteInput{Organization: "acme", Flow: p.flow, RequestID: p.request(), BrowserToken: b.BrowserToken,
		Callback: &Callback{State: p.idp.begun.State, Code: subject + "|" + email + "|" + p.idp.begun.Nonce}}
}

func (p *partners) complete(in CompleteInput) Completed {
	p.t.Helper()
	c, err := p.flows.CompleteFederation(p.t.Context(), caller, in)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *partners) link(account string, change ...func(*LinkInput)) (Answer, error) {
	in := LinkInput{Organization: "acme", Flow: p.flow, RequestID: p.request(), AccountID: account, NewAccount: true}
	for _, f := range change {
		f(&in)
	}
	return p.flows.LinkAccount(p.t.Context(), caller, in)
}

func (p *partners) state() *State {
	p.t.Helper()
	r, err := p.store.Read(p.t.Context(), Read{OrganizationUID: p.store.org.UID, Flow: p.flow})
	if err != nil || r.Flow == nil {
		p.t.Fatalf("the flow is gone: %v", err)
	}
	return r.Flow.State
}

// again is another flow of the same person.
func (p *partners) again() { p.flow = p.start(p.request()).Flow }

func errReason(err error) string {
	if e := errs.As(err); e != nil {
		return e.Reason
	}
	return ""
}
