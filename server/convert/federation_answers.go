package convert

import (
	"github.com/postern-audit/postern/authflow"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// Begun converts where to send the person. It holds what belongs to one browser alone: it is handed out and never logged.
func (f Forms) Begun(b authflow.Begun) *posternv1.BeginFederationResponse {
	return &posternv1.BeginFederationResponse{
		Answer: f.FlowAnswer(b.Answer), RedirectUrl: b.Redirect.URL, Form: b.Redirect.Form, BrowserToken: b.BrowserToken,
	}
}

// Completed converts what was proven.
func (f Forms) Completed(c authflow.Completed) *posternv1.CompleteFederationResponse {
	out := &posternv1.CompleteFederationResponse{Answer: f.FlowAnswer(c.Answer)}
	if p := c.Identity; p != nil {
		out.Identity = &posternv1.FederatedIdentity{
			Connection: p.Connection, Issuer: p.Issuer, SubjectId: p.SubjectID, Email: p.Email, EmailVerified: p.EmailVerified,
			DisplayName: p.DisplayName, AccountId: p.AccountID, SessionExpires: timestamp(p.SessionEnds),
		}
	}
	return out
}

// Identities converts links of an organization.
func Identities(organization string, links []authflow.Link) []*posternv1.Identity {
	var out []*posternv1.Identity
	for i := range links {
		l := &links[i]
		shown := &posternv1.Identity{
			Name: names.FormatIdentity(organization, l.Identity), AccountId: l.AccountID, Connection: l.Connection,
			Issuer: l.Issuer, SubjectId: l.SubjectID, Email: l.Email, LinkTime: timestamp(l.Linked), LinkedBy: l.By,
		}
		if l.Flow != "" {
			shown.Flow = names.FormatFlow(organization, l.Flow)
		}
		out = append(out, shown)
	}
	return out
}
