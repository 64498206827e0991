package export

import (
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// Format is what a file is, numbered as in postern.v1.Export.
type Format uint8

// The formats.
const (
	FormatUnspecified Format = iota
	FormatCSV
	FormatJSONL
	FormatParquet
)

// String is the format's name, which files end with.
func (f Format) String() string {
	switch f {
	case FormatCSV:
		return "csv"
	case FormatJSONL:
		return "jsonl"
	case FormatParquet:
		return "parquet"
	case FormatUnspecified:
	}
	return ""
}

// State is how an export stands, numbered as in postern.v1.Export.
type State uint8

// The states.
const (
	StateUnspecified State = iota
	StateQueued
	StateRunning
	StatePaused
	StateSucceeded
	StateFailed
	StateCancelled
	StateRemoved // it is on its way out with its file; nobody sees it any more
)

// Over reports whether nothing is made any more.
func (s State) Over() bool { return s >= StateSucceeded }

// Limits.
const (
	MaxJobs      = 200 // of one organization, those that are over included
	MaxUnmade    = 20  // of one organization that are not over
	MaxRunning   = 2   // of one organization at once, in all processes
	MaxAtOnce    = 4   // of one process at once
	LinkFor      = 24 * time.Hour
	maxReason    = 512
	maxQuestion  = 256 << 10
	leaseFor     = 30 * time.Second
	giveUpAfter  = 100 // pauses in a row, which are more than an hour and a half
	firstPause   = 2 * time.Second
	longestPause = time.Minute
)

// Why an export is paused or failed.
const (
	ReasonStorageFull        = "STORAGE_FULL"        // paused: no room for the file
	ReasonStorageUnavailable = "STORAGE_UNAVAILABLE" // paused: the files cannot be written
	ReasonArchiveUnavailable = "ARCHIVE_UNAVAILABLE" // paused: the record cannot be read
	ReasonOrganizationGone   = "ORGANIZATION_GONE"   // failed
	ReasonRegionMismatch     = "REGION_MISMATCH"     // failed
	ReasonCannotBeMade       = "CANNOT_BE_MADE"      // failed: what went wrong does not pass
)

// Job is what is kept of an export.
type Job struct {
	OrganizationUID string
	Organization    string // id
	ID              string // UUIDv7
	Format          Format
	State           State
	StateReason     string
	Question        []byte // what was asked for, sealed
	Creator         string
	Created         time.Time
	Finished        time.Time // zero until it is over
	Expires         time.Time // likewise
	Through         int64     // the record's last sequence number when it was asked for
	Progress
	SHA256         []byte
	ManifestSHA256 []byte
	Holder         string // who makes it
	Attempt        int    // how often somebody took it up
	Paused         int    // how often it was paused in a row
	Version        string // as it was read; a change is compared with it
}

// Progress is how far an export is.
type Progress struct {
	Sequence      int64 // gone through
	Rows, Bytes   int64
	First, Latest int64 // sequence numbers of the first and the last row
}

// Percent is how much of the record has been gone through.
func (j *Job) Percent() int {
	switch {
	case j.State == StateSucceeded || j.Through == 0 && j.State == StateRunning:
		return 100
	case j.Through == 0:
		return 0
	}
	return int(min(99, 100*float64(j.Sequence)/float64(j.Through)))
}

// FileName is what a browser keeps the file as.
func (j *Job) FileName() string {
	return j.Organization + "-" + j.Created.UTC().Format("20060102T150405Z") + "-" + j.ID[len(j.ID)-6:] + "." + j.Format.String()
}

// prefix begins the names of an export's files in storage.
func (j *Job) prefix() string { return j.OrganizationUID + "/" + j.ID }

// stored is the name of its file, which nobody else uses: whoever takes it up anew writes another one.
func (j *Job) stored() string {
	return j.prefix() + "-" + itoa(j.Attempt) + "." + j.Format.String()
}

// storedManifest is the same of its manifest.
func (j *Job) storedManifest() string { return j.prefix() + "-" + itoa(j.Attempt) + ".manifest.json" }

// NotFound is the error for an export that is not there.
func NotFound() error {
	return errs.New(errs.NotFound, "EXPORT_NOT_FOUND", "the organization has no such export, or its time is over")
}
