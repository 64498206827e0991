package test

import (
	"errors"
	"io"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// accounts claims, reads, notes, imports and releases, in good ways and bad ones.
func (s *canaries) accounts() {
	d := posternv1.NewDirectoryServiceClient(s.p.conn)
	mine, mail, note := canaryOther+"-mine", "own."+canaryClaimMail, canaryDetail+" of the account"
	name := canaryOrganization + "/accounts/id:" + mine
	a, err := d.CreateAccount(s.ctx(), &posternv1.CreateAccountRequest{Parent: canaryOrganization, RequestId: "ac-1", Reason: canaryWhy,
		Account: &posternv1.Account{AccountId: mine, Note: note}})
	s.p.must2(s.told(a, err))
	a, err = d.GetAccount(s.ctx(), &posternv1.GetAccountRequest{Name: name})
	s.p.must2(s.told(a, err))
	a, err = d.UpdateAccount(s.ctx(), &posternv1.UpdateAccountRequest{Account: &posternv1.Account{Name: name, Note: note + ", another"}, RequestId: "ac-2", Reason: canaryWhy,
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"note"}}})
	s.p.must2(s.told(a, err))
	many, err := d.BatchCreateAccounts(s.ctx(), &posternv1.BatchCreateAccountsRequest{Parent: canaryOrganization, RequestId: "ac-3", Accounts: []*posternv1.Account{{Email: mail}}})
	s.p.must2(s.told(many, err))
	list, err := d.ListAccounts(s.ctx(), &posternv1.ListAccountsRequest{Parent: canaryOrganization})
	s.p.must2(s.told(list, err))
	for _, bad := range []*posternv1.Account{
		{AccountId: mine}, {AccountId: mine + "\x00"}, {Email: mail + "@"}, {AccountId: mine, Email: mail}, {AccountId: mine + "2", Note: note + "\x1b"}, {Email: canaryWord + "@" + canaryBody},
	} {
		a, err = d.CreateAccount(s.ctx(), &posternv1.CreateAccountRequest{Parent: canaryOrganization, RequestId: "ac-bad", Account: bad})
		s.refused("an account", a, err)
	}
	for _, bad := range []string{"id:" + mine + "2", "email:other." + mail, "email:" + canaryBody, canaryPath, "id:%" + canaryPath} {
		a, err = d.GetAccount(s.ctx(), &posternv1.GetAccountRequest{Name: canaryOrganization + "/accounts/" + bad})
		s.refused("a name", a, err)
	}
	s.importing(d, []*posternv1.Account{{AccountId: mine + "3", Note: note}, {Email: mail + "@"}, {AccountId: mine + "\x00"}, {AccountId: mine, Email: mail}})
	gone, err := d.BatchDeleteAccounts(s.ctx(), &posternv1.BatchDeleteAccountsRequest{Parent: canaryOrganization, RequestId: "ac-4", Reason: canaryWhy, AdminEmail: "admin." + canaryClaimMail,
		Names: []string{name, canaryOrganization + "/accounts/email:" + mail, canaryOrganization + "/accounts/id:" + mine + "3"}})
	s.p.must2(s.told(gone, err))
	if gone.GetDeleted() != 3 {
		s.t.Errorf("%d accounts released", gone.GetDeleted())
	}
}

// importing imports rows, and ends with a batch that does not fit.
func (s *canaries) importing(d posternv1.DirectoryServiceClient, rows []*posternv1.Account) {
	stream, err := d.ImportAccounts(s.ctx())
	s.p.must2(err)
	for _, r := range []*posternv1.ImportAccountsRequest{
		{Begin: &posternv1.ImportAccountsRequest_Begin{Parent: canaryOrganization, RequestId: "ac-import", Reason: canaryWhy, Digest: []byte("0123456789abcdef")}},
		{Accounts: rows}, {FirstRow: 99, Accounts: rows},
	} {
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
			s.t.Error(err)
		}
		answer, err := stream.Recv()
		if s.told(answer, err) != nil && r.GetFirstRow() != 99 {
			s.t.Error(err)
		}
		for _, refused := range answer.GetRefusals() {
			s.errors.WriteString(refused.GetText())
		}
	}
}
