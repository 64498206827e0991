package names

import "github.com/postern-audit/postern/internal/errs"

const exports = "/exports/"

// Export reads organizations/{organization}/exports/{export}, the latter a UUID in lower case.
func Export(field, name string) (organization, export string, err error) {
	organization, export, ok := split(name, exports)
	if !ok || !isUUID(export) {
		return "", "", errs.Field(field, "NAME_INVALID", "must be organizations/{organization}/exports/{export}, as an answer named it")
	}
	return organization, export, nil
}

// FormatExport writes what Export reads.
func FormatExport(organization, export string) string {
	return organizations + organization + exports + export
}

// isUUID reports whether s is 36 characters of lower-case hexadecimal digits with hyphens where a UUID has them.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (c == '-') || !hyphen && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
