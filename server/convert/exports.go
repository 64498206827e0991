package convert

import (
	"encoding/hex"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// exports are the bounds of what is about exports.
func exports() map[string]Bound {
	return map[string]Bound{
		"CreateExportRequest.parent":     name(),
		"CreateExportRequest.format":     enum(),
		"CreateExportRequest.filter":     message(),
		"CreateExportRequest.request_id": requestID(),
		"CreateExportRequest.reason":     lines(maxReason),

		"GetExportRequest.name": name(),

		"ListExportsRequest.parent":     name(),
		"ListExportsRequest.page_size":  count(),
		"ListExportsRequest.page_token": opaque(),

		"CancelExportRequest.name":       name(),
		"CancelExportRequest.request_id": requestID(),
		"CancelExportRequest.reason":     lines(maxReason),

		"DeleteExportRequest.name":       name(),
		"DeleteExportRequest.request_id": requestID(),
		"DeleteExportRequest.reason":     lines(maxReason),
	}
}

// CreateExport converts a request for an export. The organization's uid and the filter are for the caller to add: see ExportFilter.
func (c *Converter) CreateExport(r *posternv1.CreateExportRequest) (export.NewJob, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return export.NewJob{}, err
	}
	organization, err := names.Organization("parent", r.GetParent())
	switch {
	case err != nil:
		return export.NewJob{}, err
	case r.GetFormat() == posternv1.Export_FORMAT_UNSPECIFIED:
		return export.NewJob{}, required("format")
	}
	return export.NewJob{
		Organization: organization, Format: export.Format(r.GetFormat()), RequestID: r.GetRequestId(), Reason: r.GetReason(), //nolint:gosec // checked
	}, nil
}

// ExportFilter writes a filter as an export keeps it: the same way each time.
func ExportFilter(f *posternv1.EventFilter) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "REQUEST_MALFORMED", "a text in the filter is not UTF-8")
	}
	return b, nil
}

// ReadExportFilter is the reverse of ExportFilter.
func ReadExportFilter(b []byte) (*posternv1.EventFilter, error) {
	var f posternv1.EventFilter
	if err := proto.Unmarshal(b, &f); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "the filter of an export cannot be read")
	}
	return &f, nil
}

// GetExport converts a request for one export.
func (c *Converter) GetExport(r *posternv1.GetExportRequest) (organization, id string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.Export("name", r.GetName())
}

// EndExport converts a request to call off or delete an export. The organization's uid is for the caller to add.
func (c *Converter) EndExport(r interface {
	request
	GetName() string
	GetRequestId() string
	GetReason() string
}) (organization string, in export.Ending, err error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return "", export.Ending{}, err
	}
	organization, id, err := names.Export("name", r.GetName())
	return organization, export.Ending{ID: id, RequestID: r.GetRequestId(), Reason: r.GetReason()}, err
}

// Export is an export as answers show it, without links.
func Export(organization string, j *export.Job, q export.Question) (*posternv1.Export, error) {
	filter, err := ReadExportFilter(q.Filter)
	return &posternv1.Export{
		Name: names.FormatExport(organization, j.ID), Format: posternv1.Export_Format(j.Format), Filter: filter, State: posternv1.Export_State(j.State),
		StateReason: j.StateReason, Reason: q.Reason, Creator: j.Creator, CreateTime: Timestamp(j.Created), FinishTime: Timestamp(j.Finished),
		ExpireTime: Timestamp(j.Expires), ThroughSequence: j.Through, Sequence: j.Sequence, RowCount: j.Rows, SizeBytes: j.Bytes, FirstSequence: j.First,
		LastSequence: j.Latest, Sha256: hex.EncodeToString(j.SHA256), ProgressPercent: int32(j.Percent()), //nolint:gosec // 0 to 100
	}, err
}
