package convert

import (
	applying "github.com/postern-audit/postern/policy/directory"
)

func policies() map[string]Bound {
	return map[string]Bound{
		"GetPolicyRequest.name":     name(),
		"GetPolicyRequest.revision": count(),
		"GetPolicyRequest.time":     moment(),

		"UpdatePolicyRequest.name":          name(),
		"UpdatePolicyRequest.document":      lines(maxDocument),
		"UpdatePolicyRequest.etag":          requestIDOf(64),
		"UpdatePolicyRequest.request_id":    requestID(),
		"UpdatePolicyRequest.validate_only": flag(),
		"UpdatePolicyRequest.reason":        lines(maxReason),
		"UpdatePolicyRequest.force":         flag(),
		"UpdatePolicyRequest.admin_email":   text(maxEmail),

		"ListPolicyRevisionsRequest.parent":     name(),
		"ListPolicyRevisionsRequest.page_size":  count(),
		"ListPolicyRevisionsRequest.page_token": opaque(),

		"RollBackPolicyRequest.name":          name(),
		"RollBackPolicyRequest.revision":      count(),
		"RollBackPolicyRequest.etag":          requestIDOf(64),
		"RollBackPolicyRequest.request_id":    requestID(),
		"RollBackPolicyRequest.validate_only": flag(),
		"RollBackPolicyRequest.reason":        lines(maxReason),
		"RollBackPolicyRequest.force":         flag(),
		"RollBackPolicyRequest.admin_email":   text(maxEmail),

		"SuspendPolicyRequest.name":       name(),
		"SuspendPolicyRequest.duration":   span(applying.ShortestSuspension, applying.LongestSuspension),
		"SuspendPolicyRequest.etag":       requestIDOf(64),
		"SuspendPolicyRequest.request_id": requestID(),
		"SuspendPolicyRequest.reason":     lines(maxReason),

		"ResumePolicyRequest.name":       name(),
		"ResumePolicyRequest.etag":       requestIDOf(64),
		"ResumePolicyRequest.request_id": requestID(),
		"ResumePolicyRequest.reason":     lines(maxReason),
	}
}
