package export

import (
	"encoding/binary"

	"github.com/postern-audit/postern/internal/errs"
)

// sealQuestion writes a question as it is sealed.
func sealQuestion(q Question) []byte { return fields(string(q.Filter), q.Reason) }

// openQuestion is the reverse of sealQuestion.
func openQuestion(b []byte) (Question, error) {
	filter, b, ok := field(b)
	reason, rest, okReason := field(b)
	if !ok || !okReason || len(rest) > 0 {
		return Question{}, malformed()
	}
	return Question{Filter: filter, Reason: string(reason)}, nil
}

// field reads what fields wrote.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(len(b)-4) < uint64(n) { //nolint:gosec // not negative
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

func malformed() error {
	return errs.New(errs.Internal, "RECORD_MALFORMED", "what is kept of an export cannot be read")
}
