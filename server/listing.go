package server

import (
	"context"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/token"
)

// listing is one page of a list of events in the making.
type listing struct {
	query  audit.Query
	filter *posternv1.EventFilter // as it is with a saved one
	bound  [][]byte
	place  place
	until  *timestamppb.Timestamp
}

// list makes the filter and the page token of a request for a page ready.
func (s *eventService) list(ctx context.Context, kind string, r interface {
	proto.Message
	GetParent() string
	GetFilter() *posternv1.EventFilter
	GetPageToken() string
}, more ...byte) (*listing, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	whole, err := s.whole(ctx, organization, uid, r.GetFilter())
	if err != nil {
		return nil, err
	}
	l := &listing{filter: whole}
	if l.bound, err = binding(ctx, kind, uid, whole, more...); err != nil {
		return nil, err
	}
	if l.place, err = s.place(r.GetPageToken(), whole, l.bound); err != nil {
		return nil, err
	}
	if l.query, err = s.choose(whole, uid, l.place.begun); err != nil {
		return nil, err
	}
	l.query.After = l.place.sequence
	l.until, err = s.archivedUntil(ctx, uid)
	return l, err
}

// place returns where a page token leads, the beginning when there is none.
func (s *eventService) place(text string, f *posternv1.EventFilter, bound [][]byte) (place, error) {
	if text == "" {
		return s.begin(f), nil
	}
	position, err := s.tokens.Open("page_token", token.Page, text, bound...)
	if err != nil {
		return place{}, err
	}
	p, ok := placeAt(position)
	if !ok || p.begun.IsZero() != (f.GetLast() == nil) {
		return place{}, badToken("page_token")
	}
	return p, nil
}

// next is the token of the page after a sequence number.
func (s *eventService) next(l *listing, sequence int64) string {
	l.place.sequence = sequence
	return s.tokens.Seal(token.Page, l.place.position(), l.bound...)
}
