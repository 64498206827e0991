package rediserasures

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

func encode(e *erasure.Erasure) ([]byte, error) {
	m := &storev1.ErasureRecord{
		Organization: e.Organization, State: int32(e.State), Caller: e.Caller, Requested: stamp(e.Requested), Due: stamp(e.Due), Finished: stamp(e.Finished),
		Until: stamp(e.Until), Quiet: stamp(e.Quiet), Events: e.Found.Events, Sessions: e.Found.Sessions, Identities: e.Found.Identities,
		Authenticators: e.Found.Authenticators, Memories: e.Found.Memories,
	}
	if e.Account != (policy.AccountKey{}) {
		m.Account = e.Account[:]
	}
	for _, x := range e.Subjects {
		m.Subjects = append(m.Subjects, &storev1.Index{Purpose: int32(x.Purpose), Value: x.Value})
	}
	return redisx.Marshal(m)
}

func decode(p erasure.Place, text string) (*erasure.Erasure, error) {
	var m storev1.ErasureRecord
	if err := redisx.Unmarshal([]byte(text), &m); err != nil {
		return nil, err
	}
	e := &erasure.Erasure{
		ID: p.ID, OrganizationUID: p.OrganizationUID, Organization: m.GetOrganization(), State: erasure.State(m.GetState()), Caller: m.GetCaller(), //nolint:gosec // checked below
		Requested: moment(m.GetRequested()), Due: moment(m.GetDue()), Finished: moment(m.GetFinished()), Until: moment(m.GetUntil()), Quiet: moment(m.GetQuiet()),
		Found: erasure.Found{Events: m.GetEvents(), Sessions: m.GetSessions(), Identities: m.GetIdentities(), Authenticators: m.GetAuthenticators(),
			Memories: m.GetMemories()},
		Version: text,
	}
	for _, x := range m.GetSubjects() {
		e.Subjects = append(e.Subjects, audit.Index{Purpose: audit.Purpose(x.GetPurpose()), Value: x.GetValue()})
	}
	if m.GetState() < int32(erasure.StateRunning) || m.GetState() > int32(erasure.StateDone) || len(e.Subjects) == 0 {
		return nil, malformed()
	}
	switch len(m.GetAccount()) {
	case 0:
	case len(e.Account):
		e.Account = policy.AccountKey(m.GetAccount())
	default:
		return nil, malformed()
	}
	return e, nil
}

func malformed() error {
	return errs.New(errs.Internal, "RECORD_MALFORMED", "a stored erasure cannot be read")
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
