package server

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/savedfilter"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/token"
)

// SavedFilters are the use cases around saved filters. *savedfilter.Filters implements it.
type SavedFilters interface {
	Create(ctx context.Context, caller string, in savedfilter.Input) (savedfilter.Filter, error)
	Update(ctx context.Context, caller string, in savedfilter.Input) (savedfilter.Filter, error)
	Delete(ctx context.Context, caller string, in savedfilter.Removal) error
	Get(ctx context.Context, organizationUID, id string) (savedfilter.Filter, error)
	List(ctx context.Context, organizationUID, after string, limit int) ([]savedfilter.Filter, error)
}

// whole returns a filter with the saved one it names in it: that is what tokens are bound to.
func (q *query) whole(ctx context.Context, organization, uid string, f *posternv1.EventFilter) (*posternv1.EventFilter, error) {
	if f.GetSavedFilter() == "" {
		return f, nil
	}
	saved, err := q.saved(ctx, organization, uid, f.GetSavedFilter())
	if err != nil {
		return nil, err
	}
	return convert.WithSaved(saved, f), nil
}

// choose turns a whole filter into a query. A relative start is seen from begun, or from now when that is zero.
func (q *query) choose(whole *posternv1.EventFilter, uid string, begun time.Time) (audit.Query, error) {
	if begun.IsZero() {
		begun = q.now()
	}
	timed, err := convert.At(whole, begun)
	if err != nil {
		return audit.Query{}, err
	}
	return convert.Events(timed, uid, q.Indexer)
}

// saved returns what a saved filter of the organization says.
func (q *query) saved(ctx context.Context, organization, uid, name string) (*posternv1.EventFilter, error) {
	const field = "filter.saved_filter"
	parent, id, err := names.SavedFilter(field, name)
	switch {
	case err != nil:
		return nil, err
	case parent != organization:
		return nil, errs.Field(field, "FIELD_INVALID", "must be a filter of the same organization")
	}
	f, err := q.Filters.Get(ctx, uid, id)
	switch {
	case err != nil:
		return nil, err //nolint:wrapcheck // an errs.Error of the use case
	case f.Unreadable:
		return nil, errs.New(errs.FailedPrecondition, "SAVED_FILTER_UNREADABLE", "the saved filter cannot be opened any more; replace or delete it")
	}
	return convert.SavedContent(f.Content)
}

// place is where a list or a watch goes on: behind a sequence number, and with a relative start the moment that was seen from.
type place struct {
	sequence int64
	begun    time.Time // zero without a relative start
}

func (p place) position() []byte {
	b := sequencePosition(p.sequence)
	if !p.begun.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(p.begun.UnixNano()))
	}
	return b
}

func placeAt(position []byte) (place, bool) {
	var p place
	switch len(position) {
	case 16:
		p.begun = time.Unix(0, int64(binary.BigEndian.Uint64(position[8:]))).UTC() //nolint:gosec // written from an int64
		position = position[:8]
	case 8:
	default:
		return p, false
	}
	var ok bool
	p.sequence, ok = sequenceAt(position)
	return p, ok
}

// begin returns the place a list begins at: as a filter with a relative start sees it from now.
func (q *query) begin(f *posternv1.EventFilter) place {
	if f.GetLast() == nil {
		return place{}
	}
	return place{begun: q.now()}
}

// CreateSavedFilter keeps a new filter.
func (s *eventService) CreateSavedFilter(ctx context.Context, r *posternv1.CreateSavedFilterRequest) (*posternv1.SavedFilter, error) {
	in, err := s.in.CreateSavedFilter(r)
	if err != nil {
		return nil, err
	}
	return s.keep(ctx, s.Filters.Create, in, r.GetSavedFilter().GetFilter())
}

// UpdateSavedFilter replaces what a filter says.
func (s *eventService) UpdateSavedFilter(ctx context.Context, r *posternv1.UpdateSavedFilterRequest) (*posternv1.SavedFilter, error) {
	in, err := s.in.UpdateSavedFilter(r)
	if err != nil {
		return nil, err
	}
	return s.keep(ctx, s.Filters.Update, in, r.GetSavedFilter().GetFilter())
}

// keep saves a filter that can be searched by.
func (s *eventService) keep(ctx context.Context, put func(context.Context, string, savedfilter.Input) (savedfilter.Filter, error), in savedfilter.Input,
	f *posternv1.EventFilter) (*posternv1.SavedFilter, error) {
	var err error
	if in.Organization.UID, err = s.access.open(ctx, in.Organization.ID); err != nil {
		return nil, err
	}
	if _, err = s.choose(f, in.Organization.UID, time.Time{}); err != nil {
		return nil, under("saved_filter.", err)
	}
	kept, err := put(ctx, caller.From(ctx).Principal, in)
	if err != nil {
		return nil, err
	}
	return convert.SavedFilter(in.Organization.ID, &kept)
}

// under puts the fields of an error below another one.
func under(prefix string, err error) error {
	e := errs.As(err)
	if e == nil || len(e.Violations) != 1 {
		return err
	}
	return errs.Field(prefix+e.Violations[0].Field, e.Reason, e.Violations[0].Description)
}

// GetSavedFilter returns one filter.
func (s *eventService) GetSavedFilter(ctx context.Context, r *posternv1.GetSavedFilterRequest) (*posternv1.SavedFilter, error) {
	organization, id, err := s.in.GetSavedFilter(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	f, err := s.Filters.Get(ctx, uid, id)
	if err != nil {
		return nil, err
	}
	return convert.SavedFilter(organization, &f)
}

// ListSavedFilters returns a page of an organization's filters, by id.
func (s *eventService) ListSavedFilters(ctx context.Context, r *posternv1.ListSavedFiltersRequest) (*posternv1.ListSavedFiltersResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	bound := [][]byte{[]byte("saved filters"), []byte(caller.From(ctx).Principal), []byte(uid)}
	after := ""
	if r.GetPageToken() != "" {
		position, err := s.tokens.Open("page_token", token.Page, r.GetPageToken(), bound...)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error
		}
		if after = string(position); !names.IsID(after) {
			return nil, badToken("page_token")
		}
	}
	size := convert.PageSize(r.GetPageSize())
	list, err := s.Filters.List(ctx, uid, after, size+1)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListSavedFiltersResponse{}
	for i := range list {
		if i == size {
			out.NextPageToken = s.tokens.Seal(token.Page, []byte(list[i-1].ID), bound...)
			break
		}
		shown, err := convert.SavedFilter(organization, &list[i])
		if err != nil {
			return nil, err
		}
		out.SavedFilters = append(out.SavedFilters, shown)
	}
	return out, nil
}

// DeleteSavedFilter removes a filter.
func (s *eventService) DeleteSavedFilter(ctx context.Context, r *posternv1.DeleteSavedFilterRequest) (*emptypb.Empty, error) {
	in, err := s.in.DeleteSavedFilter(r)
	if err != nil {
		return nil, err
	}
	if in.Organization.UID, err = s.access.open(ctx, in.Organization.ID); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.Filters.Delete(ctx, caller.From(ctx).Principal, in)
}
