package names

const erasures = "/erasures/"

// Erasure reads organizations/{organization}/erasures/{erasure}.
func Erasure(field, name string) (organization, erasure string, err error) {
	organization, erasure, ok := split(name, erasures)
	if !ok || !isTail(erasure) {
		return "", "", invalid(field, "organizations/{organization}/erasures/{erasure}")
	}
	return organization, erasure, nil
}

// FormatErasure writes what Erasure reads.
func FormatErasure(organization, erasure string) string {
	return organizations + organization + erasures + erasure
}
