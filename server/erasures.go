package server

import (
	"context"

	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Erasures are the use cases around the erasure of people. *erasure.Erasures implements it.
type Erasures interface {
	Erase(ctx context.Context, caller string, in erasure.Request) (erasure.Erasure, error)
	Look(ctx context.Context, in erasure.Request) (erasure.Found, error)
	Get(ctx context.Context, organization, id string) (erasure.Erasure, error)
	List(ctx context.Context, organization, before string, limit int) ([]erasure.Erasure, error)
}

// erasures returns the use cases, or why there are none.
func (s *eventService) erasures() (Erasures, error) {
	if s.Erasures == nil {
		return nil, errs.New(errs.Unimplemented, "METHOD_UNKNOWN_HERE", "this process erases nobody")
	}
	return s.Erasures, nil
}

// EraseSubject asks to forget a person, or counts what would go.
func (s *eventService) EraseSubject(ctx context.Context, r *posternv1.EraseSubjectRequest) (*posternv1.Erasure, error) {
	in, err := s.in.EraseSubject(r)
	if err != nil {
		return nil, err
	}
	cases, err := s.erasures()
	if err != nil {
		return nil, err
	}
	if r.GetDryRun() {
		found, err := cases.Look(ctx, in)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the use case
		}
		return &posternv1.Erasure{Counts: convert.ErasureCounts(found)}, nil
	}
	e, err := cases.Erase(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the use case
	}
	return convert.Erasure(in.Organization, &e), nil
}

// GetErasure returns one erasure.
func (s *eventService) GetErasure(ctx context.Context, r *posternv1.GetErasureRequest) (*posternv1.Erasure, error) {
	organization, id, err := s.in.GetErasure(r)
	if err != nil {
		return nil, err
	}
	cases, err := s.erasures()
	if err != nil {
		return nil, err
	}
	e, err := cases.Get(ctx, organization, id)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the use case
	}
	return convert.Erasure(organization, &e), nil
}

// ListErasures returns a page of an organization's erasures, newest first.
func (s *eventService) ListErasures(ctx context.Context, r *posternv1.ListErasuresRequest) (*posternv1.ListErasuresResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	cases, err := s.erasures()
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("erasures"), []byte(caller.From(ctx).Principal), []byte(organization)}
	var before []byte
	if r.GetPageToken() != "" {
		if before, err = s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...); err != nil {
			return nil, err
		}
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := cases.List(ctx, organization, string(before), size+1)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the use case
	}
	out := &posternv1.ListErasuresResponse{}
	if len(list) > size {
		list = list[:size]
		out.NextPageToken = s.tokens.Seal(token.Page, []byte(list[size-1].ID), bound...)
	}
	for i := range list {
		out.Erasures = append(out.Erasures, convert.Erasure(organization, &list[i]))
	}
	return out, nil
}
