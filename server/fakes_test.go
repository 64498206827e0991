package server_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

const (
	acmeUID = "019365a0-0000-7000-8000-00000000acae"
	flowID  = "019365a0-0000-7000-8000-000000000001"
	hidden  = "019365a0-0000-7000-8000-000000000002" // a live flow that is not recorded
)

// outbox keeps what is appended, or refuses.
type outbox struct {
	mu     sync.Mutex
	events []audit.Event
	reads  []audit.Event // log.searched, apart from the rest: they come when they come
	fail   error
	grew   chan struct{} // gets a value with every append
}

func newOutbox() *outbox { return &outbox{grew: make(chan struct{}, 1000)} }

func (o *outbox) Append(_ context.Context, uid string, events ...audit.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	for _, e := range events {
		if e.OrganizationUID != uid {
			return errors.New("outbox: an event of another organization")
		}
		if e.Type == audit.TypeLogSearched {
			o.reads = append(o.reads, e)
			continue
		}
		o.events = append(o.events, e)
		o.grew <- struct{}{}
	}
	return nil
}

func (o *outbox) setFail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

func (o *outbox) take() []audit.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.events
	o.events = nil
	return out
}

// directory knows acme with one site.
type directory struct{}

func (directory) Resolve(_ context.Context, id string) (string, error) {
	if id != "acme" {
		return "", errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return acmeUID, nil
}

func (directory) Organization(_ context.Context, uid string) (*policy.Organization, error) {
	if uid != acmeUID {
		return nil, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is no such organization")
	}
	return &policy.Organization{UID: acmeUID, ID: "acme", Sites: []policy.Site{{ID: "wiki", UID: "u-wiki"}}}, nil
}

func (d directory) Cached(ctx context.Context, uid string) (*policy.Organization, error) {
	return d.Organization(ctx, uid)
}

func (directory) Organizations(_ context.Context, after string, limit int) ([]policy.Organization, error) {
	var out []policy.Organization
	for _, id := range []string{"acme", "beta", "gamma"} {
		if id > after && len(out) < limit {
			out = append(out, policy.Organization{ID: id, UID: "u-" + id})
		}
	}
	return out, nil
}

func (directory) Domains(context.Context, string, policy.Domain, int) (policy.DomainPage, error) {
	return policy.DomainPage{DomainCount: 7}, nil
}

// flows answers what a test sets.
type flows struct {
	mu    sync.Mutex
	step  func(ctx context.Context, in authflow.StepInput) (authflow.Answer, error)
	calls []authflow.Caller
	live  map[string]*authflow.Loaded

	access audit.Verdict // of CheckAccess
}

func newFlows() *flows {
	f := &flows{live: map[string]*authflow.Loaded{}}
	for id, recorded := range map[string]bool{flowID: true, hidden: false} {
		parsed, _ := authflow.ParseFlowID(id)
		f.live[id] = &authflow.Loaded{
			State: &authflow.State{ID: parsed, Organization: "acme", OrganizationUID: acmeUID, Recorded: recorded, Phase: authflow.PhaseOpen},
			Stamp: policy.Stamp{1},
		}
	}
	return f
}

func (f *flows) answer(who authflow.Caller) (authflow.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, who)
	id, err := authflow.ParseFlowID(flowID)
	return authflow.Answer{
		Organization: "acme", OrganizationUID: acmeUID,
		Outcome: authflow.Outcome{Flow: id, Phase: authflow.PhaseOpen, Verdict: audit.VerdictContinue, Step: 1},
	}, err
}

func (f *flows) Start(_ context.Context, who authflow.Caller, _ authflow.StartInput) (authflow.Answer, error) {
	return f.answer(who)
}

func (f *flows) Step(ctx context.Context, who authflow.Caller, in authflow.StepInput) (authflow.Answer, error) {
	f.mu.Lock()
	step := f.step
	f.mu.Unlock()
	if step != nil {
		return step(ctx, in)
	}
	return f.answer(who)
}

func (f *flows) Finish(_ context.Context, who authflow.Caller, _ authflow.FinishInput) (authflow.Answer, error) {
	return f.answer(who)
}

func (f *flows) RecordSession(_ context.Context, who authflow.Caller, _ authflow.SessionInput) (authflow.Answer, error) {
	return f.answer(who)
}

func (f *flows) VerifyTotp(_ context.Context, who authflow.Caller, _ authflow.TotpInput) (authflow.Answer, error) {
	return f.answer(who)
}

func (f *flows) VerifyRecoveryCode(_ context.Context, who authflow.Caller, _ authflow.RecoveryInput) (authflow.Answer, error) {
	return f.answer(who)
}

func (f *flows) CheckAccess(_ context.Context, who authflow.Caller, in authflow.AccessInput) (authflow.Access, error) {
	a, err := f.answer(who)
	return authflow.Access{Organization: in.Organization, Verdict: f.access, Flow: a.Flow, Session: "5e55", ValidUntil: time.Unix(1e9, 0)}, err
}

func (f *flows) Get(_ context.Context, uid, idOrCode string) (authflow.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.live[idOrCode]
	if !ok || uid != acmeUID {
		return authflow.View{}, errs.New(errs.NotFound, "FLOW_NOT_FOUND", "there is no such flow")
	}
	return authflow.View{Flow: l}, nil
}

func (f *flows) set(id string, l *authflow.Loaded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[id] = l
}

// archive is an archive in memory, which can be away.
type archive struct {
	people []audit.SubjectRow
	mu     sync.Mutex
	events []audit.Event
	rows   []audit.FlowRow
	away   error
	reads  int
}

func (a *archive) add(types ...audit.Type) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range types {
		n := int64(len(a.events) + 1)
		a.events = append(a.events, audit.Event{ID: string(rune('a' + n)), Type: t, OrganizationUID: acmeUID, Sequence: n, RecordedTime: time.Unix(n, 0)})
	}
}

func (a *archive) setAway(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = err
}

func (a *archive) Event(_ context.Context, _, id string) (audit.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.ID == id {
			return e, a.away
		}
	}
	return audit.Event{}, errs.New(errs.NotFound, "EVENT_NOT_FOUND", "there is no such event")
}

func (a *archive) Events(_ context.Context, q audit.Query) ([]audit.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reads++
	if a.away != nil {
		return nil, a.away
	}
	var out []audit.Event
	for i := range a.events {
		e := a.events[i]
		if q.Descending {
			e = a.events[len(a.events)-1-i]
		}
		after := e.Sequence > q.After
		if q.Descending {
			after = q.After == 0 || e.Sequence < q.After
		}
		if after && len(out) < q.Limit && (len(q.Types) == 0 || q.Types[0] == string(e.Type)) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (a *archive) Flow(_ context.Context, _, id string) (audit.FlowRow, []audit.Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.rows {
		if r.ID == id {
			return r, nil, a.away
		}
	}
	return audit.FlowRow{}, nil, errs.New(errs.NotFound, "FLOW_NOT_FOUND", "there is no such flow")
}

func (a *archive) Flows(_ context.Context, q audit.FlowQuery) ([]audit.FlowRow, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []audit.FlowRow
	for _, r := range a.rows {
		if (q.BeforeID == "" || r.ID < q.BeforeID) && len(out) < q.Limit {
			out = append(out, r)
		}
	}
	return out, a.away
}

func (a *archive) Keys(context.Context, string, int) ([]audit.OrganizationKey, error) {
	return nil, nil
}

func (a *archive) Position(context.Context, string) (int64, time.Time, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.events)), time.Unix(99, 0), a.away
}

// parts are the small dependencies no test looks at.
type parts struct{}

func (parts) Open(*audit.Event) error         { return nil }
func (parts) Add(audit.OrganizationKey) error { return nil }
func (parts) Has(string) bool                 { return true }

func (parts) Indexes(string, audit.Purpose, string) ([]audit.Index, error) { return nil, nil }

func (parts) AccountKey(string, string) policy.AccountKey         { return policy.AccountKey{1} }
func (parts) AddressKey(string, policy.Address) policy.AccountKey { return policy.AccountKey{2} }

func (parts) Retention(context.Context, string) (audit.Retention, error) {
	return audit.StandardRetention(), nil
}

func (parts) Tallies(context.Context, string, []string, []time.Time) ([]authflow.DueTally, error) {
	return nil, nil
}

func (parts) ArchivedUntil(context.Context, string) (time.Time, error) { return time.Unix(50, 0), nil }

func (parts) Read(context.Context, authflow.Read) (*authflow.Reading, error) {
	o, err := directory{}.Organization(context.Background(), acmeUID)
	return &authflow.Reading{Organization: o, Records: make([]policy.Records, 1)}, err
}

func forms() convert.Forms {
	return convert.Forms{
		Event: func(e *audit.Event) *posternv1.Event {
			return &posternv1.Event{Id: e.ID, Type: string(e.Type), Sequence: e.Sequence}
		},
		Personal: func(*audit.Personal) *posternv1.Personal { return &posternv1.Personal{} },
		Mask:     func(*audit.Event) error { return nil },
		Decision: func(*audit.Decision) *posternv1.Decision { return &posternv1.Decision{} },
		Organization: func(o *policy.Organization) *posternv1.Organization {
			return &posternv1.Organization{Name: "organizations/" + o.ID, Uid: o.UID}
		},
		Policy: func(*policy.Organization) *posternv1.Policy { return &posternv1.Policy{} },
		Domain: func(policy.DomainRecord) *posternv1.Domain { return &posternv1.Domain{} },
		Connection: func(organization string, c *policy.Connection) *posternv1.Connection {
			return &posternv1.Connection{Name: "organizations/" + organization + "/connections/" + c.ID, Id: c.ID}
		},
	}
}
