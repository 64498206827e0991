package policy_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func TestADomainThatFailsGoesOnCountingAndSaysSo(t *testing.T) {
	address, err := policy.ParseUsableAddress("mia@example-x.com")
	if err != nil {
		t.Fatal(err)
	}
	for state, want := range map[policy.DomainState]struct{ counts, stale bool }{
		policy.DomainPending: {}, policy.DomainVerified: {counts: true}, policy.DomainFailing: {counts: true, stale: true}, policy.DomainLapsed: {},
	} {
		c := policy.DomainChallenge{Domain: address.Domain(), State: state, Verified: time.Unix(1e9, 0), DNSSEC: true}
		records := policy.Records{}
		if state.Counts() {
			r := c.Record()
			records.Domain = &r
		}
		class, basis, _ := policy.Classify(&policy.Organization{ID: "acme"}, nil, policy.Subject{AccountID: "mia", Address: address, EmailVerified: true}, records)
		if state.Counts() != want.counts || (class == audit.ClassManaged) != want.counts || basis.Stale != want.stale || want.counts && basis.VerifiedBy != policy.VerifiedByDNS {
			t.Errorf("%v: %v, %+v", state, class, basis)
		}
	}
}
