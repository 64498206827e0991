package simulate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const uid = "01890000-0000-7000-8000-00000000000a"

// namer hashes without a key: tests need equality, not secrecy.
type namer struct{}

func hashed(parts ...string) policy.AccountKey {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return policy.AccountKey(sum[:16])
}

func (namer) AccountKey(uid, id string) policy.AccountKey { return hashed("account", uid, id) }

func (namer) AddressKey(uid string, a policy.Address) policy.AccountKey {
	return hashed("address", uid, a.Key())
}

// acme is an organization with two sites and two connections.
func acme(p policy.Policy, change ...func(*policy.Organization)) *policy.Organization {
	o := &policy.Organization{UID: uid, ID: "acme", Revision: 7,
		Sites: []policy.Site{{ID: "wiki", UID: "uid-wiki"}, {ID: "hall", UID: "uid-hall"}},
		Connections: []policy.Connection{{ID: "okta", UID: "uid-okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC},
			{ID: "google", UID: "uid-google", Kind: policy.ConnectionSocial}},
		Policy: p}
	o.PolicyStamp[7] = 7
	for _, f := range change {
		f(o)
	}
	return o
}

func domainOf(t testing.TB, s string) policy.Domain {
	t.Helper()
	d, err := policy.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// world is a record with what is known beside it.
type world struct {
	t        testing.TB
	org      *policy.Organization
	flows    []audit.FlowRecord
	records  map[policy.LookupKeys]policy.Records
	domains  []policy.DomainRecord
	holdings map[policy.AccountKey]Holding
	history  []policy.Revision // newest first
	now      time.Time
	tick     time.Duration // each look at the clock takes that long
	asked    int           // accounts whose holdings were asked for
	scans    func() error  // before each page
}

func newWorld(t testing.TB, org *policy.Organization) *world {
	return &world{t: t, org: org, records: map[policy.LookupKeys]policy.Records{}, holdings: map[policy.AccountKey]Holding{}, now: noon.Add(time.Hour)}
}

func (w *world) scanner() *Scanner {
	return New(Deps{Flows: w, Open: opened, Namer: namer{}, Records: w, Holders: w, History: w, Now: func() time.Time { w.now = w.now.Add(w.tick); return w.now }})
}

// opened opens what is not erased: a sealed part without bytes.
func opened(e *audit.Event) error {
	if e.Sealed != nil && len(e.Sealed.Data) == 0 {
		e.Personal, e.PersonalState = audit.Personal{}, "ERASED"
	}
	return nil
}

func (w *world) ScanFlows(ctx context.Context, s audit.FlowScan) ([]audit.FlowRecord, error) {
	if w.scans != nil {
		if err := w.scans(); err != nil {
			return nil, err
		}
	}
	var out []audit.FlowRecord
	all := slices.Clone(w.flows)
	slices.SortFunc(all, func(a, b audit.FlowRecord) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	for _, f := range all {
		after := s.AfterTime.IsZero() || f.Started.After(s.AfterTime) || f.Started.Equal(s.AfterTime) && f.ID > s.AfterID
		in := !f.Started.Before(s.Start) && (s.End.IsZero() || f.Started.Before(s.End)) && (len(s.Sites) == 0 || slices.Contains(s.Sites, f.Site))
		if after && in && len(out) < s.Limit && f.EndEventID != "" {
			f.Events = slices.Clone(f.Events)
			out = append(out, f)
		}
	}
	return out, ctx.Err()
}

func (w *world) CountFlows(context.Context, audit.FlowScan) (int64, error) {
	return int64(len(w.flows)), nil
}

func (w *world) Steps(_ context.Context, _ string, steps []audit.StepRef) ([]audit.Event, error) {
	var out []audit.Event
	for i := range w.flows {
		for _, e := range w.flows[i].Events {
			if slices.Contains(steps, audit.StepRef{Flow: e.Flow, Step: e.Step}) {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

func (w *world) Lookup(_ context.Context, _ string, keys []policy.LookupKeys) ([]policy.Records, error) {
	out := make([]policy.Records, len(keys))
	for i, k := range keys {
		out[i] = w.records[policy.LookupKeys{Account: k.Account, Address: k.Address}]
		var on []policy.DomainRecord
		for d := k.Domain; !d.IsZero(); d = d.Parent() {
			for _, r := range w.domains {
				if r.Domain == d {
					on = append(on, r)
				}
			}
		}
		out[i].Domain = policy.MostSpecific(on, k.Domain)
	}
	return out, nil
}

func (w *world) Holdings(_ context.Context, _ string, accounts []policy.AccountKey) ([]Holding, error) {
	w.asked += len(accounts)
	out := make([]Holding, len(accounts))
	for i, k := range accounts {
		out[i] = w.holdings[k]
		out[i].Enrolment.Known = true
	}
	return out, nil
}

func (w *world) PolicyRevision(_ context.Context, _ string, at int64) (*policy.Revision, error) {
	for i := range w.history {
		if w.history[i].Number <= at {
			return &w.history[i], nil
		}
	}
	return nil, errs.New(errs.NotFound, policy.ReasonRevisionNotFound, "none")
}

func (w *world) PolicyRevisions(context.Context, string, int64, int) ([]policy.Revision, error) {
	return nil, nil
}

// did is one step of a sign-in.
type did struct {
	audit.Type
	method, factor, connection string
	amr                        []string
	evidence                   audit.Evidence
	account                    string // of a proof that names it later
	issuer                     string
	ip                         string
}

func password() did { return did{Type: audit.TypePasswordVerified, method: audit.MethodPassword} }

func sms() did { return did{Type: audit.TypeMFAVerified, factor: audit.FactorSMS} }

func sso(amr ...string) did {
	return did{Type: audit.TypeSSOVerified, method: audit.MethodSSO, connection: "okta", evidence: audit.EvidenceVerified, amr: amr}
}

// came is a sign-in.
type came struct {
	account, email string
	site, ip       string
	at             time.Time
	steps          []did
	proofs         []policy.Proof
	enrolled       []string
	ending         audit.Ending // none: as the policy judges
	reason         string
	change         func(*audit.FlowRecord)
}

// signIn puts a sign-in on record as the organization's policy decides it at each step. It returns its flow.
func (w *world) signIn(c came) string {
	w.t.Helper()
	n := len(w.flows)
	flow := fmt.Sprintf("01890000-0000-7000-9000-%012d", n)
	c.site, c.ip = cmp.Or(c.site, "wiki"), cmp.Or(c.ip, "192.0.2.7")
	if c.at.IsZero() {
		c.at = noon.Add(time.Duration(n) * time.Second)
	}
	f := audit.FlowRecord{}
	add := func(e audit.Event) *audit.Event {
		e.ID, e.Flow, e.Step = fmt.Sprintf("%s-%d", flow, len(f.Events)+1), flow, len(f.Events)+1
		e.Time, e.RecordedTime, e.Sequence = c.at.Add(time.Duration(e.Step)*time.Second), c.at.Add(time.Duration(e.Step)*time.Second), int64(e.Step)
		e.Organization, e.OrganizationUID, e.Site, e.SiteUID = "acme", uid, c.site, "uid-"+c.site
		e.Personal.IP = cmp.Or(e.Personal.IP, c.ip)
		e.Sealed = &audit.Sealed{Data: []byte{1}}
		f.Events = append(f.Events, e)
		return &f.Events[len(f.Events)-1]
	}
	add(audit.Event{Type: audit.TypeSignInStarted})
	in := policy.Input{Organization: w.org, Context: policy.Context{SiteID: c.site, IP: netip.MustParseAddr(c.ip)}, Proofs: c.proofs,
		Enrolment: policy.Enrolment{Known: true, Factors: c.enrolled}}
	for i := range w.org.Sites {
		if w.org.Sites[i].ID == c.site {
			in.Site = &w.org.Sites[i]
		}
	}
	in.Subject = policy.Subject{AccountID: c.account, EmailVerified: c.email != "", Kind: audit.SubjectPerson}
	if c.account != "" {
		in.Subject.AccountKey = namer{}.AccountKey(uid, c.account)
	}
	if c.email != "" {
		a, err := policy.ParseAddress(c.email)
		if err != nil {
			w.t.Fatal(err)
		}
		in.Subject.Address, in.Subject.AddressKey = a, namer{}.AddressKey(uid, a)
		list, _ := w.Lookup(context.Background(), uid, []policy.LookupKeys{{Account: in.Subject.AccountKey, Address: in.Subject.AddressKey, Domain: a.Domain()}})
		in.Records = list[0]
	}
	var frozen *policy.Frozen
	for _, s := range c.steps {
		e := add(audit.Event{Type: s.Type, Method: s.method, Factor: s.factor, Connection: s.connection, Evidence: max(s.evidence, audit.EvidenceAsserted),
			SubjectKind: audit.SubjectPerson, Personal: audit.Personal{AccountID: cmp.Or(c.account, s.account), AMR: s.amr, Issuer: s.issuer, IP: s.ip}})
		if s.connection != "" {
			e.ConnectionUID = "uid-" + s.connection
		}
		in.Now = e.Time
		proves, binds := provesType(e.Type)
		if !proves {
			continue
		}
		in.Shown = append(in.Shown, shown(e))
		if binds && frozen == nil {
			in.Context.Method, in.Context.Connection = e.Method, e.Connection
			bound := policy.Bind(in)
			frozen = &bound
			yes := c.email != ""
			e.Class, e.Personal.Email, e.Personal.EmailVerified = bound.SubjectClass, in.Subject.Address.String(), &yes
			d, _ := policy.Evaluate(bound, in)
			e.Decision = &d
		}
	}
	end := audit.Event{Type: audit.TypeSignInFailed, Reason: audit.ReasonNothingProven, Decision: &audit.Decision{}}
	if frozen != nil {
		in.Now = c.at.Add(time.Duration(len(f.Events)+1) * time.Second)
		d, _ := policy.Evaluate(*frozen, in)
		if st := policy.Stopped(in, true, frozen.SubjectClass); st != nil {
			d = policy.Halt(d, *st)
		}
		end = audit.Event{Type: audit.TypeSignInSucceeded, Decision: &d, Personal: audit.Personal{AccountID: c.account}}
		if d.Verdict != audit.VerdictAllow {
			d.Verdict = audit.VerdictDeny
			end.Type, end.Reason = audit.TypeSignInDenied, d.Reason
		}
		if d.WouldBe != nil && d.WouldBe.Verdict != audit.VerdictAllow {
			d.WouldBe.Verdict = audit.VerdictDeny
		}
	}
	if c.ending != audit.EndingNone {
		end.Type, end.Reason = audit.EndingType(c.ending), c.reason
	}
	end.Ending = audit.EndingOf(end.Type)
	add(end)
	for i := range f.Events {
		f.Apply(&f.Events[i])
	}
	if c.change != nil {
		c.change(&f)
	}
	w.flows = append(w.flows, f)
	return flow
}

// try simulates a draft.
func (w *world) try(d Draft) *Result {
	w.t.Helper()
	if d.Now == nil {
		d.Now = w.org
	}
	if d.Organization == nil {
		d.Organization = w.org
	}
	r, err := w.scanner().Simulate(context.Background(), d, Query{Samples: 3}, func(int64, int64) error { return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// draft is the organization with another policy.
func (w *world) draft(p policy.Policy, change ...func(*policy.Organization)) Draft {
	c := *w.org
	c.Sites, c.Connections = slices.Clone(c.Sites), slices.Clone(c.Connections)
	c.Policy = p
	for _, f := range change {
		f(&c)
	}
	return Draft{Organization: &c}
}

// only asserts that one kind of change came out, and returns it.
func only(t testing.TB, r *Result) Change {
	t.Helper()
	if len(r.Changes) != 1 {
		t.Fatalf("not one kind of change: %+v", r)
	}
	return r.Changes[0]
}

// counts asserts what became of flows.
func counts(t testing.TB, r *Result, unchanged, undecided, unreadable int64) {
	t.Helper()
	if r.Unchanged != unchanged || r.Undecided != undecided || r.Unreadable != unreadable {
		t.Errorf("%d unchanged, %d undecided, %d unreadable, want %d, %d, %d: %+v", r.Unchanged, r.Undecided, r.Unreadable, unchanged, undecided, unreadable, r)
	}
}
