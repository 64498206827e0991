package redisstore

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// appendPending writes a PendingRecord. Its seed is not in it: see person.
func appendPending(b []byte, n protowire.Number, p *authflow.Pending) ([]byte, error) {
	for _, s := range [...]string{p.Connection, p.ConnectionUID, p.Issuer, p.CallbackURL} {
		if !utf8.ValidString(s) {
			return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of a sign-in elsewhere is not valid UTF-8")
		}
	}
	var room [512]byte
	v := appendText(room[:0], 1, p.Connection)
	v = appendText(v, 2, p.ConnectionUID)
	v = appendNumber(v, 3, int64(p.Protocol))
	v = appendText(v, 4, p.Issuer)
	v = appendText(v, 5, p.CallbackURL)
	if p.MaxAge != 0 {
		var more [32]byte
		d := appendNumber(more[:0], 1, int64(p.MaxAge/time.Second))
		v = appendBytes(v, 6, appendNumber(d, 2, int64(p.MaxAge%time.Second)))
	}
	v = appendTime(v, 7, p.Began)
	if p.Used != [32]byte{} {
		v = appendBytes(v, 8, p.Used[:])
	}
	v = appendFlag(v, 9, p.Links)
	return appendBytes(b, n, v), nil
}

// pendingFromProto is the reverse of appendPending.
func pendingFromProto(m *storev1.PendingRecord) (*authflow.Pending, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // none was begun
	}
	p := &authflow.Pending{
		Connection: m.GetConnection(), ConnectionUID: m.GetConnectionUid(), Protocol: policy.Protocol(m.GetProtocol()), //nolint:gosec // an enum
		Issuer: m.GetIssuer(), CallbackURL: m.GetCallbackUrl(), Began: fromTimestamp(m.GetBegan()), Links: m.GetLinks(),
	}
	if m.GetMaxAge() != nil {
		if err := m.GetMaxAge().CheckValid(); err != nil {
			return nil, malformed(err, "the age asked for is out of range")
		}
		p.MaxAge = m.GetMaxAge().AsDuration()
	}
	if used := m.GetUsed(); len(used) > 0 {
		if len(used) != len(p.Used) { // taken for unused, it would count again
			return nil, malformed(nil, "the hash of a used state has another length")
		}
		p.Used = [32]byte(used)
	}
	return p, nil
}
