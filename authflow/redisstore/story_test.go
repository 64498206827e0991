package redisstore_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
)

const theSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

var loginService = authflow.Caller{Principal: "unix:0"}

// clinic is one real Redis with two processes that check codes.
type clinic struct {
	t         *testing.T
	rig       *rig
	org       *policy.Organization
	processes [2]clinicProcess
}

type clinicProcess struct {
	flows *authflow.Flows
	admin *authflow.Authenticators
	trips *trips
}

// trips counts round trips.
type trips struct {
	mu sync.Mutex
	n  int
}

func (c *trips) inc() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *trips) since(before int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n - before
}

// newClinic makes an organization that asks everybody from outside for a code checked here, no older than maxAge.
func newClinic(t *testing.T, maxAge time.Duration) *clinic {
	t.Helper()
	server := redistest.Start(t, redistest.FsyncEverySecond())
	c := &clinic{t: t, rig: newRig(t, realServer(server))}
	o := *c.rig.organization(t, "acme")
	o.Sites = []policy.Site{{ID: "wiki", UID: uuid.NewString()}, {ID: "tracker", UID: uuid.NewString()}}
	o.Policy.Default.MFA = &policy.MFADemand{Factors: []string{audit.FactorTOTP}, MaxAge: maxAge, Evidence: audit.EvidenceVerified}
	c.rig.change(t, policy.Change{Organization: &o, WritePolicy: true})
	c.org = c.rig.current(t, &o)
	for i := range c.processes {
		c.processes[i] = c.process()
	}
	return c
}

// process shares nothing with another but the keysets.
func (c *clinic) process() clinicProcess {
	c.t.Helper()
	client, counted := c.rig.server.client(c.t), &trips{}
	redisx.CountTrips(client, counted.inc)
	store, directory, keyring := c.rig.process(c.t, client)
	namer := c.rig.sets.Namer()
	v := vault.New(keyring, namer)
	flows, err := authflow.New(authflow.Config{
		Store: store, Directory: directory, Namer: naming.New(namer), Verifier: v, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		NewCode: func() string {
			var b [10]byte
			_, _ = rand.Read(b[:]) // never fails
			return authflow.FormatSupportCode(b)
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	admin, err := authflow.NewAuthenticators(authflow.AuthenticatorsConfig{Flows: flows, Subjects: store, Secrets: v, Verifier: v, Bounds: directory})
	if err != nil {
		c.t.Fatal(err)
	}
	return clinicProcess{flows, admin, counted}
}

// enrol takes over a secret that an app has already.
func (c *clinic) enrol(account string) {
	c.t.Helper()
	done, err := c.processes[0].admin.Import(c.t.Context(), loginService, authflow.ImportInput{Organization: "acme", RequestID: uuid.NewString(),
		Reason: "moved", Rows: []authflow.ImportRow{{AccountID: account, Secret: theSecret, Algorithm: factor.SHA1, Digits: 6, Period: 30 * time.Second}}})
	if err != nil || done.Imported != 1 {
		c.t.Fatalf("%+v, %v", done, err)
	}
}

// bound starts a flow at a site and binds an account with its password.
func (c *clinic) bound(p *clinicProcess, site, account string) authflow.Answer {
	c.t.Helper()
	mail, err := policy.ParseAddress("mia@guest.example.org")
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := p.flows.Start(c.t.Context(), loginService, authflow.StartInput{Organization: "acme", Site: site, RequestID: uuid.NewString(),
		Subject: authflow.Subject{Address: mail}})
	if err == nil {
		a, err = p.flows.Step(c.t.Context(), loginService, authflow.StepInput{Organization: "acme", Flow: a.Flow, RequestID: uuid.NewString(),
			Step: authflow.StepReport{Type: audit.TypePasswordVerified, Subject: authflow.Subject{AccountID: account, Address: mail}}})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (c *clinic) code() string {
	c.t.Helper()
	code, err := totp.GenerateCode(theSecret, time.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return code
}

// wrongCode is right at no time near.
func (c *clinic) wrongCode() string {
	c.t.Helper()
	right := map[string]bool{}
	for i := -30; i <= 30; i++ {
		code, err := totp.GenerateCode(theSecret, time.Now().Add(time.Duration(i)*30*time.Second))
		if err != nil {
			c.t.Fatal(err)
		}
		right[code] = true
	}
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !right[code] {
			return code
		}
	}
}

// rush hands in a code from many flows at once, half of them in each process, and returns how often each answer was given.
func (c *clinic) rush(account, code string, many int) map[string]int {
	c.t.Helper()
	flows := make([]authflow.FlowID, many)
	for i := range flows {
		flows[i] = c.bound(&c.processes[i%2], "wiki", account).Flow
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	begin := make(chan struct{})
	for i, flow := range flows {
		p := &c.processes[i%2]
		wait.Go(func() {
			<-begin
			a, err := p.flows.VerifyTotp(c.t.Context(), loginService, authflow.TotpInput{Organization: "acme", Flow: flow, RequestID: uuid.NewString(), Code: code})
			if err != nil {
				c.t.Errorf("%v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[a.Verdict.String()+" "+a.Reason]++
		})
	}
	close(begin)
	wait.Wait()
	return answers
}

// recorded counts the events about second factors in the outbox, by type and reason.
func (c *clinic) recorded() map[string]int {
	c.t.Helper()
	out := map[string]int{}
	for _, m := range c.rig.client.XRange(c.t.Context(), outboxOf(c.rig.store, c.org.UID), "-", "+").Val() {
		raw, _ := m.Values["e"].(string)
		e, err := c.rig.codec.Decode([]byte(raw))
		if err != nil {
			c.t.Fatal(err)
		}
		if slices.Contains([]audit.Type{audit.TypeMFAVerified, audit.TypeMFARejected, audit.TypeMFALocked}, e.Type) {
			out[string(e.Type)+" "+e.Reason]++
		}
	}
	return out
}

func outboxOf(s *redisstore.Store, uid string) string {
	return s.FlowKey(uid, "")[:len("postern:{00}:")] + "outbox"
}

func TestOneCodeFromFiftyRacersInTwoProcessesIsUsedOnce(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	answers := c.rush("acct-1", c.code(), 50)
	got := c.recorded()
	if got["mfa.verified "] != 1 || answers["ALLOW "] != 1 || len(answers) != 2 {
		t.Errorf("answers %v, events %v", answers, got)
	}
	// What comes after the one is replayed, and counted like any guess until it locks.
	if got["mfa.rejected CODE_REPLAYED"] != factor.FailuresToLock || got["mfa.rejected LOCKED"] != 50-1-factor.FailuresToLock || got["mfa.locked LOCKED"] != 1 {
		t.Errorf("events %v", got)
	}
}

func TestFiftyFlowsInTwoProcessesShareOneBudgetOfGuesses(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	c.enrol("acct-2")
	answers := c.rush("acct-1", c.wrongCode(), 50)
	got := c.recorded()
	if got["mfa.rejected WRONG_CODE"] != factor.FailuresToLock || got["mfa.rejected LOCKED"] != 50-factor.FailuresToLock || got["mfa.locked LOCKED"] != 1 {
		t.Errorf("events %v", got)
	}
	if len(answers) != 1 || answers["CONTINUE WRONG_CODE"] != 50 {
		t.Errorf("the answers tell guesses from a lock: %v", answers)
	}
	// Right or wrong, a lock is a lock; and it is of one account alone.
	if answers = c.rush("acct-1", c.code(), 2); answers["CONTINUE WRONG_CODE"] != 2 {
		t.Errorf("right codes while locked: %v", answers)
	}
	if answers = c.rush("acct-2", c.code(), 1); answers["ALLOW "] != 1 {
		t.Errorf("somebody else: %v", answers)
	}
}

func TestACodeOnAWarmFlowIsOneRoundTripAndItsAnswerIsKept(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	c.rush("acct-1", c.wrongCode(), 2) // scripts and keys are known
	p := &c.processes[0]
	in := authflow.TotpInput{Organization: "acme", Flow: c.bound(p, "wiki", "acct-1").Flow, RequestID: uuid.NewString(), Code: c.code()}
	c.rush("acct-1", c.wrongCode(), 1) // the authenticator moves under it, in process 0: known to another flow, not to this
	warm := authflow.TotpInput{Organization: "acme", Flow: c.bound(p, "wiki", "acct-1").Flow, RequestID: uuid.NewString(), Code: c.wrongCode()}
	before := p.trips.since(0)
	if _, err := p.flows.VerifyTotp(t.Context(), loginService, warm); err != nil {
		t.Fatal(err)
	}
	if n := p.trips.since(before); n != 1 {
		t.Errorf("a code on a warm flow took %d round trips", n)
	}
	before = p.trips.since(0)
	first, err := p.flows.VerifyTotp(t.Context(), loginService, in)
	if err != nil || first.Verdict != audit.VerdictAllow {
		t.Fatalf("%+v, %v", first, err)
	}
	if n := p.trips.since(before); n != 2 {
		t.Errorf("a code whose authenticator moved took %d round trips", n)
	}
	for i := range c.processes { // the same request, also where nothing is known of the flow
		again, err := c.processes[i].flows.VerifyTotp(t.Context(), loginService, in)
		if err != nil || again.Verdict != first.Verdict || again.Step != first.Step {
			t.Errorf("process %d: %+v, %v", i, again, err)
		}
	}
	if got := c.recorded(); got["mfa.verified "] != 1 {
		t.Errorf("events %v", got)
	}
}

func TestAProofIsGoodAtTheOtherSiteUntilItIsRevokedThereOrEverywhere(t *testing.T) {
	c := newClinic(t, time.Hour)
	c.enrol("acct-1")
	if answers := c.rush("acct-1", c.code(), 1); answers["ALLOW "] != 1 {
		t.Fatalf("%v", answers)
	}
	verdicts := func(site string) string {
		return c.bound(&c.processes[0], site, "acct-1").Verdict.String() + " " + c.bound(&c.processes[1], site, "acct-1").Verdict.String()
	}
	if got := verdicts("tracker"); got != "ALLOW ALLOW" {
		t.Fatalf("with a proof of a moment ago: %s", got)
	}
	revoke := func(in authflow.RevokeInput) {
		t.Helper()
		in.Organization, in.RequestID, in.Reason = "acme", uuid.NewString(), "a lost phone"
		if _, err := c.processes[1].admin.RevokeProofs(t.Context(), loginService, in); err != nil {
			t.Fatal(err)
		}
	}
	revoke(authflow.RevokeInput{Site: "tracker"})
	if there, here := verdicts("tracker"), verdicts("wiki"); there != "CONTINUE CONTINUE" || here != "ALLOW ALLOW" {
		t.Errorf("revoked at the tracker: there %s, at the wiki %s", there, here)
	}
	revoke(authflow.RevokeInput{Whole: true})
	if got := verdicts("wiki"); got != "CONTINUE CONTINUE" {
		t.Errorf("revoked everywhere: %s", got)
	}
}
