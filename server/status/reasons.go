package status

import (
	"cmp"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/simulate"
)

// ReasonInfo is a reason as docs/reference/errors.md shows it.
type ReasonInfo struct {
	Reason  string
	Kind    errs.Kind
	Meaning string
	Do      string // what a caller should do
	Retry   bool   // the same call may work after the delay in RetryInfo
	Start   bool   // only seen when a process starts, in its log and exit
}

// What to do, where many reasons say the same.
const (
	doCorrect   = "Correct the request; the field violations name the fields."
	doReport    = "Nothing in the request helps. Give the call id to whoever runs the sidecar: its log has the cause."
	doOperator  = "Whoever runs the sidecar has to act; the text says what to do."
	doSame      = "Send the same call with the same request id."
	doName      = "Correct the name."
	doNewID     = "Mint a new request id for each call, and keep it for retries only."
	doFollow    = "The meaning says it."
	doReconnect = "Connect again and go on from the last cursor."
)

// reasons is every reason an error of this project carries. Errors of kind Internal are one to callers, whatever the log says.
var reasons = slices.Concat(reasonsOfRequests(), reasonsOfNames(), reasonsOfFlows(), reasonsOfState(), reasonsOfAccess(), reasonsOfTrouble(),
	reasonsOfStart())

func invalid(reason, meaning string) ReasonInfo {
	return ReasonInfo{Reason: reason, Kind: errs.Invalid, Meaning: meaning, Do: doCorrect}
}

func reasonsOfRequests() []ReasonInfo {
	return []ReasonInfo{
		invalid("ACCOUNT_AMBIGUOUS", "An account to claim has both an account id and an address."),
		invalid("ACCOUNT_INVALID", "An account to claim has neither an account id nor an address, or one that is too long or holds control characters, or fields that the server fills in."),
		invalid("CERTIFICATE_INVALID", "A certificate is none, is too long, or holds a key that is too weak or of an unused kind."),
		invalid("CLIENT_SECRET_INVALID", "A client secret has less than 8 or more than 1024 bytes, or control characters."),
		invalid("DOCUMENT_INVALID", "The document cannot be read, or says something that cannot be; the violations have line and fix."),
		invalid("ENUM_UNKNOWN", "A name is none of the documented ones."),
		invalid("ETAG_INVALID", "An etag is not one that a read or a change answered."),
		invalid("EVENT_NOT_STORABLE", "The archive cannot store an event."),
		invalid("FACTOR_UNKNOWN", "A factor is none of the documented ones."),
		invalid("FIELD_INVALID", "A field has a value it may not have: too long, too many, not a documented number, a control character, out of range."),
		invalid("FIELD_REQUIRED", "A field that must be given is missing."),
		invalid("FIELD_UNEXPECTED", "A field is given that may not be given together with the others."),
		invalid("FLOW_ID_INVALID", "A flow id is not a UUIDv7."),
		invalid("MASK_INVALID", "An update mask names a field that the call does not change, or everything (*)."),
		invalid("METHOD_CONNECTION", "A method token names a connection where it may not, or names none properly."),
		invalid("METHOD_UNKNOWN", "A method token is none of the documented ones."),
		invalid("NAME_INVALID", "A resource name does not read as documented."),
		invalid("NETWORK_INVALID", "An address or network is not one, or has bits set outside its length."),
		invalid("NETWORK_LENGTH", "Networks are searched by a few lengths only."),
		invalid("POLICY_TOO_LARGE", "The policy of an organization is larger than 256 KiB."),
		invalid("PRIVATE_KEY_INVALID", "A private key is not one in PEM form, has a passphrase, is too weak, or comes without its certificate where one is needed."),
		invalid("RECORD_TEXT", "A text is not UTF-8."),
		invalid("REQUEST_MALFORMED", "The request cannot be read: not protobuf or JSON, a text that is not UTF-8, an unknown JSON field, a wrong content type."),
		invalid("RETENTION_OUT_OF_RANGE", "A retention is 1 to 3650 days."),
		invalid("RULE_UNKNOWN", "A rule is named that the policy does not have."),
		invalid("SECRET_INVALID", "A secret of one-time codes is not base32, or has more than 128 bytes."),
		invalid("SECRET_TOO_WEAK", "A secret of one-time codes has less than 14 bytes (112 bits)."),
		invalid("SUPPORT_CODE_INVALID", "A support code is not 10 characters of Crockford base32."),
		invalid("TOKEN_INVALID", "A page token or cursor is damaged, of another installation, or belongs to another query."),
	}
}

// reasonsOfNames are why an address or domain is not usable.
func reasonsOfNames() []ReasonInfo {
	return []ReasonInfo{
		invalid("ADDRESS_EMPTY", "The address is empty."),
		invalid("ADDRESS_ENCODED_WORD", "The local part is an encoded-word, which some mail software would decode."),
		invalid("ADDRESS_LOCAL_EMPTY", "Nothing stands before the @."),
		invalid("ADDRESS_LOCAL_INVALID", "The local part is not a dot-atom."),
		invalid("ADDRESS_LOCAL_NOT_ASCII", "The local part has letters outside ASCII."),
		invalid("ADDRESS_LOCAL_TOO_LONG", "The local part has more than 64 octets."),
		invalid("ADDRESS_NO_AT", "There is no @."),
		invalid("ADDRESS_QUOTED", "The local part is quoted."),
		invalid("ADDRESS_SEVERAL_AT", "There is more than one @."),
		invalid("ADDRESS_TOO_LONG", "The address has more than 254 octets."),
		invalid("DOMAIN_DOT", "The domain has a dot that is no ASCII dot, an empty label, or a trailing dot in an address."),
		invalid("DOMAIN_EMPTY", "The domain is empty."),
		invalid("DOMAIN_FREE_MAIL", "Anybody can get an address at this mail provider: nobody owns the domain for others."),
		invalid("DOMAIN_HIDDEN", "The domain has a character that shows nothing, or is not UTF-8."),
		invalid("DOMAIN_INVALID", "The domain is no host name."),
		invalid("DOMAIN_LITERAL", "The domain is an address literal."),
		invalid("DOMAIN_NOT_PUBLIC", "The domain's last label is no top-level domain."),
		invalid("DOMAIN_NUMERIC", "The domain is an IP address or ends in a number."),
		invalid("DOMAIN_PUBLIC_SUFFIX", "The domain is a public suffix: others register names below it."),
		invalid("DOMAIN_SINGLE_LABEL", "The domain has one label only."),
		invalid("DOMAIN_SPECIAL_USE", "The domain is reserved for special use."),
		invalid("DOMAIN_TOO_LONG", "The domain has more than 253 octets, or a label more than 63."),
		invalid("DOMAIN_WILDCARD", "A wildcard is no domain: use include_subdomains."),
	}
}

// reasonsOfFlows come from the use cases, which document their own.
func reasonsOfFlows() []ReasonInfo {
	var out []ReasonInfo
	for _, e := range authflow.Errors() {
		r := ReasonInfo{Reason: e.Reason, Kind: e.Kind, Meaning: e.Description, Do: doFollow}
		switch e.Kind { //nolint:exhaustive // the rest says what to do in its meaning
		case errs.Invalid:
			r.Do = doCorrect
		case errs.NotFound:
			r.Do = doName
		case errs.Conflict, errs.Unavailable:
			r.Do, r.Retry = doSame, true
		}
		if e.Reason == authflow.ErrRequestIDReused {
			r.Do = doNewID
		}
		out = append(out, r)
	}
	return out
}

func reasonsOfState() []ReasonInfo {
	return []ReasonInfo{
		{Reason: "EXPORT_BUSY", Kind: errs.ResourceExhausted, Meaning: "An organization's exports are made two at a time. Nobody is told: the others wait.", Do: "Wait."},
		{Reason: "EXPORT_LIMIT", Kind: errs.ResourceExhausted, Meaning: "An organization has at most 20 exports that are not made yet, and 200 in all.", Do: "Wait until some are made, or delete some."},
		{Reason: "EXPORT_MOVED", Kind: errs.Conflict, Meaning: "The export was changed by somebody else at the same moment.", Do: doSame, Retry: true},
		{Reason: "SUBJECT_NOT_FOUND", Kind: errs.NotFound, Meaning: "Nobody of that name is on the organization's record, or was last seen before what is kept.", Do: doName},
		{Reason: "EXPORT_NOT_FOUND", Kind: errs.NotFound, Meaning: "There is no such export, or its time is over.", Do: doName},
		{Reason: "EXPORT_OVER", Kind: errs.FailedPrecondition, Meaning: "An export that is made or failed cannot be called off.", Do: "Nothing, or delete it."},
		{Reason: "ACCOUNT_EXISTS", Kind: errs.AlreadyExists, Meaning: "The organization claims this account already.", Do: "Read it."},
		{Reason: "ACCOUNT_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization claims no such account.", Do: doName},
		{Reason: "ACCOUNT_TAKEN", Kind: errs.AlreadyExists, Meaning: "Another organization claims the account, or was about to a moment ago.",
			Do: "Have that organization release it, then claim it again."},
		{Reason: "API_KEY_LIMIT", Kind: errs.ResourceExhausted, Meaning: "The organization has 200 API keys, those that ended in the last 90 days included.",
			Do: "Wait until ended ones are forgotten, and make fewer."},
		{Reason: "API_KEY_MOVED", Kind: errs.Conflict, Meaning: "The API key was changed by another call meanwhile.", Do: doSame, Retry: true},
		{Reason: "API_KEY_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such API key.", Do: doName},
		{Reason: "AUTHENTICATOR_ACTIVE", Kind: errs.FailedPrecondition, Meaning: "The account has a second factor in force.",
			Do: "Have it proven in the same flow, or reset it first."},
		{Reason: "AUTHENTICATOR_DISABLED", Kind: errs.FailedPrecondition,
			Meaning: "The second factor is disabled after too many failures: it cannot be unlocked or followed by another.", Do: "Reset it."},
		{Reason: "CHALLENGE_MOVED", Kind: errs.Conflict, Meaning: "Another look at the domain's zone was written down meanwhile.", Do: "Read the domain."},
		{Reason: "CONNECTION_EXISTS", Kind: errs.AlreadyExists, Meaning: "The organization has a connection with this id already.", Do: "Change it, or choose another id."},
		{Reason: "CONNECTION_IN_USE", Kind: errs.FailedPrecondition, Meaning: "The policy names the connection; the text says where.",
			Do: "Change the policy first."},
		{Reason: "CONNECTION_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such connection.", Do: doName},
		{Reason: "CONNECTION_SECRET_KIND", Kind: errs.FailedPrecondition, Meaning: "The connection proves itself with another kind of secret.",
			Do: "Give the kind that the text names, or change client_auth in the organization's document."},
		{Reason: "CONNECTION_TAKES_NO_SECRET", Kind: errs.FailedPrecondition,
			Meaning: "The login service runs the connection, or its client is public: it has no use for a secret.",
			Do:      "Add oidc or saml to the connection, or change client_auth, in the organization's document."},
		{Reason: "DOMAIN_BY_OPERATOR", Kind: errs.FailedPrecondition, Meaning: "A document lists the domain: its operator vouches for it.",
			Do: "Change the organization's document."},
		{Reason: "DOMAIN_EXISTS", Kind: errs.AlreadyExists, Meaning: "The organization has this domain, or verifies it already.", Do: "Read it."},
		{Reason: "DOMAIN_NOT_FAILING", Kind: errs.FailedPrecondition, Meaning: "Only a domain that fails is confirmed away.",
			Do: "Delete a domain that you do not want any more."},
		{Reason: "DOMAIN_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such domain.", Do: doName},
		{Reason: "DOMAIN_TAKEN", Kind: errs.AlreadyExists, Meaning: "Another organization has verified the domain.",
			Do: "Have that organization give it up, then verify again."},
		{Reason: "ERASURE_MOVED", Kind: errs.Conflict, Meaning: "The erasure has gone on meanwhile.", Do: doSame, Retry: true},
		{Reason: "ERASURE_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such erasure.", Do: doName},
		{Reason: "ETAG_REQUIRED", Kind: errs.Invalid, Meaning: "The organization exists, and no etag was given.", Do: "Read the organization and send its etag."},
		{Reason: "ETAG_UNEXPECTED", Kind: errs.Invalid, Meaning: "An etag was given for an organization that does not exist.", Do: "Leave it out to create the organization, or correct the name."},
		{Reason: "ETAG_MISMATCH", Kind: errs.Conflict, Meaning: "The organization, the domain or the saved filter has changed since the etag was read.",
			Do: "Read it again, look at what changed, and apply with its etag and a new request id."},
		{Reason: "KEY_DESTROYED", Kind: errs.FailedPrecondition, Meaning: "The organization's key was destroyed: nothing personal can be kept or read any more.",
			Do: "The organization can be deleted, and its record read without what was personal."},
		{Reason: "SIGN_INS_UNDER_WAY", Kind: errs.FailedPrecondition, Meaning: "Sign-ins are under way that the call would cut off.",
			Do: "Try again when they have ended; the text says when that is at the latest."},
		{Reason: "LOCK_OUT", Kind: errs.FailedPrecondition, Meaning: "The change would deny every external user, the people of a domain that goes, or the person of admin_email at a site that is open now; the text says which.",
			Do: "Let somebody in, or, if that is meant, send it with force: the event says so."},
		{Reason: "EVENT_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such event in its archive.",
			Do: "Correct the name; an event of this moment may still be on its way to the archive."},
		{Reason: audit.HistoryNotArchived, Kind: errs.FailedPrecondition,
			Meaning: "A moment is asked about that the archive does not cover yet; the text and archived_until say how far it is.", Do: "Ask again in a moment, or about an earlier one."},
		{Reason: audit.HistoryUnknown, Kind: errs.NotFound, Meaning: "The organization did not exist at that moment, or its history begins later.",
			Do: "Ask about a later moment."},
		{Reason: "IMPORT_OUT_OF_STEP", Kind: errs.FailedPrecondition, Meaning: "A batch of an import leaves rows out, or does them again.",
			Do: "Begin again with the same request id, and go on with the row that its answer names."},
		{Reason: "KEY_DIFFERS", Kind: errs.FailedPrecondition, Meaning: "The organization is known with another key.", Do: doOperator},
		{Reason: "KEY_UNKNOWN", Kind: errs.FailedPrecondition, Meaning: "The organization's key is not known to this process.", Do: doOperator},
		{Reason: "KEY_UNREADABLE", Kind: errs.FailedPrecondition, Meaning: "The organization's key cannot be opened with this master keyset.", Do: doOperator},
		{Reason: "NOTHING_TO_CONFIRM", Kind: errs.FailedPrecondition, Meaning: "No second factor of the account waits for its first code.",
			Do: "Enrol one."},
		{Reason: "NOT_ENROLLED", Kind: errs.FailedPrecondition, Meaning: "The account has no second factor in this organization.", Do: "Enrol one."},
		{Reason: "ORGANIZATION_EXISTS", Kind: errs.AlreadyExists, Meaning: "There is an organization with this id already.", Do: "Change it, or choose another id."},
		{Reason: "ORGANIZATION_ON_HOLD", Kind: errs.FailedPrecondition, Meaning: "An organization whose record is on legal hold is not deleted, its key is not destroyed and nobody is erased from it.",
			Do: "Lift the hold first, with a reason."},
		{Reason: "ORGANIZATION_NOT_DISABLED", Kind: errs.FailedPrecondition, Meaning: "Only an organization that is disabled is deleted, or loses its key.",
			Do: "Disable it, make sure that nobody misses it, then delete it."},
		{Reason: "ORGANIZATION_NOT_FOUND", Kind: errs.NotFound, Meaning: "There is no such organization.", Do: doName},
		{Reason: "ORGANIZATION_DIFFERS", Kind: errs.Invalid, Meaning: "The document names another organization than the call.", Do: doCorrect},
		{Reason: "PATH_NOT_FOUND", Kind: errs.NotFound, Meaning: "There is nothing at this HTTP path, or not for this HTTP method.", Do: "See /openapi.json."},
		{Reason: "PERSONAL_ERASED", Kind: errs.NotFound, Meaning: "The personal part of a record was erased.", Do: doFollow},
		{Reason: "POLICY_UNREADABLE", Kind: errs.FailedPrecondition, Meaning: "The stored policy cannot be read, so nothing beside it can be written.",
			Do: "Apply the organization's document with policy.rules in it, to replace what cannot be read."},
		{Reason: "POLICY_REVISION_NOT_FOUND", Kind: errs.NotFound,
			Meaning: "No revision of the policy was that early, or is that late.", Do: "List the revisions."},
		{Reason: "RECORD_FORMAT_NEWER", Kind: errs.FailedPrecondition, Meaning: "A stored record was written by a newer version.", Do: doOperator},
		{Reason: "ROLL_BACK_IMPOSSIBLE", Kind: errs.FailedPrecondition,
			Meaning: "The policy of that revision rests on a connection or site that is not there any more, or is another by now. The text names the rule.",
			Do:      "Put back what is missing, or take that policy as a draft (GetPolicy with the revision), mend it and update."},
		{Reason: "SAVED_FILTER_EXISTS", Kind: errs.AlreadyExists, Meaning: "The organization has a saved filter of this id.", Do: "Update it, or choose another id."},
		{Reason: "SAVED_FILTER_LIMIT", Kind: errs.ResourceExhausted, Meaning: "The organization has 200 saved filters.", Do: "Delete some."},
		{Reason: "SAVED_FILTER_MOVED", Kind: errs.Conflict, Meaning: "The saved filter was changed by another call meanwhile.", Do: doSame, Retry: true},
		{Reason: "SAVED_FILTER_NOT_FOUND", Kind: errs.NotFound, Meaning: "The organization has no such saved filter.", Do: doName},
		{Reason: "SAVED_FILTER_UNREADABLE", Kind: errs.FailedPrecondition, Meaning: "What the saved filter says cannot be opened any more.", Do: "Replace or delete it."},
		{Reason: "SITE_EXISTS", Kind: errs.AlreadyExists, Meaning: "The organization has a site with this id already.", Do: "Change it, or choose another id."},
		{Reason: "REGION_MISMATCH", Kind: errs.FailedPrecondition,
			Meaning: "The record of the site is bound to a region, and the process asked keeps its record elsewhere.",
			Do:      "Ask a process of that region, or bind the site to the region of this one."},
		{Reason: "SITE_IN_USE", Kind: errs.FailedPrecondition, Meaning: "A rule names the site; the text says which.", Do: "Change the policy first."},
		{Reason: "SERVICE_UNKNOWN", Kind: errs.NotFound, Meaning: "A health check names a service this server does not have.", Do: doName},
	}
}

func reasonsOfAccess() []ReasonInfo {
	return []ReasonInfo{
		{Reason: "API_KEY_EXPIRED", Kind: errs.Unauthenticated, Meaning: "The API key's time is over.", Do: "Make a new one."},
		{Reason: "API_KEY_INVALID", Kind: errs.Unauthenticated, Meaning: "The bearer token of the events API is no API key of this installation.",
			Do: "Send the secret that CreateKey answered."},
		{Reason: "API_KEY_REVOKED", Kind: errs.Unauthenticated, Meaning: "The API key was revoked.", Do: "Make a new one."},
		{Reason: "EXPORT_LINK_EXPIRED", Kind: errs.PermissionDenied, Meaning: "A link to an export's file is good for one day.", Do: "Ask for the export again: the answer has another link."},
		{Reason: "EXPORT_LINK_INVALID", Kind: errs.PermissionDenied, Meaning: "A link to an export's file was changed, is of another installation, or its file is gone.", Do: "Ask for the export again: the answer has another link."},
		{Reason: "CREDENTIALS_INVALID", Kind: errs.Unauthenticated, Meaning: "The credential is not one of this listener.", Do: "Send the content of this listener's key file."},
		{Reason: "CREDENTIALS_MISSING", Kind: errs.Unauthenticated, Meaning: "Nothing proves who is calling.", Do: "Send a credential."},
		{Reason: "HOST_NOT_ALLOWED", Kind: errs.PermissionDenied, Meaning: "The HTTP Host header names none of this listener's hosts.",
			Do: "Call it by localhost, 127.0.0.1, [::1] or a configured name."},
		{Reason: "METHOD_UNKNOWN_HERE", Kind: errs.Unimplemented, Meaning: "The server has no such gRPC method.", Do: "Update the sidecar, or use a client of its version."},
		{Reason: "ORGANIZATION_RESERVED", Kind: errs.PermissionDenied, Meaning: "The organization belongs to the sidecar itself.", Do: "Choose another id."},
		{Reason: "PERMISSION_DENIED", Kind: errs.PermissionDenied, Meaning: "The caller is known and may not do that.", Do: "Call as a user that may."},
	}
}

func reasonsOfTrouble() []ReasonInfo {
	return []ReasonInfo{
		{Reason: "EXPORT_STORAGE_UNAVAILABLE", Kind: errs.Unavailable, Meaning: "What keeps the files of exports does not answer.", Do: "Try the same link later.", Retry: true},
		{Reason: "ARCHIVE_UNAVAILABLE", Kind: errs.Unavailable, Meaning: "The archive cannot be used at the moment; sign-ins go on.", Do: doSame, Retry: true},
		{Reason: ReasonCanceled, Kind: errs.Canceled, Meaning: "The caller gave up.", Do: "A change may have happened: send the same call with the same request id to know."},
		{Reason: ReasonDeadlineExceeded, Kind: errs.DeadlineExceeded, Meaning: "The deadline passed.", Do: "A change may have happened: send the same call with the same request id."},
		{Reason: ReasonInternal, Kind: errs.Internal, Meaning: "A defect of the sidecar or of what it stores.", Do: doReport},
		{Reason: "MESSAGE_TOO_LARGE", Kind: errs.ResourceExhausted, Meaning: "The request has more bytes than the method takes.", Do: "Send less at once."},
		{Reason: "NOT_RECORDED", Kind: errs.Unavailable, Meaning: "Nothing happened: the store could not be asked, or answered an error.", Do: doSame, Retry: true},
		{Reason: "OUTCOME_UNKNOWN", Kind: errs.Unavailable, Meaning: "The change was sent and its answer never came: it may have happened.", Do: doSame, Retry: true},
		{Reason: "OVERLOADED", Kind: errs.ResourceExhausted, Meaning: "The process serves as many calls as it can.", Do: "Wait as RetryInfo says, then send the same call.", Retry: true},
		{Reason: "SHUTTING_DOWN", Kind: errs.Unavailable, Meaning: "The server is stopping.", Do: doReconnect, Retry: true},
		{Reason: simulate.ReasonBusy, Kind: errs.ResourceExhausted, Meaning: "As many simulations run in this process as may run at a time.", Do: "Wait as RetryInfo says, then send the same call.", Retry: true},
		{Reason: ReasonStreamBroken, Kind: errs.Unavailable, Meaning: "The connection broke while the call was served.", Do: doReconnect, Retry: true},
	}
}

// reasonsOfStart are never answered to a call.
func reasonsOfStart() []ReasonInfo {
	start := func(reason string, kind errs.Kind, meaning string) ReasonInfo {
		return ReasonInfo{Reason: reason, Kind: kind, Meaning: meaning, Do: doOperator, Start: true}
	}
	return []ReasonInfo{
		start("ARCHIVE_CONFLICT", errs.FailedPrecondition, "The archive that is copied to holds something else."),
		start("ARCHIVE_IN_USE", errs.FailedPrecondition, "The archive that is copied to has been archived to already."),
		start("ARCHIVE_NEWER", errs.FailedPrecondition, "The archive was written by a newer version."),
		start("ARCHIVE_URL_INVALID", errs.Invalid, "The archive's connection URL cannot be read."),
		start("INSTALLATION_MISMATCH", errs.FailedPrecondition, "The archive belongs to another installation."),
		start("KEYSET_EXPOSED", errs.FailedPrecondition, "Others than its owner may read a keyset file."),
		start("KEYSET_MISSING", errs.FailedPrecondition, "One of the two keyset files is there and the other is not."),
		start("KEYSET_UNFIT", errs.FailedPrecondition, "A keyset holds another kind of key than it must."),
		start("KEYSET_UNREADABLE", errs.FailedPrecondition, "A keyset file cannot be read."),
		start("PARTITIONS_INVALID", errs.Invalid, "The number of partitions is out of range."),
		start("REDIS_ADDRESS_MISSING", errs.Invalid, "No address of Redis is configured."),
		start("REDIS_MODE_INVALID", errs.Invalid, "The mode of Redis is none of the documented ones."),
		start("RESOLVERS_INVALID", errs.Invalid, "The resolvers that are configured cannot be asked."),
		start("RESOLVERS_UNREADABLE", errs.FailedPrecondition, "The system's resolvers cannot be read."),
		start("SNAPSHOT_DAMAGED", errs.FailedPrecondition, "The embedded store's snapshot is damaged."),
		start("SNAPSHOT_FAILED", errs.Unavailable, "The embedded store's snapshot cannot be written."),
		start("SNAPSHOT_NEWER", errs.FailedPrecondition, "The embedded store's snapshot was written by a newer version."),
		start("SNAPSHOT_UNREADABLE", errs.FailedPrecondition, "The embedded store's snapshot cannot be read."),
	}
}

// Reasons returns the whole table, by kind, then name.
func Reasons() []ReasonInfo {
	out := slices.Clone(reasons)
	slices.SortFunc(out, func(a, b ReasonInfo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// Retryable reports whether the table says that the same call may work later.
func Retryable(reason string) bool {
	i := slices.IndexFunc(reasons, func(r ReasonInfo) bool { return r.Reason == reason })
	return i >= 0 && reasons[i].Retry
}
