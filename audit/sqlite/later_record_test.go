package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
)

// laterOrganization is that of laterRecord.
const laterOrganization = "0189aaaa-0000-7000-8000-00000000000c"

// laterRecord is what testdata/schema3.db.gz holds besides oldRecord: events of one organization over twenty days, with values of
// every field, appended 100 at a time by the last binary with schema 3 (55d913d) to an archive it had taken over from schema 1.
func laterRecord(t testing.TB) []audit.Entry {
	t.Helper()
	const n = 2300
	types := []audit.Type{audit.TypeSignInStarted, audit.TypePasswordRejected, audit.TypePasswordVerified, audit.TypeMFAVerified, audit.TypeSignInDenied, audit.TypePolicyUpdated, audit.TypeTokenUsed}
	out := make([]audit.Entry, n)
	for i := range out {
		at := oldLast().Add(time.Duration(i) * 12 * time.Minute)
		e := audit.Event{ID: oldID(at, i), Type: types[i%len(types)], Time: at, Organization: "cask", OrganizationUID: laterOrganization,
			Outcome: audit.OutcomeOf(types[i%len(types)]), Class: audit.Class(i % 4), Evidence: audit.Evidence(i % 3), Caller: fmt.Sprint("unix:", i%5),
			Sandbox: i%50 == 0, Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 40), Digest: make([]byte, 32)},
			Indexes: []audit.Index{{Purpose: audit.IndexAccount, Value: fmt.Appendf(nil, "account %d", i%40)}}}
		if i%9 == 0 {
			e.Time = at.Add(-time.Duration(i%5) * time.Hour)
		}
		if i%7 < 5 {
			e.Flow, e.Step, e.Site = oldID(oldLast().Add(time.Duration(i/7)*84*time.Minute), 50_000+i/7), i%7+1, fmt.Sprint("site-", i/7%3)
			e.SupportCode, e.Method, e.Connection = fmt.Sprintf("LATER-%05d", i/7), []string{"password", "sso"}[i%2], []string{"", "partner"}[i%2]
		}
		switch e.Type {
		case audit.TypePasswordRejected:
			e.Reason = []string{audit.ReasonBadCredentials, "ACCOUNT_LOCKED"}[i/7%2]
		case audit.TypeMFAVerified:
			e.Factor = audit.FactorTOTP
		case audit.TypeSignInDenied:
			e.Reason, e.Decision = "SSO_REQUIRED", &audit.Decision{Rule: fmt.Sprint("rule-", i%2), Verdict: audit.VerdictDeny}
		case audit.TypePolicyUpdated:
			e.Target = &audit.Target{Type: "policy", ID: fmt.Sprint("target-", i)}
		default:
		}
		out[i] = audit.Entry{OutboxID: fmt.Sprintf("%d-0", at.UnixMilli()), RecordedTime: at.Add(time.Second), Event: e, Raw: encoded(t, &e)}
	}
	return out
}
