package convert

import (
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// newAccount converts an account to claim. What the server fills in is refused.
func newAccount(a *posternv1.Account) (applying.NewAccount, error) {
	if a.GetName() != "" || a.GetOrigin() != 0 || a.GetRevision() != 0 || a.GetCreateTime() != nil || a.GetEtag() != "" {
		return applying.NewAccount{}, errs.New(errs.Invalid, applying.ReasonAccountInvalid, "an account to claim has account_id or email, and note; the rest is filled in")
	}
	return applying.ParseAccount(a.GetAccountId(), a.GetEmail(), a.GetNote()) //nolint:wrapcheck // an errs.Error
}

// CreateAccount converts an account to claim.
func (c *Converter) CreateAccount(r *posternv1.CreateAccountRequest) (applying.ClaimInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.ClaimInput{}, err
	}
	if r.GetAccount() == nil {
		return applying.ClaimInput{}, required("account")
	}
	in := applying.ClaimInput{RequestID: r.GetRequestId(), ValidateOnly: r.GetValidateOnly(), Reason: r.GetReason()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return applying.ClaimInput{}, err
	}
	a, err := newAccount(r.GetAccount())
	if err != nil {
		return applying.ClaimInput{}, about("account", err)
	}
	in.Accounts = []applying.NewAccount{a}
	return in, nil
}

// BatchCreateAccounts converts accounts to claim.
func (c *Converter) BatchCreateAccounts(r *posternv1.BatchCreateAccountsRequest) (applying.ClaimInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.ClaimInput{}, err
	}
	if len(r.GetAccounts()) == 0 {
		return applying.ClaimInput{}, required("accounts")
	}
	in := applying.ClaimInput{RequestID: r.GetRequestId(), ValidateOnly: r.GetValidateOnly(), Reason: r.GetReason()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return applying.ClaimInput{}, err
	}
	for i, m := range r.GetAccounts() {
		a, err := newAccount(m)
		if err != nil {
			return applying.ClaimInput{}, about("accounts["+strconv.Itoa(i)+"]", err)
		}
		in.Accounts = append(in.Accounts, a)
	}
	return in, nil
}

// accountOf reads the name of a claimed account.
func accountOf(field, name string) (organization string, n applying.AccountName, err error) {
	organization, c, err := names.Account(field, name)
	if err != nil {
		return "", n, err
	}
	n.Key = c.Key
	if c.ID == "" && c.Email == "" {
		return organization, n, nil
	}
	if c.ID != "" {
		_, err = applying.ParseAccount(c.ID, "", "")
	} else {
		n.Address, err = policy.ParseUsableAddress(c.Email)
	}
	if err != nil {
		return "", n, about(field, err)
	}
	n.ID = c.ID
	return organization, n, nil
}

// GetAccount converts a request for one account.
func (c *Converter) GetAccount(r *posternv1.GetAccountRequest) (organization string, n applying.AccountName, err error) {
	if err := c.Check(r); err != nil {
		return "", n, err
	}
	return accountOf("name", r.GetName())
}

// ListAccounts converts a request for a page of accounts to the id of their organization.
func (c *Converter) ListAccounts(r *posternv1.ListAccountsRequest) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("parent", r.GetParent())
}

// UpdateAccount converts a change of an account.
func (c *Converter) UpdateAccount(r *posternv1.UpdateAccountRequest) (applying.NoteInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.NoteInput{}, err
	}
	if r.GetAccount() == nil {
		return applying.NoteInput{}, required("account")
	}
	in := applying.NoteInput{Note: r.GetAccount().GetNote(), Etag: r.GetEtag(), RequestID: r.GetRequestId(), Reason: r.GetReason()}
	if _, err := paths("update_mask", r.GetUpdateMask(), "note"); err != nil {
		return applying.NoteInput{}, err
	}
	var err error
	in.Organization, in.Name, err = accountOf("account.name", r.GetAccount().GetName())
	return in, err
}

// DeleteAccount converts a request to release an account.
func (c *Converter) DeleteAccount(r *posternv1.DeleteAccountRequest) (applying.ReleaseInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.ReleaseInput{}, err
	}
	organization, n, err := accountOf("name", r.GetName())
	if err != nil {
		return applying.ReleaseInput{}, err
	}
	in := applying.ReleaseInput{Organization: organization, Names: []applying.AccountName{n}, Etag: r.GetEtag(), RequestID: r.GetRequestId(),
		Reason: r.GetReason(), Force: r.GetForce()}
	in.Admin, err = admin(r.GetAdminEmail())
	return in, err
}

// BatchDeleteAccounts converts a request to release accounts.
func (c *Converter) BatchDeleteAccounts(r *posternv1.BatchDeleteAccountsRequest) (applying.ReleaseInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return applying.ReleaseInput{}, err
	}
	if len(r.GetNames()) == 0 {
		return applying.ReleaseInput{}, required("names")
	}
	in := applying.ReleaseInput{RequestID: r.GetRequestId(), Reason: r.GetReason(), Force: r.GetForce()}
	var err error
	if in.Organization, err = names.Organization("parent", r.GetParent()); err != nil {
		return applying.ReleaseInput{}, err
	}
	for i, name := range r.GetNames() {
		field := "names[" + strconv.Itoa(i) + "]"
		organization, n, err := accountOf(field, name)
		if err == nil && organization != in.Organization {
			err = errs.Field(field, "NAME_INVALID", "must be an account of the parent")
		}
		if err != nil {
			return applying.ReleaseInput{}, err
		}
		in.Names = append(in.Names, n)
	}
	in.Admin, err = admin(r.GetAdminEmail())
	return in, err
}

// BeginImport converts the first message of an import.
func (c *Converter) BeginImport(r *posternv1.ImportAccountsRequest) (applying.ImportBegin, error) {
	b := r.GetBegin()
	if b == nil {
		return applying.ImportBegin{}, required("begin")
	}
	if err := c.Check(r); err != nil {
		return applying.ImportBegin{}, err
	}
	switch {
	case len(r.GetAccounts()) > 0 || r.GetFirstRow() != 0:
		return applying.ImportBegin{}, errs.Field("accounts", "FIELD_UNEXPECTED", "the first message of an import holds its beginning alone")
	case b.GetRequestId() == "":
		return applying.ImportBegin{}, required("begin.request_id")
	}
	organization, err := names.Organization("begin.parent", b.GetParent())
	return applying.ImportBegin{Organization: organization, RequestID: b.GetRequestId(), ValidateOnly: b.GetValidateOnly(), Reason: b.GetReason(), Digest: b.GetDigest()}, err
}

// ImportBatch converts a batch of an import. A row that cannot be taken is kept with the reason, whatever is wrong with it.
func (c *Converter) ImportBatch(r *posternv1.ImportAccountsRequest) (first int64, rows []applying.ImportRow, err error) {
	switch n := len(r.GetAccounts()); {
	case r.GetBegin() != nil:
		return 0, nil, errs.Field("begin", "FIELD_UNEXPECTED", "an import begins with its first message, and only there")
	case n == 0:
		return 0, nil, required("accounts")
	case n > applying.MaxAccounts:
		return 0, nil, wrong("accounts", "must have at most "+strconv.Itoa(applying.MaxAccounts)+" values")
	case r.GetFirstRow() < 0:
		return 0, nil, wrong("first_row", "must not be negative")
	}
	rows = make([]applying.ImportRow, len(r.GetAccounts()))
	for i, m := range r.GetAccounts() {
		if err := c.Check(m); err != nil {
			rows[i].Refused = errs.New(errs.Invalid, applying.ReasonAccountInvalid, errs.As(err).Public)
			continue
		}
		rows[i].Account, rows[i].Refused = newAccount(m)
	}
	return r.GetFirstRow(), rows, nil
}

// Account shows a claimed account.
func Account(a *applying.Account) *posternv1.Account {
	out := &posternv1.Account{
		Name: names.FormatAccount(a.Organization, a.Claim.Key), AccountId: a.ID, Email: a.Email, Note: a.Note, Origin: posternv1.Origin(a.Claim.Origin),
		Revision: a.Claim.Revision,
	}
	if !a.Claim.Created.IsZero() {
		out.CreateTime = timestamppb.New(a.Claim.Created)
	}
	if a.Claim.Revision > 0 { // what a check alone shows has no version
		out.Etag = a.Etag()
	}
	return out
}

// Accounts shows claimed accounts.
func Accounts(list []applying.Account) []*posternv1.Account {
	out := make([]*posternv1.Account, len(list))
	for i := range list {
		out[i] = Account(&list[i])
	}
	return out
}

// ImportedAccounts shows how far an import is.
func ImportedAccounts(a *applying.ImportAnswer) *posternv1.ImportAccountsResponse {
	out := &posternv1.ImportAccountsResponse{NextRow: a.NextRow, Created: a.Created, Unchanged: a.Unchanged, Refused: a.Refused, Revision: a.Revision}
	for _, r := range a.Refusals {
		out.Refusals = append(out.Refusals, &posternv1.ImportAccountsResponse_Refusal{Row: r.Row, Reason: r.Reason, Text: r.Text})
	}
	return out
}

// admin reads the address of the person who makes a change, whose way in must not be lost.
func admin(email string) (policy.Address, error) {
	if email == "" {
		return policy.Address{}, nil
	}
	a, err := policy.ParseUsableAddress(email)
	if err != nil {
		return policy.Address{}, about("admin_email", err)
	}
	return a, nil
}
