package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// Exports are the use cases around exports. *export.Jobs implements it.
type Exports interface {
	Create(ctx context.Context, caller string, in export.NewJob) (*export.Job, error)
	Get(ctx context.Context, organizationUID, id string) (*export.Job, error)
	List(ctx context.Context, organizationUID, after string, limit int) ([]export.Job, error)
	Cancel(ctx context.Context, caller string, in export.Ending) (*export.Job, error)
	Delete(ctx context.Context, caller string, in export.Ending) error
	Question(job *export.Job) (export.Question, error)
	Links(caller string, job *export.Job) export.Links
}

// CreateExport asks for an export.
func (s *eventService) CreateExport(ctx context.Context, r *posternv1.CreateExportRequest) (*posternv1.Export, error) {
	in, err := s.in.CreateExport(r)
	if err != nil {
		return nil, err
	}
	if in.OrganizationUID, err = s.access.open(ctx, in.Organization); err != nil {
		return nil, err
	}
	if in.Asked, err = convert.ExportFilter(r.GetFilter()); err != nil {
		return nil, err
	}
	whole, err := s.whole(ctx, in.Organization, in.OrganizationUID, r.GetFilter())
	if err != nil {
		return nil, err
	}
	timed, err := convert.At(whole, s.now())
	if err != nil {
		return nil, err
	}
	if _, err = convert.Events(timed, in.OrganizationUID, s.Indexer); err != nil {
		return nil, err
	}
	if in.Filter, err = convert.ExportFilter(timed); err != nil {
		return nil, err
	}
	job, err := s.Exports.Create(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.export(in.Organization, job)
}

func (s *eventService) export(organization string, job *export.Job) (*posternv1.Export, error) {
	asked, err := s.Exports.Question(job)
	if errs.Is(err, audit.KeyDestroyed) { // it is on the list all the same
		asked, err = export.Question{}, nil
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the use case
	}
	return convert.Export(organization, job, asked)
}

// GetExport returns one export, with links to its files.
func (s *eventService) GetExport(ctx context.Context, r *posternv1.GetExportRequest) (*posternv1.Export, error) {
	organization, id, err := s.in.GetExport(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	job, err := s.Exports.Get(ctx, uid, id)
	if err != nil {
		return nil, err
	}
	out, err := s.export(organization, job)
	base := s.ExportURL()
	if err != nil || base == "" {
		return out, err
	}
	links := s.Exports.Links(caller.From(ctx).Principal, job)
	if links.Data != "" {
		out.DownloadUri, out.ManifestUri = base+links.Data, base+links.Manifest
		out.LinkExpireTime = convert.Timestamp(links.Ends)
	}
	return out, nil
}

// ListExports returns a page of an organization's exports, the newest first.
func (s *eventService) ListExports(ctx context.Context, r *posternv1.ListExportsRequest) (*posternv1.ListExportsResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("exports"), []byte(caller.From(ctx).Principal), []byte(uid)}
	after := ""
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		after = string(position)
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.Exports.List(ctx, uid, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListExportsResponse{}
	for i := range list {
		if i == size {
			out.NextPageToken = s.tokens.Seal(token.Page, []byte(list[i-1].ID), bound...)
			break
		}
		shown, err := s.export(organization, &list[i])
		if err != nil {
			return nil, err
		}
		out.Exports = append(out.Exports, shown)
	}
	return out, nil
}

// CancelExport calls an export off.
func (s *eventService) CancelExport(ctx context.Context, r *posternv1.CancelExportRequest) (*posternv1.Export, error) {
	organization, in, err := s.in.EndExport(r)
	if err != nil {
		return nil, err
	}
	if in.OrganizationUID, err = s.access.open(ctx, organization); err != nil {
		return nil, err
	}
	job, err := s.Exports.Cancel(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return s.export(organization, job)
}

// DeleteExport removes an export.
func (s *eventService) DeleteExport(ctx context.Context, r *posternv1.DeleteExportRequest) (*emptypb.Empty, error) {
	organization, in, err := s.in.EndExport(r)
	if err != nil {
		return nil, err
	}
	if in.OrganizationUID, err = s.access.open(ctx, organization); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Exports.Delete(ctx, caller.From(ctx).Principal, in)
}
