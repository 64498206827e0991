package audit

import (
	"slices"
	"strings"

	"github.com/postern-audit/postern/internal/errs"
)

// Method tokens: how somebody signs in. Policies, next[], steps and events use the same ones.
const (
	MethodPassword  = "password"
	MethodPasskey   = "passkey"
	MethodMagicLink = "magic_link"
	MethodEmailCode = "email_code"
	MethodSocial    = "social"
	MethodSSO       = "sso"
	MethodSession   = "session"
	MethodToken     = "token"
)

// MethodPasswordless stands in a policy document for the three methods PasswordlessMethods names; it is stored expanded
// and never appears in an event.
const MethodPasswordless = "passwordless"

// MethodMFA stands in next[] for a second factor. It is no method of its own: policies do not list it.
const MethodMFA = "mfa"

// Factors: what a second factor is.
const (
	FactorTOTP         = "TOTP"
	FactorEmailOTP     = "EMAIL_OTP"
	FactorSMS          = "SMS"
	FactorPush         = "PUSH"
	FactorWebAuthn     = "WEBAUTHN"
	FactorRecoveryCode = "RECOVERY_CODE"
	FactorPartner      = "PARTNER"
)

// Methods returns every method token in reading order, as a fresh slice.
func Methods() []string {
	return []string{MethodPassword, MethodPasskey, MethodMagicLink, MethodEmailCode, MethodSocial, MethodSSO, MethodSession, MethodToken}
}

// PasswordlessMethods returns what MethodPasswordless stands for, as a fresh slice.
func PasswordlessMethods() []string {
	return []string{MethodPasskey, MethodMagicLink, MethodEmailCode}
}

// Factors returns every factor in reading order, as a fresh slice.
func Factors() []string {
	return []string{FactorTOTP, FactorEmailOTP, FactorSMS, FactorPush, FactorWebAuthn, FactorRecoveryCode, FactorPartner}
}

// IsMethod reports whether s is a method token, without a connection.
func IsMethod(s string) bool {
	switch s {
	case MethodPassword, MethodPasskey, MethodMagicLink, MethodEmailCode, MethodSocial, MethodSSO, MethodSession, MethodToken:
		return true
	}
	return false
}

// IsPasswordless reports whether s is one of the methods MethodPasswordless stands for.
func IsPasswordless(s string) bool {
	return s == MethodPasskey || s == MethodMagicLink || s == MethodEmailCode
}

// IsFactor reports whether s is a factor.
func IsFactor(s string) bool {
	switch s {
	case FactorTOTP, FactorEmailOTP, FactorSMS, FactorPush, FactorWebAuthn, FactorRecoveryCode, FactorPartner:
		return true
	}
	return false
}

// ParseFactor returns s when it is a factor: upper case, exactly as documented.
func ParseFactor(s string) (string, error) {
	if !IsFactor(s) {
		return "", errs.Newf(errs.Invalid, "FACTOR_UNKNOWN", "not a factor; known are %s", list(Factors()))
	}
	return s, nil
}

// Method is a parsed method token, "sso:NAME" and "social:NAME" included. The zero value is "none".
type Method struct {
	Token      string // one of Methods
	Connection string // connection id; only with social and sso, "" for any connection
}

// ParseMethod accepts
//
//	method  = token | ("social" | "sso") ":" connection
//	token   = one of Methods
//
// where a connection is 1 to 63 characters of [a-z0-9-] that neither begin nor end with a hyphen.
func ParseMethod(s string) (Method, error) {
	token, connection, named := strings.Cut(s, ":")
	if !IsMethod(token) {
		return Method{}, errs.Newf(errs.Invalid, "METHOD_UNKNOWN", "not a method; known are %s", list(Methods()))
	}
	if !named {
		return Method{Token: token}, nil
	}
	if token != MethodSocial && token != MethodSSO {
		return Method{}, errs.New(errs.Invalid, "METHOD_CONNECTION", "only social and sso take a connection")
	}
	if !isLabel(connection) {
		return Method{}, errs.New(errs.Invalid, "METHOD_CONNECTION", "a connection id is 1 to 63 characters of a-z, 0-9 and inner hyphens")
	}
	return Method{Token: token, Connection: connection}, nil
}

// String returns the token ParseMethod accepts.
func (m Method) String() string {
	if m.Connection == "" {
		return m.Token
	}
	return m.Token + ":" + m.Connection
}

// Covers reports whether a list that names m allows a sign-in with this method and connection.
func (m Method) Covers(token, connection string) bool {
	return m.Token == token && (m.Connection == "" || m.Connection == connection)
}

// ExpandMethods replaces "passwordless" by what it stands for and drops repetitions, keeping the order.
func ExpandMethods(tokens []string) []string {
	out := make([]string, 0, len(tokens)+2)
	add := func(s string) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, t := range tokens {
		if t != MethodPasswordless {
			add(t)
			continue
		}
		for _, m := range PasswordlessMethods() {
			add(m)
		}
	}
	return out
}

// isLabel reports whether s is 1 to 63 characters of [a-z0-9-] without a hyphen at either end.
func isLabel(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// list joins names for a message.
func list(names []string) string { return strings.Join(names, ", ") }
