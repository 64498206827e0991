package server

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// CountEvents counts what a filter chooses.
func (s *eventService) CountEvents(ctx context.Context, r *posternv1.CountEventsRequest) (*posternv1.CountEventsResponse, error) {
	q, until, err := s.counted(ctx, r)
	if err != nil {
		return nil, err
	}
	fields, limit, err := convert.CountFields(r)
	if err != nil {
		return nil, err
	}
	facets, err := s.Counter.Facets(ctx, q, fields, limit)
	if err != nil {
		return nil, err
	}
	out := &posternv1.CountEventsResponse{Total: facets.Total, Complete: facets.Complete, ArchivedUntil: until}
	for i := range facets.Fields {
		out.Fields = append(out.Fields, convert.FieldCounts(&facets.Fields[i]))
	}
	out.CountedFromTime, err = s.countedFrom(ctx, q.OrganizationUID, facets.Counted)
	return out, err
}

// GetEventHistogram counts what a filter chooses by stretches of time.
func (s *eventService) GetEventHistogram(ctx context.Context, r *posternv1.GetEventHistogramRequest) (*posternv1.EventHistogram, error) {
	q, until, err := s.counted(ctx, r)
	if err != nil {
		return nil, err
	}
	bounds, err := convert.HistogramBounds(r, q.Start, q.End, s.now())
	if err != nil {
		return nil, err
	}
	h, err := s.Counter.Histogram(ctx, q, bounds)
	if err != nil {
		return nil, err
	}
	out := &posternv1.EventHistogram{Complete: h.Complete, ArchivedUntil: until}
	for i, n := range h.Counts {
		out.Total += n
		out.Intervals = append(out.Intervals, &posternv1.EventInterval{
			StartTime: convert.Timestamp(bounds[i]), EndTime: convert.Timestamp(bounds[i+1]), Count: n,
		})
	}
	out.CountedFromTime, err = s.countedFrom(ctx, q.OrganizationUID, h.Counted)
	return out, err
}

// counted makes the filter of a request for counts ready. What is said of the archive was true before anything was counted.
func (s *eventService) counted(ctx context.Context, r interface {
	proto.Message
	GetParent() string
	GetFilter() *posternv1.EventFilter
}) (audit.Query, *timestamppb.Timestamp, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return audit.Query{}, nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return audit.Query{}, nil, err
	}
	whole, err := s.whole(ctx, organization, uid, r.GetFilter())
	if err != nil {
		return audit.Query{}, nil, err
	}
	q, err := s.choose(whole, uid, time.Time{})
	if err != nil {
		return audit.Query{}, nil, err
	}
	until, err := s.archivedUntil(ctx, uid)
	return q, until, err
}

// countedFrom says from when on events were counted, nil when all were.
func (s *eventService) countedFrom(ctx context.Context, organizationUID string, c audit.Counted) (*timestamppb.Timestamp, error) {
	if c.Complete {
		return nil, nil //nolint:nilnil // there is no such moment
	}
	events, err := s.Reader.Events(ctx, audit.Query{OrganizationUID: organizationUID, After: c.From - 1, Limit: 1})
	if err != nil || len(events) == 0 {
		return nil, err //nolint:wrapcheck // an errs.Error of the archive
	}
	return convert.Timestamp(events[0].RecordedTime), nil
}

// GroupEvents returns a page of what a filter chooses, folded.
func (s *eventService) GroupEvents(ctx context.Context, r *posternv1.GroupEventsRequest) (*posternv1.GroupEventsResponse, error) {
	by, err := s.groupBy(r)
	if err != nil {
		return nil, err
	}
	l, err := s.list(ctx, "groups", r, byte(by))
	if err != nil {
		return nil, err
	}
	out := &posternv1.GroupEventsResponse{ArchivedUntil: l.until}
	for l.query.Limit = convert.PageSize(r.GetPageSize()); ; {
		page, err := s.Counter.Groups(ctx, l.query, by)
		if err != nil {
			return nil, err
		}
		fit, err := s.groups(page.Groups, out)
		switch {
		case err != nil:
			return nil, err
		case fit < len(page.Groups): // what does not fit belongs to a page of its own, with what is older
			l.query.Limit, out.Groups = fit, nil
			continue
		case page.Next != 0:
			out.NextPageToken = s.next(l, page.Next)
		}
		return out, nil
	}
}

func (s *eventService) groupBy(r *posternv1.GroupEventsRequest) (audit.GroupBy, error) {
	if err := s.in.Check(r); err != nil {
		return 0, err //nolint:wrapcheck // an errs.Error
	}
	return convert.GroupBy(r.GetGroupBy()) //nolint:wrapcheck // an errs.Error
}

// groups shows groups until the answer is full, and returns how many fit: at least one.
func (s *eventService) groups(list []audit.Group, out *posternv1.GroupEventsResponse) (int, error) {
	bytes := 0
	for i := range list {
		g := &list[i]
		if err := s.Opener.Open(&g.Newest); err != nil {
			return 0, err //nolint:wrapcheck // an errs.Error of the codec
		}
		shown := &posternv1.EventGroup{
			Flow: g.Flow, Reason: g.Reason, Count: g.Count, FirstTime: convert.Timestamp(g.First), LastTime: convert.Timestamp(g.Last), Newest: s.Event(&g.Newest),
		}
		if bytes += proto.Size(shown); i > 0 && bytes > maxPageBytes {
			return i, nil
		}
		out.Groups = append(out.Groups, shown)
	}
	return len(list), nil
}
