package convert

import (
	"strings"
	"unicode"
)

// Limits of what is about second factors.
const (
	maxCode         = 16
	maxRecoveryCode = 32
	maxReason       = 512
	maxIssuer       = 64 // in bytes, as totp.URI takes them
	maxLabel        = 128
	maxSecretText   = 205 // 128 bytes in base32
	MaxImport       = 500
)

// shown is a name that an app shows: what can be seen, without the ':' that divides issuer and label.
func shown(most int) Bound {
	return token(most, "visible characters without ':' and without spaces at its ends", func(s string) bool {
		return strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return r == ':' || !unicode.IsPrint(r) })
	})
}

func access() map[string]Bound {
	return map[string]Bound{
		"VerifyTotpRequest.flow":       name(),
		"VerifyTotpRequest.request_id": requestID(),
		"VerifyTotpRequest.code":       text(maxCode),
		"VerifyTotpRequest.context":    message(),

		"VerifyRecoveryCodeRequest.flow":       name(),
		"VerifyRecoveryCodeRequest.request_id": requestID(),
		"VerifyRecoveryCodeRequest.code":       text(maxRecoveryCode),
		"VerifyRecoveryCodeRequest.context":    message(),

		"CheckAccessRequest.site":           name(),
		"CheckAccessRequest.session_handle": handle(),
		"CheckAccessRequest.token_handle":   handle(),
		"CheckAccessRequest.context":        message(),
	}
}

func factors() map[string]Bound {
	return map[string]Bound{
		"EnrollTotpRequest.parent":     name(),
		"EnrollTotpRequest.request_id": requestID(),
		"EnrollTotpRequest.account_id": text(maxAccountID),
		"EnrollTotpRequest.flow":       name(),
		"EnrollTotpRequest.reason":     lines(maxReason),
		"EnrollTotpRequest.issuer":     shown(maxIssuer),
		"EnrollTotpRequest.label":      shown(maxLabel),
		"EnrollTotpRequest.algorithm":  upper(),
		"EnrollTotpRequest.digits":     count(),
		"EnrollTotpRequest.period":     count(),

		"ConfirmTotpRequest.name":       name(),
		"ConfirmTotpRequest.request_id": requestID(),
		"ConfirmTotpRequest.code":       text(maxCode),

		"GetAuthenticatorRequest.name": name(),

		"ListAuthenticatorsRequest.parent":     name(),
		"ListAuthenticatorsRequest.account_id": text(maxAccountID),
		"ListAuthenticatorsRequest.page_size":  count(),
		"ListAuthenticatorsRequest.page_token": opaque(),

		"UnlockAuthenticatorRequest.name":       name(),
		"UnlockAuthenticatorRequest.request_id": requestID(),
		"UnlockAuthenticatorRequest.reason":     lines(maxReason),

		"ResetAuthenticatorRequest.name":       name(),
		"ResetAuthenticatorRequest.request_id": requestID(),
		"ResetAuthenticatorRequest.reason":     lines(maxReason),

		"GenerateRecoveryCodesRequest.name":       name(),
		"GenerateRecoveryCodesRequest.request_id": requestID(),
		"GenerateRecoveryCodesRequest.flow":       name(),
		"GenerateRecoveryCodesRequest.reason":     lines(maxReason),

		"ImportAuthenticatorsRequest.parent":         name(),
		"ImportAuthenticatorsRequest.request_id":     requestID(),
		"ImportAuthenticatorsRequest.reason":         lines(maxReason),
		"ImportAuthenticatorsRequest.authenticators": list(MaxImport, message()),
		"ImportAuthenticatorsRequest.replace":        flag(),

		"ImportedTotp.account_id": text(maxAccountID),
		"ImportedTotp.secret":     text(maxSecretText),
		"ImportedTotp.algorithm":  upper(),
		"ImportedTotp.digits":     count(),
		"ImportedTotp.period":     count(),

		"RevokeProofsRequest.parent":       name(),
		"RevokeProofsRequest.request_id":   requestID(),
		"RevokeProofsRequest.account_id":   text(maxAccountID),
		"RevokeProofsRequest.site":         id(),
		"RevokeProofsRequest.organization": flag(),
		"RevokeProofsRequest.reason":       lines(maxReason),
	}
}
