package server

import "github.com/postern-audit/postern/server/interceptor"

// The rules of every method. A read never fails because a refusal could not be recorded; a change does.
var (
	change = interceptor.Rule{Auth: interceptor.AuthOperator, AuditRequired: true}
	read   = interceptor.Rule{Auth: interceptor.AuthOperator}
	watch  = interceptor.Rule{Auth: interceptor.AuthOperator, Stream: true}
)

func signInRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{
		"StartFlow": change, "ReportStep": change, "FinishFlow": change, "RecordSession": change,
		"VerifyTotp": change, "VerifyRecoveryCode": change, "CheckAccess": change,
	}
}

func authenticatorRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{
		"EnrollTotp": change, "ConfirmTotp": change, "GetAuthenticator": read, "ListAuthenticators": read, "UnlockAuthenticator": change,
		"ResetAuthenticator": change, "GenerateRecoveryCodes": change, "ImportAuthenticators": change, "RevokeProofs": change,
	}
}

func flowRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"GetFlow": read, "ListFlows": read, "WatchFlow": watch}
}

func eventRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"GetEvent": read, "ListEvents": read, "WatchEvents": watch, "ListEventTypes": read}
}

func directoryRules() map[string]interceptor.Rule {
	apply := change
	apply.Limit = interceptor.MaxMessage
	return map[string]interceptor.Rule{"ApplyOrganization": apply, "GetOrganization": read, "ListOrganizations": read}
}

func policyRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"Explain": read}
}

// healthRules let anybody ask: a probe has no credentials and learns one word.
func healthRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{
		"Check": {Auth: interceptor.AuthAnyone}, "List": {Auth: interceptor.AuthAnyone},
		"Watch": {Auth: interceptor.AuthAnyone, Stream: true},
	}
}

func reflectionRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"ServerReflectionInfo": watch}
}
