package server

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// flowService shows sign-ins as flows.
type flowService struct {
	posternv1.UnsafeFlowServiceServer
	query
}

// GetFlow returns one flow, live or archived.
func (s *flowService) GetFlow(ctx context.Context, r *posternv1.GetFlowRequest) (*posternv1.Flow, error) {
	ref, err := s.in.GetFlow(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, ref.Organization)
	if err != nil {
		return nil, err
	}
	flow, _, err := s.flow(ctx, uid, ref.IDOrCode)
	return flow, err
}

// flow looks in Redis, then in the archive, then in Redis once more: a flow moves from the one to the other in between, and
// what began after the first look is in neither by then. The stamp is zero for an archived flow.
func (q *query) flow(ctx context.Context, organizationUID, idOrCode string) (*posternv1.Flow, *authflow.Loaded, error) {
	flow, live, err := q.live(ctx, organizationUID, idOrCode)
	if errs.KindOf(err) != errs.NotFound {
		return flow, live, err
	}
	row, events, err := q.Reader.Flow(ctx, organizationUID, idOrCode)
	if err == nil {
		if err := q.opened(events); err != nil {
			return nil, nil, err
		}
		return q.ArchivedFlow(&row, events), nil, nil
	}
	if errs.KindOf(err) != errs.NotFound {
		return nil, nil, err //nolint:wrapcheck // an errs.Error of the archive
	}
	return q.live(ctx, organizationUID, idOrCode)
}

func (q *query) live(ctx context.Context, organizationUID, idOrCode string) (*posternv1.Flow, *authflow.Loaded, error) {
	view, err := q.access.live.Get(ctx, organizationUID, idOrCode)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // an errs.Error of authflow
	}
	flow, err := q.LiveFlow(view)
	return flow, view.Flow, err
}

// ListFlows returns a page of recorded flows, newest start first.
func (s *flowService) ListFlows(ctx context.Context, r *posternv1.ListFlowsRequest) (*posternv1.ListFlowsResponse, error) {
	organization, err := s.in.Parent(r)
	if err != nil {
		return nil, err
	}
	uid, err := s.access.open(ctx, organization)
	if err != nil {
		return nil, err
	}
	q, err := convert.Flows(r.GetFilter(), uid, s.Indexer)
	if err != nil {
		return nil, err
	}
	bound, err := binding(ctx, "flows", uid, r.GetFilter())
	if err != nil {
		return nil, err
	}
	if err := s.before(&q, r.GetPageToken(), bound); err != nil {
		return nil, err
	}
	until, err := s.archivedUntil(ctx, uid)
	if err != nil {
		return nil, err
	}
	out := &posternv1.ListFlowsResponse{ArchivedUntil: until}
	if err = s.page(ctx, q, convert.PageSize(r.GetPageSize()), bound, out); err == nil && len(out.GetFlows()) == 0 && r.GetPageToken() == "" {
		out.NothingFound = s.nothing(ctx, askedOfFlows(&q, r.GetFilter()))
	}
	return out, err
}

// page fills one page of flows, and its token when there are more.
func (s *flowService) page(ctx context.Context, q audit.FlowQuery, size int, bound [][]byte, out *posternv1.ListFlowsResponse) error {
	q.Limit = size + 1
	rows, err := s.Reader.Flows(ctx, q)
	if err != nil {
		return err
	}
	bytes := 0
	for i := range rows {
		shown, err := s.listed(ctx, &rows[i])
		if err != nil {
			return err
		}
		bytes += proto.Size(shown)
		if i == size || i > 0 && bytes > maxPageBytes {
			last := &rows[i-1]
			out.NextPageToken = s.tokens.Seal(token.Page, flowPosition(last.Started, last.ID), bound...)
			return nil
		}
		out.Flows = append(out.Flows, shown)
	}
	return nil
}

// listed is a flow of a list: without steps, with who was proven.
func (s *flowService) listed(ctx context.Context, row *audit.FlowRow) (*posternv1.Flow, error) {
	out := s.ArchivedFlow(row, nil)
	if row.BindEventID == "" {
		return out, nil
	}
	event, err := s.Reader.Event(ctx, row.OrganizationUID, row.BindEventID)
	if errs.KindOf(err) == errs.NotFound {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.Opener.Open(&event); err != nil {
		return nil, err
	}
	out.Personal = s.Proven(&event)
	return out, nil
}

// before sets the position a page token holds.
func (s *flowService) before(q *audit.FlowQuery, text string, bound [][]byte) error {
	if text == "" {
		return nil
	}
	position, err := s.tokens.Open("page_token", token.Page, text, bound...)
	if err != nil {
		return err
	}
	var ok bool
	if q.BeforeTime, q.BeforeID, ok = flowAt(position); !ok {
		return badToken("page_token")
	}
	return nil
}

// flowPosition and flowAt are the position of a token in order of starts.
func flowPosition(started time.Time, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(started.UnixNano())), id...)
}

func flowAt(position []byte) (time.Time, string, bool) {
	if len(position) <= 8 {
		return time.Time{}, "", false
	}
	nanos := int64(binary.BigEndian.Uint64(position)) //nolint:gosec // bits
	return time.Unix(0, nanos).UTC(), string(position[8:]), true
}
