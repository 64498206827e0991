package show

import (
	"strconv"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ExportHeader names the columns of ExportRow.
func ExportHeader() []string {
	return []string{"EXPORT", "FORMAT", "STATE", "DONE", "ROWS", "BYTES", "CREATED", "EXPIRES", "BY", "REASON"}
}

// ExportRow is an export in a list.
func ExportRow(e *posternv1.Export) []string {
	return []string{last(e.GetName()), Enum("FORMAT", e.GetFormat()), exportState(e), percent(e.GetProgressPercent()), strconv.FormatInt(e.GetRowCount(), 10),
		strconv.FormatInt(e.GetSizeBytes(), 10), Time(e.GetCreateTime()), Time(e.GetExpireTime()), e.GetCreator(), e.GetReason()}
}

func exportState(e *posternv1.Export) string {
	state := Enum("STATE", e.GetState())
	if e.GetStateReason() != "" {
		state += " " + e.GetStateReason()
	}
	return state
}

func percent(n int32) string { return strconv.Itoa(int(n)) + "%" }

// Export returns what there is to know of an export as rows of field and value. Fields that are not set are left out.
func Export(e *posternv1.Export) [][]string {
	r := &rows{}
	r.add("name", e.GetName())
	r.add("format", Enum("FORMAT", e.GetFormat()))
	r.add("state", exportState(e))
	r.add("done", percent(e.GetProgressPercent()))
	r.add("rows", strconv.FormatInt(e.GetRowCount(), 10))
	r.add("bytes", strconv.FormatInt(e.GetSizeBytes(), 10))
	r.add("through sequence", strconv.FormatInt(e.GetThroughSequence(), 10))
	if e.GetRowCount() > 0 {
		r.add("first sequence", strconv.FormatInt(e.GetFirstSequence(), 10))
		r.add("last sequence", strconv.FormatInt(e.GetLastSequence(), 10))
	}
	r.add("sha256", e.GetSha256())
	r.add("reason", e.GetReason())
	r.add("by", e.GetCreator())
	r.add("created", Time(e.GetCreateTime()))
	r.add("finished", Time(e.GetFinishTime()))
	r.add("expires", Time(e.GetExpireTime()))
	r.add("link", e.GetDownloadUri())
	r.add("manifest", e.GetManifestUri())
	r.add("links end", Time(e.GetLinkExpireTime()))
	return r.all
}
