package stored

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Subject returns the body of a person's row: the format byte and a SubjectRecord.
func Subject(r *audit.SubjectRow) ([]byte, error) {
	m := storev1.SubjectRecord{
		Subject: r.Subject.Value, Site: []byte(r.Site), SiteUid: []byte(r.SiteUID), Class: posternv1.Class(r.Class), ClassSince: stamp(r.ClassSince),
		First: stamp(r.First), Last: stamp(r.Last), LastSignIn: stamp(r.LastSignIn), SignIns: r.SignIns, Refusals: r.Refusals, Rejections: r.Rejections,
		LastMfa: stamp(r.LastMFA), LastMfaFactor: []byte(r.LastMFAFactor), LastMfaEvidence: posternv1.Evidence(r.LastMFAEvidence),
		Enrolled: stamp(r.Enrolled), Locked: stamp(r.Locked), NewestEventId: []byte(r.NewestEventID), Newest: r.Newest,
	}
	for _, method := range r.Methods {
		m.Methods = append(m.Methods, []byte(method))
	}
	return proto.MarshalOptions{}.MarshalAppend([]byte{codec.Format}, &m)
}

// SubjectFrom is the reverse of Subject.
func SubjectFrom(organizationUID string, body []byte) (audit.SubjectRow, error) {
	var m storev1.SubjectRecord
	if len(body) == 0 || body[0] != codec.Format {
		return audit.SubjectRow{}, errs.New(errs.FailedPrecondition, "RECORD_FORMAT_NEWER", "a person's row has a format this process does not read")
	}
	if err := proto.Unmarshal(body[1:], &m); err != nil {
		return audit.SubjectRow{}, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "a person's row cannot be read")
	}
	r := audit.SubjectRow{
		OrganizationUID: organizationUID, Subject: audit.Index{Purpose: audit.IndexAccount, Value: slices.Clone(m.GetSubject())},
		Site: string(m.GetSite()), SiteUID: string(m.GetSiteUid()), Class: audit.Class(m.GetClass()), ClassSince: unstamp(m.GetClassSince()), //nolint:gosec // written by Subject
		First: unstamp(m.GetFirst()), Last: unstamp(m.GetLast()), LastSignIn: unstamp(m.GetLastSignIn()), SignIns: m.GetSignIns(),
		Refusals: m.GetRefusals(), Rejections: m.GetRejections(), LastMFA: unstamp(m.GetLastMfa()), LastMFAFactor: string(m.GetLastMfaFactor()),
		LastMFAEvidence: audit.Evidence(m.GetLastMfaEvidence()), Enrolled: unstamp(m.GetEnrolled()), Locked: unstamp(m.GetLocked()), //nolint:gosec // written by Subject
		NewestEventID: string(m.GetNewestEventId()), Newest: m.GetNewest(),
	}
	for _, method := range m.GetMethods() {
		r.Methods = append(r.Methods, string(method))
	}
	return r, nil
}

// Place names a person's row at a site among those of the person, "" the one of the organization: a site that was deleted and one
// that took its id are two. It is short and plain, and the same in every archive.
func Place(r *audit.SubjectRow) string {
	if r.Site == "" {
		return ""
	}
	plain := func(c rune) bool { return c < 128 && (c == '-' || unicode.IsDigit(c) || unicode.IsLetter(c)) }
	if uid := r.SiteUID; uid != "" && len(uid) <= 64 && !strings.ContainsFunc(uid, func(c rune) bool { return !plain(c) }) {
		return uid
	}
	sum := sha256.Sum256(protowire.AppendString(protowire.AppendString(nil, r.SiteUID), r.Site))
	return "~" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func unstamp(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
