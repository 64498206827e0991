package names

import (
	"encoding/base64"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

const subjects = "/subjects/"

// Subject reads organizations/{organization}/subjects/{subject}, the latter a blind index of 1 to 48 bytes in base64url.
func Subject(field, name string) (organization string, index []byte, err error) {
	organization, text, ok := split(name, subjects)
	if ok && len(text) <= maxTail && !strings.ContainsAny(text, "\r\n") {
		index, err = base64.RawURLEncoding.Strict().DecodeString(text)
	}
	if !ok || err != nil || len(index) == 0 {
		return "", nil, errs.Field(field, "NAME_INVALID", "must be organizations/{organization}/subjects/{subject}, as an answer named it")
	}
	return organization, index, nil
}

// FormatSubject writes what Subject reads.
func FormatSubject(organization string, index []byte) string {
	return organizations + organization + subjects + base64.RawURLEncoding.EncodeToString(index)
}
