package convert

import (
	"time"

	"github.com/postern-audit/postern/apikey"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// keys are the bounds of what is about API keys and test events.
func keys() map[string]Bound {
	return map[string]Bound{
		"CreateKeyRequest.parent":          name(),
		"CreateKeyRequest.display_name":    text(128),
		"CreateKeyRequest.role":            enum(),
		"CreateKeyRequest.detail":          enum(),
		"CreateKeyRequest.expire_time":     moment(),
		"CreateKeyRequest.request_id":      requestID(),
		"CreateKeyRequest.include_sandbox": flag(),

		"GetKeyRequest.name": name(),

		"ListKeysRequest.parent":     name(),
		"ListKeysRequest.page_size":  count(),
		"ListKeysRequest.page_token": opaque(),

		"RevokeKeyRequest.name":       name(),
		"RevokeKeyRequest.request_id": requestID(),
		"RevokeKeyRequest.reason":     lines(maxReason),

		"EmitTestEventRequest.parent":     name(),
		"EmitTestEventRequest.request_id": requestID(),
		"EmitTestEventRequest.note":       text(maxReason),
	}
}

// CreateKey converts a request for a new key.
func (c *Converter) CreateKey(r *posternv1.CreateKeyRequest) (apikey.NewKey, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return apikey.NewKey{}, err
	}
	organization, err := names.Organization("parent", r.GetParent())
	switch {
	case err != nil:
		return apikey.NewKey{}, err
	case r.GetDisplayName() == "":
		return apikey.NewKey{}, required("display_name")
	case r.GetRole() == posternv1.Key_ROLE_UNSPECIFIED:
		return apikey.NewKey{}, required("role")
	case r.GetExpireTime() == nil:
		return apikey.NewKey{}, required("expire_time")
	}
	return apikey.NewKey{
		Organization: organization, DisplayName: r.GetDisplayName(), Role: apikey.Role(r.GetRole()), Detail: apikey.Detail(r.GetDetail()), //nolint:gosec // checked
		Expires: r.GetExpireTime().AsTime(), RequestID: r.GetRequestId(), Sandbox: r.GetIncludeSandbox(),
	}, nil
}

// GetKey converts a request for one key.
func (c *Converter) GetKey(r *posternv1.GetKeyRequest) (organization string, id apikey.ID, err error) {
	if err := c.Check(r); err != nil {
		return "", apikey.ID{}, err
	}
	return names.Key("name", r.GetName())
}

// RevokeKey converts a request to end a key.
func (c *Converter) RevokeKey(r *posternv1.RevokeKeyRequest) (apikey.Revocation, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return apikey.Revocation{}, err
	}
	organization, id, err := names.Key("name", r.GetName())
	return apikey.Revocation{Organization: organization, ID: id, RequestID: r.GetRequestId(), Reason: r.GetReason()}, err
}

// EmitTestEvent converts a request for a test event.
func (c *Converter) EmitTestEvent(r *posternv1.EmitTestEventRequest) (apikey.TestEvent, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return apikey.TestEvent{}, err
	}
	organization, err := names.Organization("parent", r.GetParent())
	return apikey.TestEvent{Organization: organization, RequestID: r.GetRequestId(), Note: r.GetNote()}, err
}

// Key is a key as answers show it.
func Key(organization string, k *apikey.Key, now time.Time) *posternv1.Key {
	return &posternv1.Key{
		Name: names.FormatKey(organization, k.ID), DisplayName: k.DisplayName, Role: posternv1.Key_Role(k.Role), Detail: posternv1.Key_Detail(k.Detail),
		State: posternv1.Key_State(k.State(now)), CreateTime: Timestamp(k.Created), ExpireTime: Timestamp(k.Expires), RevokeTime: Timestamp(k.Revoked),
		LastUseTime: Timestamp(k.Used), Creator: k.Creator, IncludeSandbox: k.Sandbox,
	}
}
