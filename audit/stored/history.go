package stored

import (
	"crypto/sha256"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

const longestKey = 256

// Key is how the key of a domain or claim stands in the history: as it is, or by its hash where an index could not hold it. It is longer
// than a key that stands there itself then, so that the two never meet.
func Key(k audit.DirectoryKey) []byte {
	if len(k) <= longestKey {
		return []byte(k)
	}
	sum := sha256.Sum256([]byte(k))
	return append(make([]byte, longestKey+1-len(sum)), sum[:]...)
}

// Run is a run of sequence numbers, After exclusive.
type Run struct{ After, UpTo int64 }

// Runs returns the commits that made a directory what it was after the commit upTo, the newest first: it is one run unless the store was
// set back, which leaves out what it lost. setBack finds the newest commit up to a sequence number that says the store was set back,
// and to which revision; before finds the commit that had the highest revision up to that one, of those before a sequence number.
func Runs(upTo int64, setBack func(upTo int64) (sequence, backTo int64, found bool, err error),
	before func(revision, sequence int64) (upTo int64, found bool, err error)) (out []Run, err error) {
	for {
		sequence, backTo, found, err := setBack(upTo)
		if err != nil {
			return nil, err
		}
		if !found {
			return append(out, Run{0, upTo}), nil
		}
		out = append(out, Run{sequence - 1, upTo}) // with what the commit itself brought
		if upTo, found, err = before(backTo, sequence); err != nil || !found {
			return out, err
		}
	}
}

// Version reads one row of a record's versions with scan, which fills sequence, revision, recorded time, salt, sealed part, digest, body
// and record. An event that cannot be read leaves what the columns say.
func Version(organizationUID string, scan func(into ...any) error) (audit.OrganizationVersion, error) {
	var (
		v                        audit.OrganizationVersion
		recorded                 int64
		salt, data, digest, body []byte
	)
	if err := scan(&v.Sequence, &v.Revision, &recorded, &salt, &data, &digest, &body, &v.Record); err != nil {
		return v, err
	}
	e, err := codec.New(nil).Decode(body) // decoding opens nothing, so it needs no sealer
	if err != nil {
		e = audit.Event{OrganizationUID: organizationUID, Revision: v.Revision, PersonalState: codec.StateUnreadable}
	}
	v.RecordedTime = Time(recorded)
	e.Sequence, e.RecordedTime = v.Sequence, v.RecordedTime
	if digest != nil {
		e.Sealed = &audit.Sealed{Salt: salt, Data: data, Digest: digest}
	}
	v.Event = e
	return v, nil
}
