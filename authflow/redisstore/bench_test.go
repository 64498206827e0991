package redisstore_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
)

// floorScript is the least that a recorded step can cost: the state into a hash, the event into a stream.
var floorScript = redisx.NewScript(`redis.call('HSET', KEYS[1], 's', ARGV[1])
return redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])`)

// boundFlow is a flow after its binding step, with the next step's commit on it.
func boundFlow(b testing.TB, r *rig, o *policy.Organization) (*authflow.Loaded, func(*authflow.Loaded) *authflow.Commit) {
	b.Helper()
	id, err := authflow.ParseFlowID(uuid.Must(uuid.NewV7()).String())
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().UTC()
	verified := true
	event := func(step int) audit.Event {
		return audit.Event{
			ID: uuid.Must(uuid.NewV7()).String(), Type: audit.TypePasswordVerified, Time: now, Organization: o.ID, OrganizationUID: o.UID,
			Site: "wiki", SiteUID: o.UID, Flow: id.String(), Step: step, SupportCode: "AAAAABBBBB", Caller: "unix:0", Class: audit.ClassExternal,
			Outcome: audit.OutcomeSuccess, Evidence: audit.EvidenceAsserted, Method: "password", Client: audit.ClientWeb, Counts: &verified,
			Personal: audit.Personal{Email: "ada@guest.example.org", EmailVerified: &verified, AccountID: "acct-1", IP: "192.0.2.7",
				UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", DeviceID: "device-1"},
		}
	}
	st := &authflow.State{ID: id, Organization: o.ID, OrganizationUID: o.UID, Site: "wiki", SiteUID: o.UID, SupportCode: "AAAAABBBBB",
		Caller: "unix:0", Phase: authflow.PhaseBound, Started: now, Deadline: now.Add(time.Hour), Hour: now.Truncate(time.Hour), Recorded: true,
		Class: audit.ClassExternal, Proven: true, Bound: &authflow.Bound{AccountID: "acct-1", EmailVerified: true, Step: 2},
		Frozen: &policy.Frozen{Decision: audit.Decision{Class: audit.ClassExternal, Source: "DEFAULT"}, PolicyStamp: o.PolicyStamp},
		Steps:  []authflow.Step{{Event: new(event(1)), Released: true}, {Event: new(event(2)), Released: true}}}
	c := &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Flow: &authflow.FlowWrite{State: st}}
	done, err := r.store.Commit(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	next := func(l *authflow.Loaded) *authflow.Commit {
		s := *l.State
		e := event(3)
		s.Steps = append(s.Steps[:2:2], authflow.Step{Event: new(e), Released: true})
		var key authflow.CommitKey
		copy(key[:], e.ID)
		return &authflow.Commit{OrganizationUID: o.UID, PolicyStamp: o.PolicyStamp, Key: key, Outcome: &authflow.Outcome{
			Flow: id, SupportCode: "AAAAABBBBB", Step: 3, Phase: s.Phase, Verdict: audit.VerdictContinue, Counts: &verified,
			Decision: audit.Decision{Class: audit.ClassExternal, Source: "DEFAULT", Verdict: audit.VerdictContinue}, Deadline: s.Deadline, Recorded: true},
			Flow: &authflow.FlowWrite{State: &s, From: l.Stamp, Kept: l.Kept}, Events: []audit.Event{e}}
	}
	return &authflow.Loaded{State: st, Stamp: done.Stamp, Kept: done.Kept}, next
}

// BenchmarkCommit is a step on a bound flow, beside its floor with the same bytes. The flow's answers pile up in its hash, so
// that a new flow begins every 32 steps.
func BenchmarkCommit(b *testing.B) {
	for name, options := range map[string][]redistest.Option{"always": nil, "everysec": {redistest.FsyncEverySecond()}} {
		server := redistest.Start(b, options...)
		r := newRig(b, realServer(server))
		o := r.organization(b, "acme")
		b.Run(name+"/commit", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				l, next := boundFlow(b, r, o)
				for i := 0; pb.Next(); i++ {
					if i%32 == 31 {
						l, next = boundFlow(b, r, o)
					}
					c := next(l)
					done, err := r.store.Commit(b.Context(), c)
					if err != nil {
						b.Error(err)
						return
					}
					l = &authflow.Loaded{State: c.Flow.State, Stamp: done.Stamp, Kept: done.Kept}
				}
			})
		})
		b.Run(name+"/floor", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			l, next := boundFlow(b, r, o)
			state, events, err := r.store.Encoded(next(l))
			if err != nil {
				b.Fatal(err)
			}
			b.RunParallel(func(pb *testing.PB) {
				key := "postern:{00}:flow:" + uuid.NewString()
				for pb.Next() {
					call := redisx.NewCall(4)
					call.Key(key, "postern:{00}:outbox")
					call.Arg(state, events[0])
					if _, err := floorScript.Run(b.Context(), r.client, call); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkEncode is what a step costs before it is sent.
func BenchmarkEncode(b *testing.B) {
	r := newRig(b, embeddedServer(b))
	l, next := boundFlow(b, r, r.organization(b, "acme"))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.store.Encoded(next(l)); err != nil {
			b.Fatal(err)
		}
	}
}
