package names

import (
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

const accounts = "/accounts/"

// LongestAccount bounds the name of an account, which may hold a percent-encoded account id or address.
const LongestAccount = 512

// Claimed is what the name of an account says: its key, or what is claimed as text.
type Claimed struct {
	Key   [16]byte // when the others are empty
	ID    string
	Email string
}

// Account reads organizations/{organization}/accounts/{account}, where {account} is 32 lower-case hexadecimal digits, or id: or email:
// and a percent-encoded text. What the text is, is for the caller to parse.
func Account(field, name string) (organization string, c Claimed, err error) {
	wrong := errs.Field(field, "NAME_INVALID",
		"must be organizations/{organization}/accounts/{account}, the latter as an answer named it, id:{account_id} or email:{address}, percent-encoded")
	organization, text, ok := split(name, accounts)
	if !ok || len(name) > LongestAccount || strings.Contains(text, "/") {
		return "", Claimed{}, wrong
	}
	id, isID := strings.CutPrefix(text, "id:")
	email, isEmail := strings.CutPrefix(text, "email:")
	switch {
	case isID:
		c.ID, err = url.PathUnescape(id)
		ok = err == nil && c.ID != ""
	case isEmail:
		c.Email, err = url.PathUnescape(email)
		ok = err == nil && c.Email != ""
	default:
		ok = digits(c.Key[:], text) && c.Key != [16]byte{}
	}
	if !ok {
		return "", Claimed{}, wrong
	}
	return organization, c, nil
}

// FormatAccount writes the name of an account by its key.
func FormatAccount(organization string, key [16]byte) string {
	return organizations + organization + accounts + hex.EncodeToString(key[:])
}
