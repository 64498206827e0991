package convert

import "github.com/postern-audit/postern/server/names"

// subjectLists are the bounds of lists of people, and of what flows are chosen by.
func subjectLists() map[string]Bound {
	return map[string]Bound{
		"ListSubjectsRequest.parent":     name(),
		"ListSubjectsRequest.filter":     message(),
		"ListSubjectsRequest.page_size":  count(),
		"ListSubjectsRequest.page_token": opaque(),
		"GetSubjectRequest.name":         subjectName(),

		"SubjectFilter.classes":      list(4, enum()),
		"SubjectFilter.seen_since":   moment(),
		"SubjectFilter.seen_before":  moment(),
		"SubjectFilter.no_mfa_since": moment(),
		"SubjectFilter.account_ids":  list(maxValues, text(maxAccountID)),
		"SubjectFilter.emails":       list(maxValues, text(maxEmail)),

		"FlowFilter.include": message(),
		"FlowFilter.exclude": message(),

		"FlowMatch.sites":         list(maxValues, id()),
		"FlowMatch.emails":        list(maxValues, text(maxEmail)),
		"FlowMatch.account_ids":   list(maxValues, text(maxAccountID)),
		"FlowMatch.endings":       list(7, enum()),
		"FlowMatch.support_codes": list(maxValues, text(16)),
		"FlowMatch.classes":       list(4, enum()),
		"FlowMatch.reasons":       list(maxValues, upper()),
		"FlowMatch.methods":       list(maxValues, lower(maxWord, "")),
		"FlowMatch.factors":       list(maxValues, upper()),
		"FlowMatch.connections":   list(maxValues, id()),
		"FlowMatch.rules":         list(maxValues, text(maxRuleName)),
		"FlowMatch.evidences":     list(2, enum()),
		"FlowMatch.networks":      list(maxValues, text(49)),
		"FlowMatch.email_domains": list(maxValues, text(maxDomainText)),
		"FlowMatch.display_names": list(maxValues, text(maxName)),
	}
}

// subjectName is a resource name whose last part is base64url.
func subjectName() Bound {
	return token(names.Longest, "a resource name", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' || c == '/' })
	})
}
