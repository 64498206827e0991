package authflow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// noon is when every test begins.
var noon = time.Date(2026, 3, 4, 12, 30, 0, 0, time.UTC)

const (
	orgUID  = "01890000-0000-7000-8000-00000000000a"
	siteUID = "01890000-0000-7000-8000-00000000000b"
	alice   = "acct-alice"
	mallory = "acct-mallory"
)

// acme is an organization with one site, three connections and this policy.
func acme(p policy.Policy) *policy.Organization {
	return &policy.Organization{
		UID: orgUID, ID: "acme", PolicyStamp: stampOf(1), Stamp: stampOf(1),
		Sites: []policy.Site{{ID: "portal", UID: siteUID}},
		Connections: []policy.Connection{
			{ID: "okta", UID: "uid-okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC},
			{ID: "entra", UID: "uid-entra", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML},
			{ID: "google", UID: "uid-google", Kind: policy.ConnectionSocial},
		},
		Policy: p,
	}
}

// changed returns a copy of org after f.
func changed(org *policy.Organization, f func(*policy.Organization)) *policy.Organization {
	c := *org
	c.Sites = append([]policy.Site(nil), org.Sites...)
	c.Connections = append([]policy.Connection(nil), org.Connections...)
	f(&c)
	return &c
}

func stampOf(n byte) policy.Stamp {
	var s policy.Stamp
	s[7] = n
	return s
}

var (
	noDemands  = policy.Policy{}
	demandsMFA = policy.Policy{Default: policy.Demands{MFA: &policy.MFADemand{Evidence: audit.EvidenceAsserted}}}
)

// driver feeds one flow and keeps what it said.
type driver struct {
	t      testing.TB
	org    *policy.Organization
	now    time.Time
	s      State
	events []audit.Event
	beside []audit.Event // no steps
	ids    int
	marked bool
	last   Moved
}

func newDriver(t testing.TB, org *policy.Organization) *driver {
	return &driver{t: t, org: org, now: noon}
}

func (d *driver) id() string {
	d.ids++
	return fmt.Sprintf("01890000-0000-7000-8000-%012x", d.ids)
}

// try puts in what may be refused.
func (d *driver) try(in Input) error {
	in.Organization, in.Site, in.Marked = d.org, siteByUID(d.org, siteUID), d.marked
	in.IDs, in.Caller = IDs{Step: d.id(), Ending: d.id(), Lock: d.id(), Link: d.id()}, "unix:7"
	m, err := Advance(d.s, in, d.now)
	if err == nil {
		d.s, d.last = m.State, m
		for _, e := range m.Events {
			if e.Step > 0 {
				d.events = append(d.events, e)
			} else {
				d.beside = append(d.beside, e)
			}
		}
	}
	return err
}

func (d *driver) put(in Input) Moved {
	d.t.Helper()
	if err := d.try(in); err != nil {
		d.t.Fatalf("refused: %v", err)
	}
	return d.last
}

func flowID(t testing.TB, n int) FlowID {
	t.Helper()
	id, err := ParseFlowID(fmt.Sprintf("01890000-0000-7000-9000-%012x", n))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func address(t testing.TB, s string) policy.Address {
	t.Helper()
	a, err := policy.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// external claims to be alice at a domain nobody has verified.
func external(t testing.TB) Claimed { return Claimed{Address: address(t, "alice@partner.example.com")} }

// managed claims an address of a verified domain.
func managed(t testing.TB) Claimed {
	return Claimed{Address: address(t, "alice@acme.example.net"), Records: acmeDomain(t)}
}

func acmeDomain(t testing.TB) policy.Records {
	t.Helper()
	d, err := policy.ParseDomain("acme.example.net")
	if err != nil {
		t.Fatal(err)
	}
	return policy.Records{Domain: &policy.DomainRecord{Domain: d, VerifiedBy: policy.VerifiedByOperator, Revision: 3}}
}

func starts(t testing.TB, c Claimed) Input {
	return Input{Kind: KindStart, Start: &Opening{Flow: flowID(t, 1), SupportCode: "ABCDE-FGHJK", Claimed: c,
		Context: Context{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "test", DeviceID: "dev-1", Client: audit.ClientWeb}}}
}

// reports makes a step of a type about an account, complete enough to be taken.
func reports(typ audit.Type, account string) Input {
	r := Reported{Evidence: audit.EvidenceAsserted, StepReport: StepReport{Type: typ, Subject: Subject{AccountID: account}}}
	f, _ := family(typ)
	switch f {
	case audit.FamilyPasswordless:
		r.Method = audit.MethodPasskey
	case audit.FamilySSO:
		r.Connection = "okta"
	case audit.FamilySocial:
		r.Connection = "google"
	case audit.FamilyMFA:
		r.Factor = audit.FactorSMS
	default: // the type says it all
	}
	if infos := audit.ReasonsFor(typ, ""); typ == rejection(typ) && len(infos) > 0 {
		r.Reason = reasonOf(typ)
	}
	if typ == audit.TypeSessionReused {
		r.AuthenticatedAt = noon.Add(-time.Hour)
	}
	return Input{Kind: KindStep, Step: &r}
}

func reasonOf(typ audit.Type) string {
	switch typ {
	case audit.TypePasswordRejected:
		return audit.ReasonBadCredentials
	case audit.TypePasswordlessRejected, audit.TypeMFARejected:
		return audit.ReasonTimedOut
	case audit.TypeSocialRejected, audit.TypeSSORejected:
		return audit.ReasonUserCancelled
	case audit.TypeMFALocked:
		return audit.ReasonLocked
	case audit.TypeSessionRejected:
		return audit.ReasonSessionExpired
	default:
		return ""
	}
}

// with changes a step.
func with(in Input, f func(*Reported)) Input {
	f(in.Step)
	return in
}

func finishes(a Action) Input {
	f := Finish{Action: a}
	if a == ActionRefuse {
		f.Reason = audit.ReasonNotInvited
	}
	return Input{Kind: KindFinish, Finish: &f}
}

// at returns a driver whose flow stands in a phase, bound to alice and short of a second factor unless granted.
func at(t testing.TB, p Phase) *driver {
	t.Helper()
	d := newDriver(t, acme(demandsMFA))
	if p == PhaseNone {
		return d
	}
	d.put(starts(t, external(t)))
	if p == PhaseBound || p == PhaseGranted {
		d.put(reports(audit.TypePasswordVerified, alice))
	}
	if p == PhaseGranted {
		d.put(reports(audit.TypeMFAVerified, ""))
	}
	if p == PhaseEnded {
		d.put(finishes(ActionCancel))
	}
	if d.s.Phase != p {
		t.Fatalf("the flow stands at %v, not %v", d.s.Phase, p)
	}
	return d
}

// stepTypes are all types a login service reports as steps.
func stepTypes() []audit.Type {
	var out []audit.Type
	for _, info := range audit.Types() {
		if info.Reportable {
			out = append(out, info.Type)
		}
	}
	return out
}

func wantReason(t testing.TB, err error, reason string) {
	t.Helper()
	if !errs.Is(err, reason) {
		t.Fatalf("want %s, got %v", reason, err)
	}
}
