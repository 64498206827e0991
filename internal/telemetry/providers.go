package telemetry

import (
	"context"
	"errors"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// Providers counts and times what inner makes of providers and their evidence, and changes nothing about it.
func (m *Metrics) Providers(inner authflow.Providers) authflow.Providers { return &providers{inner, m} }

type providers struct {
	authflow.Providers
	m *Metrics
}

// Redeem implements authflow.Providers.
func (p *providers) Redeem(ctx context.Context, organizationUID string, c *policy.Connection, code authflow.Code) (federation.Identity, error) {
	began := p.m.now()
	id, err := p.Providers.Redeem(ctx, organizationUID, c, code)
	p.m.exchangeSeconds.Observe(p.m.now().Sub(began).Seconds())
	p.m.judged("oidc_code", err)
	return id, err
}

// Token implements authflow.Providers.
func (p *providers) Token(ctx context.Context, organizationUID string, c *policy.Connection, t authflow.Token) (federation.Identity, error) {
	id, err := p.Providers.Token(ctx, organizationUID, c, t)
	p.m.judged("oidc_token", err)
	return id, err
}

// Response implements authflow.Providers.
func (p *providers) Response(ctx context.Context, organizationUID string, c *policy.Connection, r authflow.Response) (federation.Identity, error) {
	id, err := p.Providers.Response(ctx, organizationUID, c, r)
	p.m.judged("saml_response", err)
	return id, err
}

// judged counts a piece of evidence by what became of it: a reason of the closed catalogue, or ACCEPTED.
func (m *Metrics) judged(evidence string, err error) {
	reason := "ACCEPTED"
	var refused *federation.Refusal
	switch {
	case errors.As(err, &refused):
		reason = refused.Reason
	case err != nil:
		reason = "FAULT"
	}
	m.evidence.WithLabelValues(evidence, reason).Inc()
}
