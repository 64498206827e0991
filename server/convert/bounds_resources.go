package convert

import (
	"maps"

	"github.com/postern-audit/postern/policy"
)

// Bounds of resources that come with requests. What is wrong beyond size and shape is said by the rules that documents are held
// against as well.
const (
	maxHostname    = 253
	minCertificate = 64
	maxCertificate = 8 << 10
)

func resources() map[string]Bound {
	out := map[string]Bound{}
	for _, group := range []map[string]Bound{organizations(), sites(), connectionChanges(), connectionFields()} {
		maps.Copy(out, group)
	}
	return out
}

func organizations() map[string]Bound {
	return map[string]Bound{
		"Organization.name":         name(),
		"Organization.uid":          text(64),
		"Organization.display_name": text(policy.MaxText),
		"Organization.disabled":     flag(),
		"Organization.revision":     count(),
		"Organization.etag":         requestIDOf(64),
		"Organization.sites":        unread(),
		"Organization.connections":  unread(),
		"Organization.policy":       unread(),
		"Organization.domains":      unread(),
		"Organization.domain_count": count(),
		"Organization.claim_count":  count(),
		"Organization.create_time":  moment(),
		"Organization.update_time":  moment(),
		"Organization.sandbox":      flag(),
		"Organization.retention":    message(),
		"Organization.privacy":      message(),

		"Retention.sign_in_days":        count(),
		"Retention.administration_days": count(),
		"Retention.activity_days":       count(),
		"Retention.hold":                flag(),
		"Retention.hold_reason":         lines(policy.MaxText),

		"Privacy.email":        enum(),
		"Privacy.ip":           enum(),
		"Privacy.user_content": enum(),

		"CreateOrganizationRequest.organization_id": id(),
		"CreateOrganizationRequest.organization":    message(),
		"CreateOrganizationRequest.request_id":      requestID(),
		"CreateOrganizationRequest.validate_only":   flag(),
		"CreateOrganizationRequest.reason":          lines(maxReason),

		"UpdateOrganizationRequest.organization":  message(),
		"UpdateOrganizationRequest.update_mask":   mask(),
		"UpdateOrganizationRequest.etag":          requestIDOf(64),
		"UpdateOrganizationRequest.request_id":    requestID(),
		"UpdateOrganizationRequest.validate_only": flag(),
		"UpdateOrganizationRequest.reason":        lines(maxReason),

		"DestroyOrganizationKeyRequest.name":       name(),
		"DestroyOrganizationKeyRequest.confirm":    id(),
		"DestroyOrganizationKeyRequest.etag":       requestIDOf(64),
		"DestroyOrganizationKeyRequest.request_id": requestID(),

		"DeleteOrganizationRequest.name":       name(),
		"DeleteOrganizationRequest.etag":       requestIDOf(64),
		"DeleteOrganizationRequest.request_id": requestID(),
		"DeleteOrganizationRequest.reason":     lines(maxReason),
	}
}

func sites() map[string]Bound {
	return map[string]Bound{
		"Site.id":                   id(),
		"Site.uid":                  text(64),
		"Site.display_name":         text(policy.MaxText),
		"Site.hostnames":            list(policy.MaxHostnames, text(maxHostname)),
		"Site.disabled":             flag(),
		"Site.trusts_account_email": flag(),
		"Site.origin":               enum(),
		"Site.proofs_not_before":    moment(),
		"Site.name":                 name(),
		"Site.etag":                 requestIDOf(64),
		"Site.privacy":              message(),
		"Site.region":               text(policy.MaxRegion),

		"CreateSiteRequest.parent":        name(),
		"CreateSiteRequest.site_id":       id(),
		"CreateSiteRequest.site":          message(),
		"CreateSiteRequest.etag":          requestIDOf(64),
		"CreateSiteRequest.request_id":    requestID(),
		"CreateSiteRequest.validate_only": flag(),
		"CreateSiteRequest.reason":        lines(maxReason),
		"CreateSiteRequest.force":         flag(),
		"CreateSiteRequest.admin_email":   text(maxEmail),

		"GetSiteRequest.name": name(),

		"ListSitesRequest.parent":     name(),
		"ListSitesRequest.page_size":  count(),
		"ListSitesRequest.page_token": opaque(),

		"UpdateSiteRequest.site":          message(),
		"UpdateSiteRequest.update_mask":   mask(),
		"UpdateSiteRequest.etag":          requestIDOf(64),
		"UpdateSiteRequest.request_id":    requestID(),
		"UpdateSiteRequest.validate_only": flag(),
		"UpdateSiteRequest.reason":        lines(maxReason),
		"UpdateSiteRequest.force":         flag(),
		"UpdateSiteRequest.admin_email":   text(maxEmail),

		"DeleteSiteRequest.name":       name(),
		"DeleteSiteRequest.etag":       requestIDOf(64),
		"DeleteSiteRequest.request_id": requestID(),
		"DeleteSiteRequest.reason":     lines(maxReason),
	}
}

func connectionChanges() map[string]Bound {
	return map[string]Bound{
		"CreateConnectionRequest.parent":        name(),
		"CreateConnectionRequest.connection_id": id(),
		"CreateConnectionRequest.connection":    message(),
		"CreateConnectionRequest.etag":          requestIDOf(64),
		"CreateConnectionRequest.request_id":    requestID(),
		"CreateConnectionRequest.validate_only": flag(),
		"CreateConnectionRequest.reason":        lines(maxReason),

		"UpdateConnectionRequest.connection":    message(),
		"UpdateConnectionRequest.update_mask":   mask(),
		"UpdateConnectionRequest.etag":          requestIDOf(64),
		"UpdateConnectionRequest.request_id":    requestID(),
		"UpdateConnectionRequest.validate_only": flag(),
		"UpdateConnectionRequest.reason":        lines(maxReason),
		"UpdateConnectionRequest.force":         flag(),
		"UpdateConnectionRequest.admin_email":   text(maxEmail),

		"DeleteConnectionRequest.name":       name(),
		"DeleteConnectionRequest.etag":       requestIDOf(64),
		"DeleteConnectionRequest.request_id": requestID(),
		"DeleteConnectionRequest.reason":     lines(maxReason),
	}
}

func connectionFields() map[string]Bound {
	words := func(most, longest int) Bound { return list(most, text(longest)) }
	return map[string]Bound{
		"Connection.id":                 id(),
		"Connection.uid":                text(64),
		"Connection.display_name":       text(policy.MaxText),
		"Connection.kind":               enum(),
		"Connection.protocol":           enum(),
		"Connection.disabled":           flag(),
		"Connection.origin":             enum(),
		"Connection.name":               name(),
		"Connection.preset":             text(64),
		"Connection.oidc":               message(),
		"Connection.saml":               message(),
		"Connection.domains":            list(policy.MaxMatchValues, message()),
		"Connection.trusts_email":       flag(),
		"Connection.links_by_email":     flag(),
		"Connection.has_secret":         flag(),
		"Connection.secret_update_time": moment(),
		"Connection.etag":               requestIDOf(64),

		"DomainMatch.domain":             text(maxDomainText),
		"DomainMatch.include_subdomains": flag(),

		"Connection.Oidc.issuer":                 text(policy.MaxURL),
		"Connection.Oidc.client_id":              text(policy.MaxClientID),
		"Connection.Oidc.authorization_endpoint": text(policy.MaxURL),
		"Connection.Oidc.token_endpoint":         text(policy.MaxURL),
		"Connection.Oidc.userinfo_endpoint":      text(policy.MaxURL),
		"Connection.Oidc.jwks_uri":               text(policy.MaxURL),
		"Connection.Oidc.client_auth":            text(policy.MaxName),
		"Connection.Oidc.key_id":                 text(policy.MaxName),
		"Connection.Oidc.scopes":                 words(policy.MaxScopes, policy.MaxName),
		"Connection.Oidc.algorithms":             words(policy.MaxListed, policy.MaxName),
		"Connection.Oidc.redirect_uris":          words(policy.MaxAddresses, policy.MaxURL),
		"Connection.Oidc.audiences":              words(policy.MaxListed, policy.MaxClientID),
		"Connection.Oidc.authorized_parties":     words(policy.MaxListed, policy.MaxClientID),
		"Connection.Oidc.acr_values":             words(policy.MaxListed, policy.MaxName),
		"Connection.Oidc.tenant":                 text(policy.MaxName),

		"Connection.Saml.entity_id":               text(policy.MaxEntityID),
		"Connection.Saml.redirect_url":            text(policy.MaxURL),
		"Connection.Saml.post_url":                text(policy.MaxURL),
		"Connection.Saml.certificates":            list(policy.MaxCertificates, octets(minCertificate, maxCertificate)),
		"Connection.Saml.metadata_url":            text(policy.MaxURL),
		"Connection.Saml.metadata_certificate":    octets(minCertificate, maxCertificate),
		"Connection.Saml.sp_entity_id":            text(policy.MaxEntityID),
		"Connection.Saml.acs_urls":                words(policy.MaxAddresses, policy.MaxURL),
		"Connection.Saml.signs_requests":          flag(),
		"Connection.Saml.allows_unsolicited":      flag(),
		"Connection.Saml.response_signature_only": flag(),
		"Connection.Saml.allows_encryption":       flag(),
		"Connection.Saml.name_id_format":          text(policy.MaxName),
		"Connection.Saml.email_attribute":         text(policy.MaxName),
		"Connection.Saml.name_attribute":          text(policy.MaxName),
		"Connection.Saml.requested_contexts":      words(policy.MaxListed, policy.MaxName),
		"Connection.Saml.allows_prefix_lists":     flag(),
	}
}
