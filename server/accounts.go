package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Accounts are the use cases around claimed accounts. *directory.Accounts implements it.
type Accounts interface {
	Create(ctx context.Context, principal string, in applying.ClaimInput) (applying.Account, error)
	CreateMany(ctx context.Context, principal string, in applying.ClaimInput) (applying.Claimed, error)
	Get(ctx context.Context, organization string, name applying.AccountName) (applying.Account, error)
	List(ctx context.Context, organization string, after policy.AccountKey, limit int) (applying.AccountPage, error)
	Update(ctx context.Context, principal string, in applying.NoteInput) (applying.Account, error)
	Delete(ctx context.Context, principal string, in applying.ReleaseInput) error
	DeleteMany(ctx context.Context, principal string, in applying.ReleaseInput) (applying.Released, error)
}

// Imports begins imports of accounts. *directory.Accounts implements it.
type Imports interface {
	Import(ctx context.Context, principal string, in applying.ImportBegin) (*applying.Import, applying.ImportAnswer, error)
}

// CreateAccount claims an account.
func (s *directoryService) CreateAccount(ctx context.Context, r *posternv1.CreateAccountRequest) (*posternv1.Account, error) {
	in, err := s.in.CreateAccount(r)
	if err != nil {
		return nil, err
	}
	a, err := s.Accounts.Create(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return convert.Account(&a), nil
}

// GetAccount returns one claimed account.
func (s *directoryService) GetAccount(ctx context.Context, r *posternv1.GetAccountRequest) (*posternv1.Account, error) {
	organization, name, err := s.in.GetAccount(r)
	if err != nil {
		return nil, err
	}
	a, err := s.Accounts.Get(ctx, organization, name)
	if err != nil {
		return nil, err
	}
	return convert.Account(&a), nil
}

// ListAccounts returns a page of the accounts an organization claims.
func (s *directoryService) ListAccounts(ctx context.Context, r *posternv1.ListAccountsRequest) (*posternv1.ListAccountsResponse, error) {
	organization, err := s.in.ListAccounts(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.Resolve(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("accounts"), []byte(caller.From(ctx).Principal), []byte(uid)}
	var after policy.AccountKey
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		if copy(after[:], position) != len(after) || len(position) != len(after) {
			return nil, badToken("page_token")
		}
	}
	page, err := s.Accounts.List(ctx, organization, after, convert.PageSize(r.GetPageSize()))
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListAccountsResponse{Accounts: convert.Accounts(page.Accounts), TotalSize: page.Count}
	if page.Next != (policy.AccountKey{}) {
		out.NextPageToken = s.tokens.Seal(token.Page, page.Next[:], bound...)
	}
	return out, nil
}

// UpdateAccount changes the note of a claimed account.
func (s *directoryService) UpdateAccount(ctx context.Context, r *posternv1.UpdateAccountRequest) (*posternv1.Account, error) {
	in, err := s.in.UpdateAccount(r)
	if err != nil {
		return nil, err
	}
	a, err := s.Accounts.Update(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return convert.Account(&a), nil
}

// DeleteAccount releases an account.
func (s *directoryService) DeleteAccount(ctx context.Context, r *posternv1.DeleteAccountRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteAccount(r)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Accounts.Delete(ctx, caller.From(ctx).Principal, in)
}

// BatchCreateAccounts claims several accounts in one commit.
func (s *directoryService) BatchCreateAccounts(ctx context.Context, r *posternv1.BatchCreateAccountsRequest) (*posternv1.BatchCreateAccountsResponse, error) {
	in, err := s.in.BatchCreateAccounts(r)
	if err != nil {
		return nil, err
	}
	done, err := s.Accounts.CreateMany(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return &posternv1.BatchCreateAccountsResponse{Accounts: convert.Accounts(done.Accounts), Created: int32(done.Created), Revision: done.Revision}, nil //nolint:gosec // at most 500
}

// BatchDeleteAccounts releases several accounts in one commit.
func (s *directoryService) BatchDeleteAccounts(ctx context.Context, r *posternv1.BatchDeleteAccountsRequest) (*posternv1.BatchDeleteAccountsResponse, error) {
	in, err := s.in.BatchDeleteAccounts(r)
	if err != nil {
		return nil, err
	}
	done, err := s.Accounts.DeleteMany(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return &posternv1.BatchDeleteAccountsResponse{Deleted: int32(done.Deleted), Revision: done.Revision}, nil //nolint:gosec // at most 500
}

// importStream is the stream of one import.
type importStream = grpc.BidiStreamingServer[posternv1.ImportAccountsRequest, posternv1.ImportAccountsResponse]

// batchTime bounds one batch of an import.
const batchTime = 30 * time.Second

// ImportAccounts claims accounts batch by batch: one is on its way at a time, and answered once it is committed.
func (s *directoryService) ImportAccounts(stream importStream) error {
	ctx := stream.Context()
	incoming := receive(stream)
	first, err := s.next(ctx, incoming)
	if errors.Is(err, io.EOF) {
		return errs.Field("begin", "FIELD_REQUIRED", "must be given")
	}
	if err != nil {
		return err
	}
	in, err := s.in.BeginImport(first)
	if err != nil {
		return err
	}
	running, at, err := s.Imports.Import(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return err
	}
	if err := stream.Send(convert.ImportedAccounts(&at)); err != nil {
		return err //nolint:wrapcheck // for the chain to read
	}
	for {
		r, err := s.next(ctx, incoming)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.batch(ctx, stream, running, r); err != nil {
			return err
		}
	}
}

// next waits for a message, as long as the server does.
func (s *directoryService) next(ctx context.Context, incoming <-chan receivedRequest) (*posternv1.ImportAccountsRequest, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.stopping:
		return nil, errs.New(errs.Unavailable, "SHUTTING_DOWN", "the server is stopping; go on with the same request id")
	case got := <-incoming:
		return got.request, got.err
	}
}

// batch does one batch and answers it.
func (s *directoryService) batch(ctx context.Context, stream importStream, running *applying.Import, r *posternv1.ImportAccountsRequest) error {
	row, rows, err := s.in.ImportBatch(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	answer, err := running.Batch(ctx, row, rows)
	if err != nil {
		return err
	}
	return stream.Send(convert.ImportedAccounts(&answer)) //nolint:wrapcheck // for the chain to read
}

// receivedRequest is a message of a stream, or why there is none.
type receivedRequest struct {
	request *posternv1.ImportAccountsRequest
	err     error
}

// receive reads a stream, so that whoever waits for a message can wait for something else too. It reads one message ahead, and ends with
// the stream, which ends with its handler.
func receive(stream importStream) <-chan receivedRequest {
	out := make(chan receivedRequest)
	go func() {
		for {
			r, err := stream.Recv()
			select {
			case out <- receivedRequest{r, err}:
			case <-stream.Context().Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}
