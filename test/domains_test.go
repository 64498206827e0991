package test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/internal/testkit/nametest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestADomainIsProvenByItsZone: two processes, two organizations, and real name servers. The record is asked for at one process and seen
// by the other; from then on its people are the organization's own at both, and the other organization is told.
func TestADomainIsProvenByItsZone(t *testing.T) {
	authority := nametest.Authority(t, nametest.Zone{Name: "partner-domain.com", Signed: true})
	resolver := nametest.Resolver(t, authority)
	r := newRig(t, "POSTERN_DNS_RESOLVERS="+authority.Addr()+","+resolver.Addr(), "POSTERN_DNS_TRUSTS_AD=true")
	one, two := r.start("one", "signin", "archiver", "api"), r.start("two", "signin", "api")
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	for _, id := range []string{"acme", "globex"} {
		one.apply("organizations/"+id, "organization: "+id+"\nsites: [{id: door}]\n")
	}
	class := func(p *process, request string) (posternv1.Class, *posternv1.ClassBasis) {
		t.Helper()
		a, err := p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{Parent: "organizations/acme/sites/door", RequestId: request,
			Subject: &posternv1.Subject{AccountId: "mia", Email: "mia@partner-domain.com"}})
		p.must2(err)
		return a.GetDecision().GetClass(), a.GetDecision().GetClassBasis()
	}
	first, second := posternv1.NewDirectoryServiceClient(one.conn), posternv1.NewDirectoryServiceClient(two.conn)
	const name = "organizations/acme/domains/partner-domain.com"
	d, err := first.CreateDomain(ctx, &posternv1.CreateDomainRequest{Parent: "organizations/acme", Domain: "Partner-Domain.com", RequestId: "c-1"})
	one.must2(err)
	other, err := second.CreateDomain(ctx, &posternv1.CreateDomainRequest{Parent: "organizations/globex", Domain: "partner-domain.com", RequestId: "c-1"})
	two.must2(err)
	if got, _ := class(two, "s-1"); got != posternv1.Class_CLASS_EXTERNAL {
		t.Errorf("a pending domain makes %v", got)
	}
	verify := func(c posternv1.DirectoryServiceClient, name, request string) (*posternv1.Domain, error) {
		return c.VerifyDomain(ctx, &posternv1.VerifyDomainRequest{Name: name, RequestId: request})
	}
	if d, err := verify(second, name, "v-1"); err != nil || d.GetState() != posternv1.Domain_STATE_PENDING || d.GetCheckDetail() != "NXDOMAIN" {
		t.Errorf("too early: %v, %v", d, err)
	}
	line := func(d *posternv1.Domain) string {
		return fmt.Sprintf("%s. 1 IN TXT %q", d.GetRecordName(), d.GetRecordText())
	}
	authority.Set(d.GetRecordName(), line(d), line(other), d.GetRecordName()+`. 1 IN TXT "v=spf1 -all"`)
	two.must2(eventually(30*time.Second, func(context.Context) error { // the resolver remembers its last answer for a second
		d, err := verify(second, name, fmt.Sprintf("v-%d", time.Now().UnixNano()))
		if err == nil && (d.GetState() != posternv1.Domain_STATE_VERIFIED || !d.GetDnssec() || d.GetVerifiedBy() != "DNS" || d.GetVerifyTime() == nil) {
			err = fmt.Errorf("%v", d)
		}
		return err
	}))
	for i, p := range []*process{one, two} {
		got, basis := class(p, fmt.Sprintf("s-2-%d", i))
		if got != posternv1.Class_CLASS_MANAGED || basis.GetVerifiedBy() != "DNS" || basis.GetDomain() != "partner-domain.com" || basis.GetStale() {
			t.Errorf("process %s: %v, %v", p.name, got, basis)
		}
	}
	if _, err := verify(first, "organizations/globex/domains/partner-domain.com", "v-9"); status.Code(err) != codes.AlreadyExists {
		t.Errorf("the other organization is told %v", err)
	}
	_, err = first.DeleteDomain(ctx, &posternv1.DeleteDomainRequest{Name: name, RequestId: "d-1"})
	one.must2(err)
	if got, _ := class(two, "s-3"); got != posternv1.Class_CLASS_EXTERNAL {
		t.Errorf("a removed domain makes %v", got)
	}
	if d, err := verify(second, "organizations/globex/domains/partner-domain.com", "v-10"); err != nil || d.GetState() != posternv1.Domain_STATE_VERIFIED {
		t.Errorf("once it was given up: %v, %v", d, err)
	}
	want := map[string]bool{"domain.created": true, "domain.verified": true, "domain.removed": true}
	one.must2(eventually(30*time.Second, func(context.Context) error {
		events, err := one.record("organizations/acme")
		for _, e := range events {
			delete(want, e.GetType())
		}
		if err == nil && len(want) > 0 {
			err = fmt.Errorf("missing: %v", want)
		}
		return err
	}))
}
