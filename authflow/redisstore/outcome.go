package redisstore

import (
	"crypto/subtle"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// maxOutcome bounds a stored outcome. A decision with very long lists is cut before it would grow past it: what a repeated
// call then lacks can be read from the flow.
const maxOutcome = 1 << 10

func encodeOutcome(request authflow.Digest, o *authflow.Outcome) ([]byte, error) {
	d := o.Decision
	d.Conditions, d.Message, d.HelpURL = nil, "", ""
	m := &storev1.OutcomeRecord{
		Request: request[:], Step: int32(o.Step), Phase: posternv1.Phase(o.Phase), Verdict: posternv1.Verdict(o.Verdict), //nolint:gosec // at most 64
		Reason: o.Reason, Ending: posternv1.Ending(o.Ending), Decision: codec.DecisionToProto(&d), Flow: o.Flow.String(),
		SupportCode: o.SupportCode, Deadline: toTimestamp(o.Deadline), Recorded: o.Recorded, Session: o.Session,
		AgainstVerdict: o.AgainstVerdict, Next: nextToProto(o.Next),
	}
	if o.Counts != nil {
		m.Counts = 2
		if *o.Counts {
			m.Counts = 1
		}
	}
	for _, cut := range []func(){
		func() { m.Decision.AllowedMethods = nil },
		func() { m.Next = nil },
		func() { m.Decision.Demands = nil },
	} {
		if proto.Size(m) < maxOutcome {
			break
		}
		cut()
	}
	return redisx.Marshal(m)
}

func nextToProto(next []policy.Next) []*posternv1.NextStep {
	if len(next) == 0 {
		return nil
	}
	all := make([]posternv1.NextStep, len(next))
	out := make([]*posternv1.NextStep, len(next))
	for i, n := range next {
		out[i] = &all[i]
		all[i].Method, all[i].Connection, all[i].Factor = n.Method, n.Connection, n.Factor
		all[i].Enrolled, all[i].StepType = n.Enrolled, string(n.StepType)
	}
	return out
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
