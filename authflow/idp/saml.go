package idp

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/policy"
)

// request makes an AuthnRequest.
func (c *Client) request(ctx context.Context, organizationUID string, conn *policy.Connection, b authflow.Beginning) (authflow.Redirect, error) {
	p, err := c.whereabouts(ctx, organizationUID, conn)
	if err != nil {
		return authflow.Redirect{}, err
	}
	return c.requestTo(ctx, organizationUID, conn, p, b)
}

func (c *Client) requestTo(
	ctx context.Context, organizationUID string, conn *policy.Connection, p saml.Provider, b authflow.Beginning,
) (authflow.Redirect, error) {
	var err error
	s := conn.SAML
	r := saml.Request{
		ID: b.RequestID, Issued: c.now(), EntityID: s.SPEntityID, ACS: callback(b.CallbackURL, s.ACSURLs), Provider: p, RelayState: b.State,
		NameIDFormat: s.NameIDFormat, Contexts: wanted(b.ACRValues, s.RequestedContexts), ForceAuthn: b.Prompt,
	}
	if s.SignsRequests || p.WantsSigned {
		if r.Key, err = c.samlKey(ctx, organizationUID, conn); errors.Is(err, errSAMLKey) {
			return authflow.Redirect{}, federation.Refuse(audit.ReasonVerifierError, "the request is to be signed, and %s", err.Error())
		} else if err != nil {
			return authflow.Redirect{}, err
		}
	}
	m, err := saml.NewRequest(r, binding(b.Post, p))
	if err != nil {
		return authflow.Redirect{}, federation.Refuse(audit.ReasonVerifierError, "the request cannot be made: %v", err)
	}
	to := authflow.Redirect{URL: m.URL, Issuer: p.EntityID}
	if m.SAMLRequest != "" {
		to.Form = map[string]string{"SAMLRequest": m.SAMLRequest}
		if m.RelayState != "" {
			to.Form["RelayState"] = m.RelayState
		}
	}
	return to, nil
}

// binding is the one that is wished for, if the provider has it.
func binding(post bool, p saml.Provider) saml.Binding {
	if post && p.PostURL != "" || p.RedirectURL == "" {
		return saml.Post
	}
	return saml.Redirect
}

// errSAMLKey says that a connection's key is missing or of no use. It says nothing of the key.
var errSAMLKey = errors.New("the connection has no private key with a certificate that can be used")

// samlKey opens a connection's key. Its errors are errSAMLKey and faults of this process.
func (c *Client) samlKey(ctx context.Context, organizationUID string, conn *policy.Connection) (*saml.Key, error) {
	plain, err := c.open(ctx, organizationUID, conn)
	if errors.Is(err, errNoSecret) {
		return nil, errSAMLKey
	} else if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := saml.ParseKey(plain)
	if err != nil {
		return nil, errSAMLKey
	}
	return key, nil
}

// Response implements authflow.Providers.
func (c *Client) Response(
	ctx context.Context, organizationUID string, conn *policy.Connection, r authflow.Response,
) (federation.Identity, error) {
	s := conn.SAML
	switch {
	case s == nil:
		return federation.Identity{}, errProtocol
	case r.Issuer != "" && r.Issuer != s.EntityID:
		return federation.Identity{}, federation.Refuse(audit.ReasonIssuerMismatch, "the flow began with %s", cut(r.Issuer, maxWords))
	case r.Unsolicited && !s.AllowsUnsolicited:
		return federation.Identity{}, federation.Refuse(audit.ReasonRequestMismatch, "the connection takes no response that nobody asked for")
	}
	doc, err := saml.DecodeResponse(r.Form)
	if err != nil {
		return federation.Identity{}, err
	}
	p, err := c.whereabouts(ctx, organizationUID, conn)
	if err != nil {
		return federation.Identity{}, err
	}
	expect := saml.Expect{
		EntityID: s.SPEntityID, ACS: callback(r.CallbackURL, s.ACSURLs), Provider: p, RequestID: r.RequestID, Unsolicited: r.Unsolicited,
		ResponseSignatureOnly: s.ResponseSignatureOnly, EmailAttribute: s.EmailAttribute, NameAttribute: s.NameAttribute,
		AllowPrefixLists: s.AllowsPrefixLists,
	}
	if s.AllowsEncryption && bytes.Contains(doc, []byte("EncryptedAssertion")) {
		if expect.Decrypt, err = c.samlKey(ctx, organizationUID, conn); errors.Is(err, errSAMLKey) {
			return federation.Identity{}, federation.Refuse(audit.ReasonEncryptionNotAllowed, "the assertion is encrypted, and %s", err.Error())
		} else if err != nil {
			return federation.Identity{}, err
		}
	}
	id, err := saml.Verify(doc, expect, r.Now)
	if err != nil {
		return federation.Identity{}, err
	}
	if err := fresh(&id, r.MaxAge, r.Now); err != nil {
		return federation.Identity{}, err
	}
	return id, nil
}

// fresh refuses an identity whose person last gave a credential too long ago. Nobody says when: too long ago.
func fresh(id *federation.Identity, maxAge time.Duration, now time.Time) error {
	switch {
	case maxAge <= 0:
		return nil
	case id.AuthTime.IsZero():
		return federation.Refuse(audit.ReasonAssuranceTooLow, "the assertion does not say when the person signed in")
	case now.Sub(id.AuthTime) > maxAge+saml.DefaultSkew:
		return federation.Refuse(audit.ReasonAssuranceTooLow, "the person signed in %s ago, more than %s", now.Sub(id.AuthTime), maxAge)
	}
	return nil
}
