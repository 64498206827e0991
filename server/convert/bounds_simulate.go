package convert

func simulations() map[string]Bound {
	return map[string]Bound{
		"SimulateRequest.name":                  name(),
		"SimulateRequest.policy":                lines(maxDocument),
		"SimulateRequest.organization_document": lines(maxDocument),
		"SimulateRequest.start_time":            moment(),
		"SimulateRequest.end_time":              moment(),
		"SimulateRequest.sites":                 list(maxValues, id()),
		"SimulateRequest.sample_size":           count(),

		"GetPolicyImpactRequest.name":        name(),
		"GetPolicyImpactRequest.start_time":  moment(),
		"GetPolicyImpactRequest.end_time":    moment(),
		"GetPolicyImpactRequest.rules":       list(maxValues, id()),
		"GetPolicyImpactRequest.sample_size": count(),
	}
}
