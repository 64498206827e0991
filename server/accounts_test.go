package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (s *sidecar) organization(id string) string {
	s.t.Helper()
	name := "organizations/" + id
	if _, err := s.dir.ApplyOrganization(s.ctx(), &posternv1.ApplyOrganizationRequest{Name: name, RequestId: "made", Document: "organization: " + id + "\n"}); err != nil {
		s.t.Fatal(err)
	}
	return name
}

func TestAccountsOverTheAPI(t *testing.T) {
	s := newSidecar(t)
	globex := s.organization("globex")
	const email = "Jo+x@gmail.com"
	create := &posternv1.CreateAccountRequest{Parent: acme, RequestId: "c", Reason: "why", Account: &posternv1.Account{Email: email, Note: "boss"}}
	made, err := s.dir.CreateAccount(s.ctx(), create)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.GetName(), acme+"/accounts/") || strings.Contains(made.GetName(), "gmail") || made.GetEmail() != email || made.GetNote() != "boss" ||
		made.GetOrigin() != posternv1.Origin_ORIGIN_API || made.GetEtag() == "" || made.GetCreateTime() == nil || made.GetRevision() == 0 {
		t.Errorf("%v", made)
	}
	for _, name := range []string{made.GetName(), acme + "/accounts/email:jo%2Bx@GMAIL.com"} {
		if got, err := s.dir.GetAccount(s.ctx(), &posternv1.GetAccountRequest{Name: name}); err != nil || got.GetEtag() != made.GetEtag() {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	many := &posternv1.BatchCreateAccountsRequest{Parent: acme, RequestId: "m"}
	for i := range 11 {
		many.Accounts = append(many.Accounts, &posternv1.Account{AccountId: fmt.Sprint("id/", i)})
	}
	if done, err := s.dir.BatchCreateAccounts(s.ctx(), many); err != nil || done.GetCreated() != 11 || len(done.GetAccounts()) != 11 || done.GetRevision() == 0 {
		t.Errorf("%v, %v", done, err)
	}
	seen := map[string]bool{}
	list := &posternv1.ListAccountsRequest{Parent: acme, PageSize: 5}
	for {
		page, err := s.dir.ListAccounts(s.ctx(), list)
		if err != nil || page.GetTotalSize() != 12 {
			t.Fatalf("%v, %v", page, err)
		}
		for _, a := range page.GetAccounts() {
			seen[a.GetAccountId()+a.GetEmail()] = true
		}
		if list.PageToken = page.GetNextPageToken(); list.GetPageToken() == "" {
			break
		}
		if _, err := s.dir.ListAccounts(s.ctx(), &posternv1.ListAccountsRequest{Parent: globex, PageToken: list.GetPageToken()}); err == nil {
			t.Error("a page token of another organization is taken")
		}
	}
	if len(seen) != 12 || !seen[email] || !seen["id/10"] {
		t.Errorf("%v", seen)
	}
	_, err = s.dir.CreateAccount(s.ctx(), &posternv1.CreateAccountRequest{Parent: globex, RequestId: "c", Account: &posternv1.Account{Email: "jo+x@gmail.com"}})
	failed(t, err, "ALREADY_EXISTS", "ACCOUNT_TAKEN")
	// A claimed address is the organization's own at once.
	said, err := s.explain.Explain(s.ctx(), &posternv1.ExplainRequest{Site: acme + "/sites/wiki", Email: email})
	if err != nil || said.GetDecision().GetClass() != posternv1.Class_CLASS_CLAIMED {
		t.Errorf("%v, %v", said.GetDecision().GetClass(), err)
	}
	noted, err := s.dir.UpdateAccount(s.ctx(), &posternv1.UpdateAccountRequest{Account: &posternv1.Account{Name: made.GetName()}, RequestId: "u",
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"note"}}, Etag: made.GetEtag()})
	if err != nil || noted.GetNote() != "" || noted.GetEtag() == made.GetEtag() {
		t.Errorf("%v, %v", noted, err)
	}
	if _, err := s.dir.DeleteAccount(s.ctx(), &posternv1.DeleteAccountRequest{Name: made.GetName(), RequestId: "d", Etag: noted.GetEtag()}); err != nil {
		t.Error(err)
	}
	out, err := s.dir.BatchDeleteAccounts(s.ctx(), &posternv1.BatchDeleteAccountsRequest{Parent: acme, RequestId: "d2", Names: []string{acme + "/accounts/id:id%2F1", made.GetName()}})
	if err != nil || out.GetDeleted() != 1 || out.GetRevision() == 0 {
		t.Errorf("%v, %v", out, err)
	}
	_, err = s.dir.GetAccount(s.ctx(), &posternv1.GetAccountRequest{Name: made.GetName()})
	failed(t, err, "NOT_FOUND", "ACCOUNT_NOT_FOUND")
}

func TestWhatIsWrongWithACallAboutAccountsIsSaid(t *testing.T) {
	s := newSidecar(t)
	account := func(a *posternv1.Account) error {
		_, err := s.dir.CreateAccount(s.ctx(), &posternv1.CreateAccountRequest{Parent: acme, RequestId: "r", Account: a})
		return err
	}
	name := acme + "/accounts/id:a"
	note := func(mask ...string) error {
		_, err := s.dir.UpdateAccount(s.ctx(), &posternv1.UpdateAccountRequest{Account: &posternv1.Account{Name: name}, RequestId: "r", UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return err
	}
	many := func(n int) error {
		_, err := s.dir.BatchCreateAccounts(s.ctx(), &posternv1.BatchCreateAccountsRequest{Parent: acme, RequestId: "r", Accounts: make([]*posternv1.Account, n)})
		return err
	}
	drop := func(names ...string) error {
		_, err := s.dir.BatchDeleteAccounts(s.ctx(), &posternv1.BatchDeleteAccountsRequest{Parent: acme, RequestId: "r", Names: names})
		return err
	}
	_, admin := s.dir.DeleteAccount(s.ctx(), &posternv1.DeleteAccountRequest{Name: name, RequestId: "r", AdminEmail: "nobody"})
	for what, c := range map[string]struct {
		err    error
		reason string
	}{
		"no account":           {account(nil), "FIELD_REQUIRED"},
		"nothing in it":        {account(&posternv1.Account{}), "ACCOUNT_INVALID"},
		"both":                 {account(&posternv1.Account{AccountId: "a", Email: "a@example.com"}), "ACCOUNT_AMBIGUOUS"},
		"no address":           {account(&posternv1.Account{Email: "a"}), "ADDRESS_NO_AT"},
		"a reserved domain":    {account(&posternv1.Account{Email: "a@x.test"}), "DOMAIN_SPECIAL_USE"},
		"what the server says": {account(&posternv1.Account{AccountId: "a", Etag: "e"}), "ACCOUNT_INVALID"},
		"a long id":            {account(&posternv1.Account{AccountId: strings.Repeat("x", 129)}), "FIELD_INVALID"},
		"no mask":              {note(), "FIELD_REQUIRED"},
		"a wildcard":           {note("*"), "MASK_INVALID"},
		"an unchangeable":      {note("email"), "MASK_INVALID"},
		"none of many":         {many(0), "FIELD_REQUIRED"},
		"too many":             {many(501), "FIELD_INVALID"},
		"one of many":          {many(1), "ACCOUNT_INVALID"},
		"nothing to drop":      {drop(), "FIELD_REQUIRED"},
		"another's":            {drop("organizations/globex/accounts/id:a"), "NAME_INVALID"},
		"no name":              {drop(acme + "/accounts/a"), "NAME_INVALID"},
		"no usable address":    {drop(acme + "/accounts/email:a@localhost"), "DOMAIN_SINGLE_LABEL"},
		"no admin":             {admin, "ADDRESS_NO_AT"},
	} {
		t.Run(what, func(t *testing.T) { failed(t, c.err, "INVALID_ARGUMENT", c.reason) })
	}
}

type importing = grpc.BidiStreamingClient[posternv1.ImportAccountsRequest, posternv1.ImportAccountsResponse]

func (s *sidecar) importing(b *posternv1.ImportAccountsRequest_Begin) (importing, *posternv1.ImportAccountsResponse) {
	s.t.Helper()
	stream, err := s.dir.ImportAccounts(s.ctx())
	if err != nil {
		s.t.Fatal(err)
	}
	return stream, s.ask(stream, &posternv1.ImportAccountsRequest{Begin: b})
}

func (s *sidecar) ask(stream importing, r *posternv1.ImportAccountsRequest) *posternv1.ImportAccountsResponse {
	s.t.Helper()
	if err := stream.Send(r); err != nil {
		s.t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func TestAnImportOverTheAPIRefusesRowsAndGoesOn(t *testing.T) {
	s := newSidecar(t)
	begin := &posternv1.ImportAccountsRequest_Begin{Parent: acme, RequestId: "i", Digest: make([]byte, 32)}
	stream, at := s.importing(begin)
	if at.GetNextRow() != 0 {
		t.Fatal(at)
	}
	rows := []*posternv1.Account{{AccountId: "a"}, {AccountId: "nul\x00"}, {AccountId: strings.Repeat("x", 200)}, {Email: "b@example.com", Note: "n"}, {}, {AccountId: "a", Name: "n"},
		{AccountId: "a", Email: "a@example.com"}, {Email: "a@b@c"}}
	answer := s.ask(stream, &posternv1.ImportAccountsRequest{Accounts: rows})
	var reasons []string
	for _, r := range answer.GetRefusals() {
		reasons = append(reasons, fmt.Sprint(r.GetRow(), r.GetReason()))
		if r.GetText() == "" || strings.Contains(r.GetText(), "nul") || strings.Contains(r.GetText(), "xxx") {
			t.Errorf("%v", r)
		}
	}
	want := "1ACCOUNT_INVALID 2ACCOUNT_INVALID 4ACCOUNT_INVALID 5ACCOUNT_INVALID 6ACCOUNT_AMBIGUOUS 7ADDRESS_SEVERAL_AT"
	if got := strings.Join(reasons, " "); got != want || answer.GetCreated() != 2 || answer.GetRefused() != 6 || answer.GetNextRow() != 8 || answer.GetRevision() == 0 {
		t.Errorf("%s, %v", got, answer)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("at its end: %v", err)
	}
	stream, at = s.importing(begin)
	if at.GetNextRow() != 8 || at.GetCreated() != 2 || len(at.GetRefusals()) != 0 {
		t.Errorf("begun again: %v", at)
	}
	if answer = s.ask(stream, &posternv1.ImportAccountsRequest{FirstRow: 8, Accounts: []*posternv1.Account{{AccountId: "a"}}}); answer.GetUnchanged() != 1 || answer.GetNextRow() != 9 {
		t.Errorf("%v", answer)
	}
}

func TestAnImportThatDoesNotFitIsRefusedAndOnTheOrganizationsRecord(t *testing.T) {
	s := newSidecar(t)
	denials := s.refusals(acme)
	ended := func(first *posternv1.ImportAccountsRequest, more ...*posternv1.ImportAccountsRequest) error {
		stream, err := s.dir.ImportAccounts(s.ctx())
		if err != nil {
			return err
		}
		for _, r := range append([]*posternv1.ImportAccountsRequest{first}, more...) {
			if r != nil {
				if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
					return err
				}
			}
		}
		_ = stream.CloseSend() // what it says comes below
		for {
			if _, err = stream.Recv(); err != nil {
				return err
			}
		}
	}
	begin := func(change func(*posternv1.ImportAccountsRequest_Begin)) *posternv1.ImportAccountsRequest {
		b := &posternv1.ImportAccountsRequest_Begin{Parent: acme, RequestId: "i"}
		change(b)
		return &posternv1.ImportAccountsRequest{Begin: b}
	}
	good := begin(func(*posternv1.ImportAccountsRequest_Begin) {})
	row := []*posternv1.Account{{AccountId: "a"}}
	for what, c := range map[string]struct {
		err          error
		code, reason string
		there        bool // the refusal names the organization
	}{
		"nothing at all":    {ended(nil), "INVALID_ARGUMENT", "FIELD_REQUIRED", false},
		"no beginning":      {ended(&posternv1.ImportAccountsRequest{Accounts: row}), "INVALID_ARGUMENT", "FIELD_REQUIRED", false},
		"no request id":     {ended(begin(func(b *posternv1.ImportAccountsRequest_Begin) { b.RequestId = "" })), "INVALID_ARGUMENT", "FIELD_REQUIRED", true},
		"a short digest":    {ended(begin(func(b *posternv1.ImportAccountsRequest_Begin) { b.Digest = []byte{1} })), "INVALID_ARGUMENT", "FIELD_INVALID", true},
		"no organization":   {ended(begin(func(b *posternv1.ImportAccountsRequest_Begin) { b.Parent = "acme" })), "INVALID_ARGUMENT", "NAME_INVALID", false},
		"an unknown one":    {ended(begin(func(b *posternv1.ImportAccountsRequest_Begin) { b.Parent = "organizations/nobody" })), "NOT_FOUND", "ORGANIZATION_NOT_FOUND", false},
		"two in one":        {ended(&posternv1.ImportAccountsRequest{Begin: good.GetBegin(), Accounts: row}), "INVALID_ARGUMENT", "FIELD_UNEXPECTED", true},
		"begun twice":       {ended(good, good), "INVALID_ARGUMENT", "FIELD_UNEXPECTED", true},
		"an empty batch":    {ended(good, &posternv1.ImportAccountsRequest{}), "INVALID_ARGUMENT", "FIELD_REQUIRED", true},
		"too large a batch": {ended(good, &posternv1.ImportAccountsRequest{Accounts: make([]*posternv1.Account, 501)}), "INVALID_ARGUMENT", "FIELD_INVALID", true},
		"a row below zero":  {ended(good, &posternv1.ImportAccountsRequest{FirstRow: -1, Accounts: row}), "INVALID_ARGUMENT", "FIELD_INVALID", true},
		"rows left out":     {ended(good, &posternv1.ImportAccountsRequest{FirstRow: 7, Accounts: row}), "FAILED_PRECONDITION", "IMPORT_OUT_OF_STEP", true},
	} {
		t.Run(what, func(t *testing.T) {
			id := failed(t, c.err, c.code, c.reason)
			if c.there {
				if e := denials.find(id); e.GetDenial().GetReason() != c.reason {
					t.Errorf("%v", e)
				}
			}
		})
	}
	if page, err := s.dir.ListAccounts(s.ctx(), &posternv1.ListAccountsRequest{Parent: acme}); err != nil || page.GetTotalSize() != 0 {
		t.Errorf("%v, %v", page, err)
	}
}

func TestAnImportWhoseCallerIsGoneEnds(t *testing.T) {
	s := newSidecar(t)
	begin := &posternv1.ImportAccountsRequest{Begin: &posternv1.ImportAccountsRequest_Begin{Parent: acme, RequestId: "i"}}
	open := func() error {
		ctx, cancel := context.WithCancel(s.ctx())
		defer cancel()
		stream, err := s.dir.ImportAccounts(ctx)
		if err == nil {
			err = stream.Send(begin)
		}
		if err == nil || errors.Is(err, io.EOF) {
			_, err = stream.Recv()
		}
		return err
	}
	bounded := s.ctx()
	for range 300 { // more than are served at once
		for err := open(); err != nil; err = open() {
			if grpcstatus.Code(err) != codes.ResourceExhausted || bounded.Err() != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAnIdleImportDoesNotHoldUpTheServersEnd(t *testing.T) {
	s := newSidecar(t)
	stream, _ := s.importing(&posternv1.ImportAccountsRequest_Begin{Parent: acme, RequestId: "i"})
	s.stop()
	if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestAnImportThatNeverBeginsDoesNotHoldUpTheServersEnd(t *testing.T) {
	s := newSidecar(t)
	stream, err := s.dir.ImportAccounts(s.ctx())
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	if _, err := stream.Recv(); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}
