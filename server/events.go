package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
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
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	q, err := convert.Events(r.GetFilter(), uid, s.Indexer)
	if err != nil {
		return nil, err
	}
	q.Descending = r.GetOrder() != posternv1.ListEventsRequest_ORDER_OLDEST_FIRST
	bound, err := binding(ctx, "events", uid, r.GetFilter(), boolByte(q.Descending))
	if err != nil {
		return nil, err
	}
	if q.After, err = s.after(r.GetPageToken(), bound); err != nil {
		return nil, err
	}
	until, err := s.archivedUntil(ctx, uid)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListEventsResponse{ArchivedUntil: until}
	return out, s.page(ctx, q, convert.PageSize(r.GetPageSize()), bound, out)
}

// page fills one page of events, and its token when there are more.
func (s *eventService) page(ctx context.Context, q audit.Query, size int, bound [][]byte, out *posternv1.ListEventsResponse) error {
	q.Limit = size + 1
	events, err := s.Reader.Events(ctx, q)
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
			out.NextPageToken = s.tokens.Seal(token.Page, sequencePosition(events[i-1].Sequence), bound...)
			return nil
		}
		out.Events = append(out.Events, shown)
	}
	return nil
}

// after returns the position a page token holds, 0 for none.
func (s *eventService) after(text string, bound [][]byte) (int64, error) {
	if text == "" {
		return 0, nil
	}
	position, err := s.tokens.Open("page_token", token.Page, text, bound...)
	if err != nil {
		return 0, err
	}
	sequence, ok := sequenceAt(position)
	if !ok {
		return 0, badToken("page_token")
	}
	return sequence, nil
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
