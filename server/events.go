package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// eventService reads the record.
type eventService struct {
	posternv1.UnsafeEventServiceServer
	query
	keys *APIKeys // nil: test events are not emitted here
}

// GetEvent returns one archived event.
func (s *eventService) GetEvent(ctx context.Context, r *posternv1.GetEventRequest) (*posternv1.Event, error) {
	ref, err := s.in.GetEvent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, ref.Organization)
	if err != nil {
		return nil, err
	}
	event, err := s.Reader.Event(ctx, uid, ref.Event)
	if err != nil {
		return nil, err
	}
	if err := s.Opener.Open(&event); err != nil {
		return nil, err
	}
	return s.Event(&event), nil
}

// ListEvents returns a page of archived events.
func (s *eventService) ListEvents(ctx context.Context, r *posternv1.ListEventsRequest) (*posternv1.ListEventsResponse, error) {
	descending := r.GetOrder() != posternv1.ListEventsRequest_ORDER_OLDEST_FIRST
	l, err := s.list(ctx, "events", r, boolByte(descending))
	if err != nil {
		return nil, err
	}
	l.query.Descending = descending
	out := &posternv1.ListEventsResponse{ArchivedUntil: l.until}
	if err = s.page(ctx, l, convert.PageSize(r.GetPageSize()), out); err == nil && len(out.GetEvents()) == 0 && r.GetPageToken() == "" {
		out.NothingFound = s.nothing(ctx, askedOf(&l.query, l.filter.GetInclude()))
	}
	return out, err
}

// page fills one page of events, and its token when there are more.
func (s *eventService) page(ctx context.Context, l *listing, size int, out *posternv1.ListEventsResponse) error {
	l.query.Limit = size + 1
	events, err := s.Reader.Events(ctx, l.query)
	if err != nil {
		return err
	}
	if err := s.opened(events); err != nil {
		return err
	}
	bytes := 0
	for i := range events {
		shown := s.Event(&events[i])
		bytes += proto.Size(shown)
		if i == size || i > 0 && bytes > maxPageBytes {
			out.NextPageToken = s.next(l, events[i-1].Sequence)
			return nil
		}
		out.Events = append(out.Events, shown)
	}
	return nil
}

// ListEventTypes returns the catalogue.
func (s *eventService) ListEventTypes(context.Context, *posternv1.ListEventTypesRequest) (*posternv1.ListEventTypesResponse, error) {
	return &posternv1.ListEventTypesResponse{EventTypes: convert.EventTypes(audit.Types())}, nil
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
