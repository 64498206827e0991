package policypb

import (
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// FromConnection converts everything a connection of the organization with this id has but its secret.
func FromConnection(organization string, c *policy.Connection) *posternv1.Connection {
	m := &posternv1.Connection{Id: c.ID, Uid: c.UID, DisplayName: c.DisplayName, Kind: posternv1.Connection_Kind(c.Kind),
		Protocol: posternv1.Connection_Protocol(c.Protocol), Disabled: c.Disabled, Origin: fromOrigin(c.Origin),
		Name: collection + organization + "/connections/" + c.ID, Preset: c.Preset, Domains: fromDomains(c.Domains),
		TrustsEmail: c.TrustsEmail, LinksByEmail: c.LinksByEmail}
	if len(c.Sealed()) > 0 {
		m.HasSecret, m.SecretUpdateTime = true, fromTime(c.SecretUpdated)
	}
	if o := c.OIDC; o != nil {
		m.Oidc = &posternv1.Connection_Oidc{Issuer: o.Issuer, ClientId: o.ClientID, AuthorizationEndpoint: o.AuthorizationEndpoint,
			TokenEndpoint: o.TokenEndpoint, UserinfoEndpoint: o.UserinfoEndpoint, JwksUri: o.JWKSURI, ClientAuth: o.ClientAuth, KeyId: o.KeyID,
			Scopes: o.Scopes, Algorithms: o.Algorithms, RedirectUris: o.RedirectURIs, Audiences: o.Audiences,
			AuthorizedParties: o.AuthorizedParties, AcrValues: o.ACRValues, Tenant: o.Tenant}
	}
	if s := c.SAML; s != nil {
		m.Saml = &posternv1.Connection_Saml{EntityId: s.EntityID, RedirectUrl: s.RedirectURL, PostUrl: s.PostURL, Certificates: s.Certificates,
			MetadataUrl: s.MetadataURL, MetadataCertificate: s.MetadataCertificate, SpEntityId: s.SPEntityID, AcsUrls: s.ACSURLs,
			SignsRequests: s.SignsRequests, AllowsUnsolicited: s.AllowsUnsolicited, ResponseSignatureOnly: s.ResponseSignatureOnly,
			AllowsEncryption: s.AllowsEncryption, AllowsPrefixLists: s.AllowsPrefixLists, NameIdFormat: s.NameIDFormat, EmailAttribute: s.EmailAttribute,
			NameAttribute: s.NameAttribute, RequestedContexts: s.RequestedContexts}
	}
	return m
}

// toConnection is the reverse of FromConnection.
func toConnection(c *posternv1.Connection) (policy.Connection, error) {
	if c.GetId() == "" || c.GetUid() == "" {
		return policy.Connection{}, unreadable("a connection without id or uid")
	}
	out := policy.Connection{ID: c.GetId(), UID: c.GetUid(), DisplayName: c.GetDisplayName(), Disabled: c.GetDisabled(), Origin: toOrigin(c.GetOrigin()),
		Preset: c.GetPreset(), TrustsEmail: c.GetTrustsEmail(), LinksByEmail: c.GetLinksByEmail()}
	switch c.GetKind() {
	case posternv1.Connection_KIND_SOCIAL:
		out.Kind = policy.ConnectionSocial
	case posternv1.Connection_KIND_SSO:
		out.Kind = policy.ConnectionSSO
	default:
		return policy.Connection{}, unreadable("a connection of unknown kind")
	}
	switch c.GetProtocol() {
	case posternv1.Connection_PROTOCOL_UNSPECIFIED:
	case posternv1.Connection_PROTOCOL_OIDC:
		out.Protocol = policy.ProtocolOIDC
	case posternv1.Connection_PROTOCOL_SAML:
		out.Protocol = policy.ProtocolSAML
	default:
		return policy.Connection{}, unreadable("a connection of unknown protocol")
	}
	var err error
	if out.Domains, err = toDomains(c.GetDomains()); err != nil {
		return policy.Connection{}, err
	}
	if c.GetOidc() != nil && c.GetSaml() != nil {
		return policy.Connection{}, unreadable("a connection of two protocols")
	}
	out.OIDC, out.SAML = toOIDC(c.GetOidc()), toSAML(c.GetSaml())
	return out, nil
}

// ParseConnection makes a connection of what a caller describes: with this id, and without uid, origin and secret. Its kind may be absent
// where only other fields of it count.
func ParseConnection(id string, m *posternv1.Connection) (policy.Connection, error) {
	given := &posternv1.Connection{Id: id, Uid: "-", DisplayName: m.GetDisplayName(), Kind: m.GetKind(), Protocol: m.GetProtocol(), Disabled: m.GetDisabled(),
		Preset: m.GetPreset(), Oidc: m.GetOidc(), Saml: m.GetSaml(), Domains: m.GetDomains(), TrustsEmail: m.GetTrustsEmail(), LinksByEmail: m.GetLinksByEmail()}
	if given.GetKind() == posternv1.Connection_KIND_UNSPECIFIED {
		given.Kind = posternv1.Connection_KIND_SOCIAL
	}
	out, err := toConnection(given)
	out.UID = ""
	if m.GetKind() == posternv1.Connection_KIND_UNSPECIFIED {
		out.Kind = 0
	}
	return out, err
}

func toOIDC(o *posternv1.Connection_Oidc) *policy.OIDC {
	if o == nil {
		return nil
	}
	return &policy.OIDC{Issuer: o.GetIssuer(), ClientID: o.GetClientId(), AuthorizationEndpoint: o.GetAuthorizationEndpoint(),
		TokenEndpoint: o.GetTokenEndpoint(), UserinfoEndpoint: o.GetUserinfoEndpoint(), JWKSURI: o.GetJwksUri(), ClientAuth: o.GetClientAuth(),
		KeyID: o.GetKeyId(), Scopes: o.GetScopes(), Algorithms: o.GetAlgorithms(), RedirectURIs: o.GetRedirectUris(), Audiences: o.GetAudiences(),
		AuthorizedParties: o.GetAuthorizedParties(), ACRValues: o.GetAcrValues(), Tenant: o.GetTenant()}
}

func toSAML(s *posternv1.Connection_Saml) *policy.SAML {
	if s == nil {
		return nil
	}
	return &policy.SAML{EntityID: s.GetEntityId(), RedirectURL: s.GetRedirectUrl(), PostURL: s.GetPostUrl(), Certificates: s.GetCertificates(),
		MetadataURL: s.GetMetadataUrl(), MetadataCertificate: s.GetMetadataCertificate(), SPEntityID: s.GetSpEntityId(), ACSURLs: s.GetAcsUrls(),
		SignsRequests: s.GetSignsRequests(), AllowsUnsolicited: s.GetAllowsUnsolicited(), ResponseSignatureOnly: s.GetResponseSignatureOnly(),
		AllowsEncryption: s.GetAllowsEncryption(), AllowsPrefixLists: s.GetAllowsPrefixLists(), NameIDFormat: s.GetNameIdFormat(), EmailAttribute: s.GetEmailAttribute(),
		NameAttribute: s.GetNameAttribute(), RequestedContexts: s.GetRequestedContexts()}
}

// FromSecrets lists the sealed secrets of an organization's connections: they are stored beside FromOrganization, and are part of
// nothing that is shown.
func FromSecrets(o *policy.Organization) []*storev1.ConnectionSecret {
	var out []*storev1.ConnectionSecret
	for i := range o.Connections {
		c := &o.Connections[i]
		if sealed := c.Sealed(); len(sealed) > 0 {
			out = append(out, &storev1.ConnectionSecret{ConnectionUid: c.UID, Sealed: sealed, UpdateTime: fromTime(c.SecretUpdated)})
		}
	}
	return out
}

// AddSecrets is the reverse of FromSecrets: it gives the connections of o their secrets. One that belongs to no connection, or
// to one that takes none, is an error: it would be lost with the next write.
func AddSecrets(o *policy.Organization, secrets []*storev1.ConnectionSecret) error {
	at := make(map[string]int, len(o.Connections))
	for i := range o.Connections {
		at[o.Connections[i].UID] = i
	}
	for _, s := range secrets {
		i, known := at[s.GetConnectionUid()]
		if !known || !valid(s.GetUpdateTime()) || len(s.GetSealed()) == 0 {
			return unreadable("a secret of no connection, or with a bad time")
		}
		o.Connections[i] = o.Connections[i].WithSecret(s.GetSealed(), toTime(s.GetUpdateTime()))
		if len(o.Connections[i].Sealed()) == 0 {
			return unreadable("a secret of a connection that takes none")
		}
	}
	return nil
}
