package savedfilter

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// MaxFilters is how many filters an organization may keep.
const MaxFilters = 200

const maxName = 128

// Filter is a saved filter.
type Filter struct {
	OrganizationUID string
	ID              string // of the organization's choice
	DisplayName     string
	Content         []byte // what the filter says
	Created         time.Time
	Updated         time.Time
	Creator         string
	Unreadable      bool   // it cannot be opened: DisplayName and Content are empty
	Version         string // as it was read; a change is compared with it
}

// Etag is a version for callers: it moves with every change and cannot come back, since sealing the same twice differs.
func (f *Filter) Etag() string {
	sum := sha256.Sum256([]byte(f.Version))
	return hex.EncodeToString(sum[:16])
}

func mismatch() error {
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the saved filter has changed since the version given; read it again")
}

func moved() error {
	return errs.New(errs.Conflict, "SAVED_FILTER_MOVED", "the saved filter has changed meanwhile; read it again")
}
