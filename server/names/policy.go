package names

import "strings"

const policy = "/policy"

// Policy reads organizations/{organization}/policy.
func Policy(field, name string) (organization string, err error) {
	rest, ok := strings.CutPrefix(name, organizations)
	organization, whole := strings.CutSuffix(rest, policy)
	if !ok || !whole || !IsID(organization) {
		return "", invalid(field, "organizations/{organization}/policy")
	}
	return organization, nil
}

// FormatPolicy writes what Policy reads.
func FormatPolicy(organization string) string { return organizations + organization + policy }
