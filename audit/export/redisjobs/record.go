package redisjobs

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

func encode(j *export.Job) ([]byte, error) {
	return redisx.Marshal(&storev1.ExportRecord{
		Organization: j.Organization, Format: int32(j.Format), State: int32(j.State), StateReason: j.StateReason, Question: j.Question, Creator: j.Creator,
		Created: stamp(j.Created), Finished: stamp(j.Finished), Expires: stamp(j.Expires), Through: j.Through, Sequence: j.Sequence, Rows: j.Rows,
		Bytes: j.Bytes, FirstSequence: j.First, LastSequence: j.Latest, Sha256: j.SHA256, ManifestSha256: j.ManifestSHA256, Holder: j.Holder,
		Attempt: int32(j.Attempt), Paused: int32(j.Paused), //nolint:gosec // small numbers
	})
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}

func decode(organizationUID, id, text string) (*export.Job, error) {
	var m storev1.ExportRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	if m.GetFormat() < 1 || m.GetFormat() > int32(export.FormatParquet) || m.GetState() < 1 || m.GetState() > int32(export.StateRemoved) || m.GetCreated() == nil || len(id) < 6 {
		return nil, errs.New(errs.Internal, "RECORD_MALFORMED", "what is kept of an export cannot be read")
	}
	return &export.Job{
		OrganizationUID: organizationUID, Organization: m.GetOrganization(), ID: id, Format: export.Format(m.GetFormat()), State: export.State(m.GetState()), //nolint:gosec // checked
		StateReason: m.GetStateReason(), Question: m.GetQuestion(), Creator: m.GetCreator(), Created: moment(m.GetCreated()), Finished: moment(m.GetFinished()),
		Expires: moment(m.GetExpires()), Through: m.GetThrough(),
		Progress: export.Progress{Sequence: m.GetSequence(), Rows: m.GetRows(), Bytes: m.GetBytes(), First: m.GetFirstSequence(), Latest: m.GetLastSequence()},
		SHA256:   m.GetSha256(), ManifestSHA256: m.GetManifestSha256(), Holder: m.GetHolder(), Attempt: int(m.GetAttempt()), Paused: int(m.GetPaused()), Version: text,
	}, nil
}
