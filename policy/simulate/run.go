package simulate

import (
	"context"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const (
	pageSize   = 200 // flows read at once
	tellEvery  = 10_000
	tellAfter  = time.Second
	maxAtOnce  = 2 // scans of one process
	maxRecalls = 32_768
)

// ReasonBusy refuses to go through flows while as many as may do so already.
const ReasonBusy = "SIMULATIONS_BUSY"

// Records looks up directory records.
type Records interface {
	// Lookup returns the records of each of the keys, in their order.
	Lookup(ctx context.Context, organizationUID string, keys []policy.LookupKeys) ([]policy.Records, error)
}

// Holding is which factors an account has now.
type Holding struct {
	Enrolment policy.Enrolment
	Proofs    []policy.Proof // remembered
}

// Holders says which factors accounts have now.
type Holders interface {
	// Holdings returns what each of the accounts has, in their order.
	Holdings(ctx context.Context, organizationUID string, accounts []policy.AccountKey) ([]Holding, error)
}

// Deps is what going through flows needs. Every field is needed.
type Deps struct {
	Flows   audit.FlowScanner
	Open    func(*audit.Event) error // opens the personal part of an event; audit.Codec's
	Namer   policy.Namer
	Records Records
	Holders Holders
	History policy.History
	Now     func() time.Time
}

// Scanner goes through the flows on record. Safe for concurrent use; at most two scans run at a time.
type Scanner struct {
	Deps
	running chan struct{}
}

// New returns a scanner.
func New(d Deps) *Scanner { return &Scanner{Deps: d, running: make(chan struct{}, maxAtOnce)} }

// Query chooses flows.
type Query struct {
	Start, End time.Time // of the start of flows; zero is open; End is exclusive
	Sites      []string  // ids; none: all
	Samples    int       // flows to name of each kind
}

// Tell hears how far a scan is: flows looked at, and how many there are, 0 when that is not known. An error ends the scan.
type Tell func(done, total int64) error

// begin takes one of the places for scans; the function gives it back.
func (s *Scanner) begin() (func(), error) {
	select {
	case s.running <- struct{}{}:
		return func() { <-s.running }, nil
	default:
		return nil, errs.New(errs.ResourceExhausted, ReasonBusy, "as many simulations as may run at a time are running here; try again when one has ended")
	}
}

// each goes through the flows that a query chooses, page by page, oldest first.
func (s *Scanner) each(ctx context.Context, uid string, q Query, tell Tell, page func([]audit.FlowRecord) error) (int64, error) {
	scan := audit.FlowScan{OrganizationUID: uid, Start: q.Start, End: q.End, Sites: q.Sites, Limit: pageSize}
	total, err := s.Flows.CountFlows(ctx, scan)
	if err != nil {
		return 0, err
	}
	done, told, last := int64(0), int64(0), s.Now()
	if err := tell(0, total); err != nil {
		return 0, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		flows, err := s.Flows.ScanFlows(ctx, scan)
		if err != nil {
			return done, err
		}
		if err := page(flows); err != nil {
			return done, err
		}
		done += int64(len(flows))
		if len(flows) < pageSize {
			return done, nil
		}
		at := &flows[len(flows)-1]
		scan.AfterTime, scan.AfterID = at.Started, at.ID
		if now := s.Now(); done-told >= tellEvery || now.Sub(last) >= tellAfter || now.Before(last) {
			told, last = done, now
			if err := tell(done, max(total, done)*sign(total)); err != nil {
				return done, err
			}
		}
	}
}

// sign keeps a total that is not known at 0.
func sign(total int64) int64 { return min(total, 1) }

// simulation is one run of Simulate.
type simulation struct {
	*Scanner
	uid    string
	draft  *trial
	live   *trial
	over   overlay
	reader reader
	tally  *tally
	result struct{ undecided, unreadable, unchanged int64 }
	known  map[policy.LookupKeys]found
	asked  holdings
}

// Simulate decides the flows that a query chooses anew, by a draft, and counts what would have changed. It writes nothing.
func (s *Scanner) Simulate(ctx context.Context, d Draft, q Query, tell Tell) (*Result, error) {
	leave, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer leave()
	run := &simulation{Scanner: s, uid: d.Now.UID, draft: newTrial(d.Organization), live: newTrial(d.Now), over: overlayOf(&d), tally: newTally(q.Samples),
		known: map[policy.LookupKeys]found{}}
	run.reader = reader{open: s.Open, namer: s.Namer, ips: looksAtNetworks(&d.Organization.Policy)}
	flows, err := s.each(ctx, run.uid, q, tell, func(page []audit.FlowRecord) error { return run.page(ctx, page) })
	if err != nil {
		return nil, err
	}
	r := run.tally.result()
	r.Flows, r.Undecided, r.Unreadable, r.Unchanged, r.Revision = flows, run.result.undecided, run.result.unreadable, run.result.unchanged, d.Now.Revision
	return r, nil
}

// page decides a page of flows.
func (s *simulation) page(ctx context.Context, page []audit.FlowRecord) error {
	list := make([]*facts, 0, len(page))
	for i := range page {
		f, standing, err := s.reader.read(&page[i])
		if err != nil {
			return err
		}
		switch standing {
		case undecided:
			s.result.undecided++
		case unreadable:
			s.result.unreadable++
		case decided:
			list = append(list, f)
		}
	}
	if err := s.recall(ctx, list); err != nil {
		return err
	}
	if err := s.lookup(ctx, list); err != nil {
		return err
	}
	needs := map[need]demanded{}
	for _, f := range list {
		records := s.known[f.keys()]
		o, told := s.draft.decide(f, records.would, s.live, records.is)
		switch {
		case !told:
			s.result.unreadable++
			continue
		case f.changes(&o):
			s.tally.change(f, &o)
		default:
			s.result.unchanged++
		}
		if o.byRule() && o.demands.MFA != nil && f.holder != (policy.AccountKey{}) {
			needs[need{f.holder, o.rule}] = demanded{f.person, o.demands}
		}
	}
	return s.asked.lacking(ctx, s.Holders, s.uid, needs, func(n need, person uint64) { s.tally.needs.add(person) })
}

// looksAtNetworks reports whether it matters to a policy where a step comes from.
func looksAtNetworks(p *policy.Policy) bool {
	return len(p.Stops.Networks) > 0 || slices.ContainsFunc(p.Rules, func(r policy.Rule) bool { return len(r.Match.Networks) > 0 })
}
