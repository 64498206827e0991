package server

import (
	"time"

	"github.com/postern-audit/postern/server/interceptor"
)

// The rules of every method. A read never fails because a refusal could not be recorded; a change does.
var (
	change = interceptor.Rule{Auth: interceptor.AuthOperator, AuditRequired: true}
	read   = interceptor.Rule{Auth: interceptor.AuthOperator}
	watch  = interceptor.Rule{Auth: interceptor.AuthOperator, Stream: true}
	// What shows the record leaves a trace on it.
	search = interceptor.Rule{Auth: interceptor.AuthOperator, Reads: true}
	follow = interceptor.Rule{Auth: interceptor.AuthOperator, Reads: true, Stream: true}
)

// Calls that wait for an identity provider or name servers: they get 10 s, and what they said must then still be written down.
const providerTime = 15 * time.Second

// maxEvidence is a SAML response of 384 KiB, with everything around it.
const maxEvidence = 512 << 10

func signInRules() map[string]interceptor.Rule {
	begin, complete := change, change
	begin.AtLeast, complete.AtLeast = providerTime, providerTime
	complete.Limit = maxEvidence
	return map[string]interceptor.Rule{
		"BeginFederation": begin, "CompleteFederation": complete, "LinkAccount": change,
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

func identityRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"ListIdentities": read, "UnlinkIdentity": change}
}

func flowRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"GetFlow": search, "ListFlows": search, "WatchFlow": follow}
}

func eventRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"GetEvent": search, "ListEvents": search, "WatchEvents": follow, "ListEventTypes": read, "EmitTestEvent": change,
		"CountEvents": search, "GetEventHistogram": search, "GroupEvents": search,
		"CreateSavedFilter": change, "GetSavedFilter": read, "ListSavedFilters": read, "UpdateSavedFilter": change, "DeleteSavedFilter": change,
		"CreateExport": change, "GetExport": read, "ListExports": read, "CancelExport": change, "DeleteExport": change,
		"ListSubjects": search, "GetSubject": search,
		"EraseSubject": change, "GetErasure": read, "ListErasures": read,
	}
}

func keyRules() map[string]interceptor.Rule {
	return map[string]interceptor.Rule{"CreateKey": change, "GetKey": read, "ListKeys": read, "RevokeKey": change}
}

func directoryRules() map[string]interceptor.Rule {
	apply := change
	apply.Limit = interceptor.MaxMessage
	test := read
	test.AtLeast = providerTime
	verify := change
	verify.AtLeast = providerTime
	batch := change
	batch.Limit = interceptor.MaxMessage
	imports := batch
	imports.Stream = true
	return map[string]interceptor.Rule{
		"ApplyOrganization": apply, "ExportOrganization": read, "GetOrganization": read, "ListOrganizations": read, "GetConnection": read, "ListConnections": read,
		"SetConnectionSecret": change, "ClearConnectionSecret": change, "TestConnection": test,
		"CreateDomain": change, "GetDomain": read, "ListDomains": read, "VerifyDomain": verify, "ConfirmDomainRemoval": change, "DeleteDomain": change,
		"UpdateDomain": change, "CreateOrganization": change, "UpdateOrganization": change, "DeleteOrganization": change, "DestroyOrganizationKey": change,
		"CreateSite": change, "GetSite": read, "ListSites": read, "UpdateSite": change, "DeleteSite": change,
		"CreateConnection": change, "UpdateConnection": change, "DeleteConnection": change,
		"CreateAccount": change, "GetAccount": read, "ListAccounts": read, "UpdateAccount": change, "DeleteAccount": change,
		"BatchCreateAccounts": batch, "BatchDeleteAccounts": batch, "ImportAccounts": imports,
	}
}

func policyRules() map[string]interceptor.Rule {
	update := change
	update.Limit = interceptor.MaxMessage
	simulate := watch
	simulate.Limit = interceptor.MaxMessage
	return map[string]interceptor.Rule{
		"Simulate": simulate, "GetPolicyImpact": watch,
		"Explain": read, "GetPolicy": read, "ListPolicyRevisions": read, "UpdatePolicy": update, "RollBackPolicy": change,
		"SuspendPolicy": change, "ResumePolicy": change,
	}
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
