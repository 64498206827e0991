package redisx

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/errs"
)

// StateFormat is the first byte of every record this process writes, and the newest it reads. Processes with N and N+1 may
// run side by side, so a newer record is refused, never guessed at.
const StateFormat = 1

// Marshal returns the format byte and the message.
func Marshal(m proto.Message) ([]byte, error) {
	o := proto.MarshalOptions{Deterministic: true}
	b := make([]byte, 1, 1+o.Size(m))
	b[0] = StateFormat
	o.UseCachedSize = true
	b, err := o.MarshalAppend(b, m)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field is not valid UTF-8")
	}
	return b, nil
}

// Unmarshal reads what Marshal wrote.
func Unmarshal(b []byte, m proto.Message) error {
	switch {
	case len(b) == 0 || b[0] == 0:
		return errs.New(errs.Internal, "RECORD_MALFORMED", "a stored record has no format byte")
	case b[0] > StateFormat:
		return errs.Newf(errs.FailedPrecondition, "RECORD_FORMAT_NEWER",
			"a stored record has format %d, this process reads up to %d: a newer version wrote it", b[0], StateFormat)
	}
	if err := proto.Unmarshal(b[1:], m); err != nil {
		return errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "a stored record cannot be read")
	}
	return nil
}
