package names

const savedFilters = "/savedFilters/"

// SavedFilter reads organizations/{organization}/savedFilters/{filter}.
func SavedFilter(field, name string) (organization, filter string, err error) {
	organization, filter, ok := split(name, savedFilters)
	if !ok || !IsID(filter) {
		return "", "", invalid(field, "organizations/{organization}/savedFilters/{filter}")
	}
	return organization, filter, nil
}

// FormatSavedFilter writes what SavedFilter reads.
func FormatSavedFilter(organization, filter string) string {
	return organizations + organization + savedFilters + filter
}
