package names

import (
	"encoding/hex"

	"github.com/postern-audit/postern/internal/errs"
)

const keys = "/keys/"

// Key reads organizations/{organization}/keys/{key}, the latter 16 lower-case hexadecimal digits.
func Key(field, name string) (organization string, key [8]byte, err error) {
	organization, text, ok := split(name, keys)
	if ok && digits(key[:], text) {
		return organization, key, nil
	}
	return "", [8]byte{}, errs.Field(field, "NAME_INVALID", "must be organizations/{organization}/keys/{key}, as an answer named it")
}

// FormatKey writes what Key reads.
func FormatKey(organization string, key [8]byte) string {
	return organizations + organization + keys + hex.EncodeToString(key[:])
}
