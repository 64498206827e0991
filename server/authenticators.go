package server

import (
	"context"
	"time"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// authenticatorService keeps second factors. Secrets and codes pass through it and are kept nowhere here.
type authenticatorService struct {
	posternv1.UnsafeAuthenticatorServiceServer
	*Factors
	in     *convert.Converter
	tokens *token.Tokens
	now    func() time.Time
}

// EnrollTotp makes a secret and returns it once.
func (s *authenticatorService) EnrollTotp(ctx context.Context, r *posternv1.EnrollTotpRequest) (*posternv1.EnrollTotpResponse, error) {
	in, err := s.in.EnrollTotp(r)
	if err != nil {
		return nil, err
	}
	enrolled, err := s.Holders.Enrol(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return convert.Enrolled(enrolled, s.now()), nil
}

// ConfirmTotp puts a secret in force.
func (s *authenticatorService) ConfirmTotp(ctx context.Context, r *posternv1.ConfirmTotpRequest) (*posternv1.Authenticator, error) {
	in, err := s.in.ConfirmTotp(r)
	if err != nil {
		return nil, err
	}
	return s.shown(s.Holders.Confirm(ctx, who(ctx), in))
}

// GetAuthenticator returns one authenticator.
func (s *authenticatorService) GetAuthenticator(ctx context.Context, r *posternv1.GetAuthenticatorRequest) (*posternv1.Authenticator, error) {
	organization, subject, err := s.in.GetAuthenticator(r)
	if err != nil {
		return nil, err
	}
	return s.shown(s.Holders.Get(ctx, organization, subject))
}

// ListAuthenticators returns a page of authenticators.
func (s *authenticatorService) ListAuthenticators(ctx context.Context, r *posternv1.ListAuthenticatorsRequest) (*posternv1.ListAuthenticatorsResponse, error) {
	in, err := s.in.ListAuthenticators(r)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("authenticators"), []byte(caller.From(ctx).Principal), []byte(in.Organization), []byte(in.AccountID)}
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err
		}
		if len(position) != len(in.After) {
			return nil, badToken("page_token")
		}
		in.After = policy.AccountKey(position)
	}
	page, next, err := s.Holders.List(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListAuthenticatorsResponse{}
	for i := range page {
		out.Authenticators = append(out.Authenticators, convert.Authenticator(page[i], s.now()))
	}
	if next != (policy.AccountKey{}) {
		out.NextPageToken = s.tokens.Seal(token.Page, next[:], bound...)
	}
	return out, nil
}

// UnlockAuthenticator ends a lock.
func (s *authenticatorService) UnlockAuthenticator(ctx context.Context, r *posternv1.UnlockAuthenticatorRequest) (*posternv1.Authenticator, error) {
	in, err := s.in.Mend(r)
	if err != nil {
		return nil, err
	}
	return s.shown(s.Holders.Unlock(ctx, who(ctx), in))
}

// ResetAuthenticator takes a factor away.
func (s *authenticatorService) ResetAuthenticator(ctx context.Context, r *posternv1.ResetAuthenticatorRequest) (*posternv1.Authenticator, error) {
	in, err := s.in.Mend(r)
	if err != nil {
		return nil, err
	}
	return s.shown(s.Holders.Reset(ctx, who(ctx), in))
}

// GenerateRecoveryCodes makes new recovery codes and returns them once.
func (s *authenticatorService) GenerateRecoveryCodes(ctx context.Context, r *posternv1.GenerateRecoveryCodesRequest) (*posternv1.GenerateRecoveryCodesResponse, error) {
	in, err := s.in.GenerateRecoveryCodes(r)
	if err != nil {
		return nil, err
	}
	codes, err := s.Holders.GenerateRecoveryCodes(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return convert.RecoveryCodes(codes, s.now()), nil
}

// ImportAuthenticators takes over existing secrets.
func (s *authenticatorService) ImportAuthenticators(ctx context.Context, r *posternv1.ImportAuthenticatorsRequest) (*posternv1.ImportAuthenticatorsResponse, error) {
	in, err := s.in.ImportAuthenticators(r)
	if err != nil {
		return nil, err
	}
	taken, err := s.Many.Import(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return convert.Imported(taken), nil
}

// RevokeProofs makes what was proven before now count no more.
func (s *authenticatorService) RevokeProofs(ctx context.Context, r *posternv1.RevokeProofsRequest) (*posternv1.RevokeProofsResponse, error) {
	in, err := s.in.RevokeProofs(r)
	if err != nil {
		return nil, err
	}
	revoked, err := s.Many.RevokeProofs(ctx, who(ctx), in)
	if err != nil {
		return nil, err
	}
	return convert.Revoked(revoked), nil
}

// shown converts what a use case returned.
func (s *authenticatorService) shown(a authflow.SubjectFactor, err error) (*posternv1.Authenticator, error) {
	if err != nil {
		return nil, err
	}
	return convert.Authenticator(a, s.now()), nil
}
