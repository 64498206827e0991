package serve

import (
	"context"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/simulate"
	"github.com/postern-audit/postern/server/convert"
)

// simulations gives the server what goes through flows on record.
type simulations struct {
	deps    directory.Deps
	scanner *simulate.Scanner
}

func (p *process) simulations() simulations {
	s := &p.stores
	kept := keptSubjects{s.flows}
	return simulations{p.applier().deps, simulate.New(simulate.Deps{Flows: s.archive, Open: s.codec.Open, Namer: s.namer, Records: kept, Holders: kept,
		History: p.work.past.Revisions(), Now: p.clock.Now})}
}

// Simulate implements server.Simulations.
func (s simulations) Simulate(ctx context.Context, in convert.Simulation, tell simulate.Tell) (*simulate.Result, error) {
	draft, err := directory.Draft(ctx, s.deps, in.Draft)
	if err != nil {
		return nil, err
	}
	return s.scanner.Simulate(ctx, draft, in.Query, tell)
}

// Impact implements server.Simulations.
func (s simulations) Impact(ctx context.Context, in convert.Impact, tell simulate.Tell) ([]simulate.RuleImpact, error) {
	draft, err := directory.Draft(ctx, s.deps, directory.DraftInput{Organization: in.Organization})
	if err != nil {
		return nil, err
	}
	return s.scanner.Impact(ctx, draft.Now, in.Rules, in.Query, tell)
}

// keptSubjects reads what the stores of sign-ins know of subjects.
type keptSubjects struct{ flows *redisstore.Store }

// Lookup implements simulate.Records.
func (k keptSubjects) Lookup(ctx context.Context, uid string, keys []policy.LookupKeys) ([]policy.Records, error) {
	read, err := k.flows.Read(ctx, authflow.Read{OrganizationUID: uid, Lookups: keys})
	if err != nil {
		return nil, err
	}
	return read.Records, nil
}

// Holdings implements simulate.Holders.
func (k keptSubjects) Holdings(ctx context.Context, uid string, accounts []policy.AccountKey) ([]simulate.Holding, error) {
	list, err := k.flows.Subjects(ctx, uid, accounts)
	if err != nil {
		return nil, err
	}
	out := make([]simulate.Holding, len(list))
	for i := range list {
		out[i].Enrolment, out[i].Proofs = list[i].Holds()
	}
	return out, nil
}
