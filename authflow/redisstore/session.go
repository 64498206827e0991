package redisstore

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// afterSession is how long a session is known after it is over, so that late reports of its end still find it.
const afterSession = 24 * time.Hour

// fieldShown is the number of SessionRecord.shown, whose elements are appended to the rest.
const fieldShown = 21

func (s *Store) encodeSession(organizationUID string, w *authflow.SessionWrite) ([]byte, error) {
	if w.IsNew != (w.From == "") {
		return nil, errs.New(errs.Internal, "SESSION_FROM", "what is replaced must be told, and nothing else")
	}
	v := &w.Session
	m := &storev1.SessionRecord{
		Flow: v.Flow.String(), SiteUid: v.SiteUID, Verdict: posternv1.Verdict(v.Verdict), Started: toTimestamp(v.Started),
		Expires: toTimestamp(v.Expires), Ended: toTimestamp(v.Ended), Recorded: v.Recorded, AgainstVerdict: v.AgainstVerdict,
		OrganizationUid: organizationUID, Kind: v.Kind, EndCause: v.EndCause, Class: posternv1.Class(v.Subject.Class),
		Authenticated: toTimestamp(v.Authenticated), LastVerdict: posternv1.Verdict(v.LastVerdict), LastUse: toTimestamp(v.LastUse),
		SubjectKind: posternv1.SubjectKind(v.Subject.Kind), EmailVerified: v.Subject.EmailVerified,
	}
	if v.SubjectKey != (policy.AccountKey{}) {
		m.SubjectKey = v.SubjectKey[:]
	}
	if v.LastIP != [16]byte{} {
		m.LastIp = v.LastIP[:]
	}
	b, err := redisx.Marshal(m)
	if err != nil {
		return nil, err
	}
	if v.Subject.AccountID != "" || !v.Subject.Email.IsZero() {
		p := audit.Personal{AccountID: v.Subject.AccountID, Email: v.Subject.Email.String()}
		if b, err = s.appendSealed(b, 13, organizationUID, hex.EncodeToString(w.Handle[:]), &p); err != nil {
			return nil, err
		}
	}
	return s.appendProofs(b, fieldShown, organizationUID, v.Shown)
}

// decodeSession reads a session; one of another organization is none.
func (s *Store) decodeSession(ctx context.Context, organizationUID string, handle [32]byte, stored string) (*authflow.Session, error) {
	var m storev1.SessionRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, nil //nolint:nilnil // not this organization's
	}
	v := &authflow.Session{
		SiteUID: m.GetSiteUid(), Verdict: audit.Verdict(m.GetVerdict()), Started: fromTimestamp(m.GetStarted()), //nolint:gosec // enums, here and below
		Expires: fromTimestamp(m.GetExpires()), Ended: fromTimestamp(m.GetEnded()), Recorded: m.GetRecorded(),
		AgainstVerdict: m.GetAgainstVerdict(), Kind: m.GetKind(), EndCause: m.GetEndCause(), Authenticated: fromTimestamp(m.GetAuthenticated()),
		LastVerdict: audit.Verdict(m.GetLastVerdict()), LastUse: fromTimestamp(m.GetLastUse()), Stored: stored, //nolint:gosec // as above
		Subject: authflow.SessionSubject{EmailVerified: m.GetEmailVerified(), Kind: audit.SubjectKind(m.GetSubjectKind()), //nolint:gosec // as above
			Class: audit.Class(m.GetClass())}, //nolint:gosec // as above
	}
	if len(m.GetSubjectKey()) == len(v.SubjectKey) {
		v.SubjectKey = policy.AccountKey(m.GetSubjectKey())
	}
	if len(m.GetLastIp()) == len(v.LastIP) {
		v.LastIP = [16]byte(m.GetLastIp())
	}
	var err error
	if v.Shown, err = s.proofsOf(ctx, organizationUID, m.GetShown()); err != nil {
		return nil, err
	}
	if m.GetPersonal() != nil {
		p, err := s.openSealed(ctx, organizationUID, hex.EncodeToString(handle[:]), m.GetPersonal())
		if err != nil {
			return nil, err
		}
		v.Subject.AccountID = p.AccountID
		if v.Subject.Email, err = addressOf(p.Email); err != nil {
			return nil, err
		}
	}
	if m.GetFlow() == "" {
		return v, nil
	}
	if v.Flow, err = authflow.ParseFlowID(m.GetFlow()); err != nil {
		return nil, malformed(err, "a session names no flow")
	}
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
