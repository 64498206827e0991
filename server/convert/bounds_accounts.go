package convert

import (
	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/server/names"
)

// accountName is a name that ends in a claimed account.
func accountName() Bound {
	return token(names.LongestAccount, "a resource name without control characters", noControls)
}

// accounts are the bounds of what is about claimed accounts.
func accounts() map[string]Bound {
	return map[string]Bound{
		"Account.name":        accountName(),
		"Account.account_id":  text(applying.MaxAccountID),
		"Account.email":       text(maxEmail),
		"Account.note":        text(applying.MaxNote),
		"Account.origin":      enum(),
		"Account.revision":    count(),
		"Account.create_time": moment(),
		"Account.etag":        requestIDOf(64),

		"CreateAccountRequest.parent":        name(),
		"CreateAccountRequest.account":       message(),
		"CreateAccountRequest.request_id":    requestID(),
		"CreateAccountRequest.validate_only": flag(),
		"CreateAccountRequest.reason":        lines(maxReason),

		"GetAccountRequest.name": accountName(),

		"ListAccountsRequest.parent":     name(),
		"ListAccountsRequest.page_size":  count(),
		"ListAccountsRequest.page_token": opaque(),

		"UpdateAccountRequest.account":     message(),
		"UpdateAccountRequest.update_mask": mask(),
		"UpdateAccountRequest.etag":        requestIDOf(64),
		"UpdateAccountRequest.request_id":  requestID(),
		"UpdateAccountRequest.reason":      lines(maxReason),

		"DeleteAccountRequest.name":        accountName(),
		"DeleteAccountRequest.etag":        requestIDOf(64),
		"DeleteAccountRequest.request_id":  requestID(),
		"DeleteAccountRequest.reason":      lines(maxReason),
		"DeleteAccountRequest.force":       flag(),
		"DeleteAccountRequest.admin_email": text(maxEmail),

		"BatchCreateAccountsRequest.parent":        name(),
		"BatchCreateAccountsRequest.accounts":      list(applying.MaxAccounts, message()),
		"BatchCreateAccountsRequest.request_id":    requestID(),
		"BatchCreateAccountsRequest.validate_only": flag(),
		"BatchCreateAccountsRequest.reason":        lines(maxReason),

		"BatchDeleteAccountsRequest.parent":      name(),
		"BatchDeleteAccountsRequest.names":       list(applying.MaxAccounts, accountName()),
		"BatchDeleteAccountsRequest.request_id":  requestID(),
		"BatchDeleteAccountsRequest.reason":      lines(maxReason),
		"BatchDeleteAccountsRequest.force":       flag(),
		"BatchDeleteAccountsRequest.admin_email": text(maxEmail),

		"ImportAccountsRequest.begin":     message(),
		"ImportAccountsRequest.first_row": count(),
		"ImportAccountsRequest.accounts":  list(applying.MaxAccounts, message()),

		"ImportAccountsRequest.Begin.parent":        name(),
		"ImportAccountsRequest.Begin.request_id":    requestID(),
		"ImportAccountsRequest.Begin.validate_only": flag(),
		"ImportAccountsRequest.Begin.reason":        lines(maxReason),
		"ImportAccountsRequest.Begin.digest":        octets(16, 64),
	}
}
