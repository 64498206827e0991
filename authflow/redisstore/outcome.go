package redisstore

import (
	"crypto/subtle"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// maxOutcome bounds a stored outcome. A decision with very long lists is cut before it would grow past it: what a repeated
// call then lacks can be read from the flow.
const maxOutcome = 1 << 10

func encodeOutcome(buf []byte, request authflow.Digest, o *authflow.Outcome) ([]byte, error) {
	d := o.Decision
	d.Conditions, d.Message, d.HelpURL = nil, "", ""
	next := o.Next
	for _, cut := range []func(){
		func() { d.AllowedMethods = nil },
		func() { next = nil },
		func() { d.Demands = nil },
		func() {},
	} {
		b, err := appendOutcome(buf[:0], request, o, &d, next)
		if err != nil || len(b) <= maxOutcome {
			return b, err
		}
		cut()
	}
	return nil, errs.New(errs.Internal, "OUTCOME_TOO_LARGE", "an answer takes more than it may")
}

func appendOutcome(b []byte, request authflow.Digest, o *authflow.Outcome, d *audit.Decision, next []policy.Next) ([]byte, error) {
	if !utf8.ValidString(o.Reason) || !utf8.ValidString(o.SupportCode) || !utf8.ValidString(o.Session) {
		return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of the answer is not valid UTF-8")
	}
	b = append(b, redisx.StateFormat)
	b = appendBytes(b, 1, request[:])
	b = appendNumber(b, 2, int64(o.Step))
	b = appendNumber(b, 3, int64(o.Phase))
	b = appendNumber(b, 4, int64(o.Verdict))
	b = appendText(b, 5, o.Reason)
	b = appendNumber(b, 6, int64(o.Ending))
	if o.Counts != nil && *o.Counts {
		b = appendNumber(b, 7, 1)
	} else if o.Counts != nil {
		b = appendNumber(b, 7, 2)
	}
	b, err := codec.AppendDecision(b, 8, d)
	if err != nil {
		return nil, err
	}
	for i := range next {
		if b, err = appendNext(b, 9, &next[i]); err != nil {
			return nil, err
		}
	}
	b = appendText(b, 10, o.Flow.String())
	b = appendText(b, 11, o.SupportCode)
	b = appendTime(b, 12, o.Deadline)
	b = appendFlag(b, 13, o.Recorded)
	b = appendText(b, 14, o.Session)
	b = appendFlag(b, 15, o.AgainstVerdict)
	if len(o.Sealed) > 0 {
		b = appendBytes(b, 16, o.Sealed)
	}
	return b, nil
}

// appendNext writes a postern.v1.NextStep.
func appendNext(b []byte, field protowire.Number, n *policy.Next) ([]byte, error) {
	if !utf8.ValidString(n.Method) || !utf8.ValidString(n.Connection) || !utf8.ValidString(n.Factor) {
		return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of the answer is not valid UTF-8")
	}
	var room [256]byte
	v := appendText(room[:0], 1, n.Method)
	v = appendText(v, 2, n.Connection)
	v = appendText(v, 3, n.Factor)
	if n.Enrolled != nil {
		v = protowire.AppendVarint(protowire.AppendTag(v, 4, protowire.VarintType), protowire.EncodeBool(*n.Enrolled))
	}
	return appendBytes(b, field, appendText(v, 5, string(n.StepType))), nil
}

// decodeOutcome returns the first answer if the request is the same.
func decodeOutcome(stored string, request authflow.Digest) (*authflow.Outcome, error) {
	var m storev1.OutcomeRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(m.GetRequest(), request[:]) != 1 {
		return nil, errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for another request")
	}
	o := &authflow.Outcome{
		SupportCode: m.GetSupportCode(), Step: int(m.GetStep()), Phase: authflow.Phase(m.GetPhase()), //nolint:gosec // enums, here and below
		Verdict: audit.Verdict(m.GetVerdict()), Reason: m.GetReason(), Ending: audit.Ending(m.GetEnding()), //nolint:gosec // as above
		Deadline: fromTimestamp(m.GetDeadline()), Recorded: m.GetRecorded(), Session: m.GetSession(), AgainstVerdict: m.GetAgainstVerdict(),
		Sealed: m.GetSealed(),
	}
	if m.GetFlow() != "" {
		id, err := authflow.ParseFlowID(m.GetFlow())
		if err != nil {
			return nil, malformed(err, "an outcome names no flow")
		}
		o.Flow = id
	}
	if m.GetCounts() != 0 {
		counts := m.GetCounts() == 1
		o.Counts = &counts
	}
	d, err := codec.DecisionFromProto(m.GetDecision())
	if err != nil {
		return nil, err
	}
	if d != nil {
		o.Decision = *d
	}
	for _, n := range m.GetNext() {
		o.Next = append(o.Next, policy.Next{Method: n.GetMethod(), Connection: n.GetConnection(), Factor: n.GetFactor(),
			Enrolled: n.Enrolled, StepType: audit.Type(n.GetStepType())})
	}
	return o, nil
}
