package server

import (
	"context"
	"encoding/binary"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/token"
)

// query is what the services that read have in common.
type query struct {
	*Query
	convert.Forms
	access   *access
	in       *convert.Converter
	tokens   *token.Tokens
	log      *slog.Logger
	now      func() time.Time
	stopping chan struct{}
}

// maxPageBytes ends a page early: a client takes 4 MiB unless told otherwise.
const maxPageBytes = 3 << 20

// binding is what a token is good for: one kind of list of one organization, with this filter and order, for this caller.
func binding(ctx context.Context, list, organizationUID string, filter proto.Message, more ...byte) ([][]byte, error) {
	encoded, err := encode(filter)
	if err != nil {
		return nil, err
	}
	return [][]byte{[]byte(list), []byte(caller.From(ctx).Principal), []byte(organizationUID), encoded, more}, nil
}

// encode writes a filter the same way each time.
func encode(filter proto.Message) ([]byte, error) {
	if !filter.ProtoReflect().IsValid() {
		return nil, nil
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "REQUEST_MALFORMED", "a text in the filter is not UTF-8")
	}
	return b, nil
}

// archivedUntil says how far the archive is: as the outbox knows it, else as the archive itself shows.
func (q *query) archivedUntil(ctx context.Context, organizationUID string) (*timestamppb.Timestamp, error) {
	t, err := q.Archived.ArchivedUntil(ctx, organizationUID)
	if err != nil {
		if _, t, err = q.Reader.Position(ctx, organizationUID); err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the archive
		}
	}
	return convert.Timestamp(t), nil
}

// opened opens the personal parts of events read from the archive.
func (q *query) opened(events []audit.Event) error {
	for i := range events {
		if err := q.Opener.Open(&events[i]); err != nil {
			return err //nolint:wrapcheck // an errs.Error of the codec
		}
	}
	return nil
}

// sequencePosition and sequenceAt are the position of a token in sequence order.
func sequencePosition(sequence int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(sequence)) //nolint:gosec // sequences count from 1
}

func sequenceAt(position []byte) (int64, bool) {
	if len(position) != 8 {
		return 0, false
	}
	n := binary.BigEndian.Uint64(position)
	return int64(n), n < 1<<63 //nolint:gosec // checked
}
