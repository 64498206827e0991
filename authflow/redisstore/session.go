package redisstore

import (
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// afterSession is how long a session is known after it is over, so that late reports of its end still find it.
const afterSession = 24 * time.Hour

func encodeSession(organizationUID string, v *authflow.Session) ([]byte, error) {
	m := &storev1.SessionRecord{
		Flow: v.Flow.String(), SiteUid: v.SiteUID, Verdict: posternv1.Verdict(v.Verdict), Started: toTimestamp(v.Started),
		Expires: toTimestamp(v.Expires), Ended: toTimestamp(v.Ended), Recorded: v.Recorded, AgainstVerdict: v.AgainstVerdict,
		OrganizationUid: organizationUID,
	}
	if v.SubjectKey != (policy.AccountKey{}) {
		m.SubjectKey = v.SubjectKey[:]
	}
	return redisx.Marshal(m)
}

// decodeSession reads a session; one of another organization is none.
func decodeSession(organizationUID, stored string) (*authflow.Session, error) {
	var m storev1.SessionRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, nil //nolint:nilnil // not this organization's
	}
	v := &authflow.Session{
		SiteUID: m.GetSiteUid(), Verdict: audit.Verdict(m.GetVerdict()), Started: fromTimestamp(m.GetStarted()), //nolint:gosec // an enum
		Expires: fromTimestamp(m.GetExpires()), Ended: fromTimestamp(m.GetEnded()), Recorded: m.GetRecorded(),
		AgainstVerdict: m.GetAgainstVerdict(),
	}
	if len(m.GetSubjectKey()) == len(v.SubjectKey) {
		v.SubjectKey = policy.AccountKey(m.GetSubjectKey())
	}
	if m.GetFlow() == "" {
		return v, nil
	}
	id, err := authflow.ParseFlowID(m.GetFlow())
	if err != nil {
		return nil, malformed(err, "a session names no flow")
	}
	v.Flow = id
	return v, nil
}

// sessionUntil is when Redis may forget a session.
func sessionUntil(v *authflow.Session) time.Time {
	switch {
	case !v.Ended.IsZero():
		return v.Ended.Add(afterSession)
	case !v.Expires.IsZero():
		return v.Expires.Add(afterSession)
	default:
		return v.Started.Add(authflow.DefaultSession + afterSession)
	}
}
