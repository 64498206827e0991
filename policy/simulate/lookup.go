package simulate

import (
	"bytes"
	"context"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// lookupsAtOnce bounds what one read asks of the directory, so that no sign-in waits behind it.
const lookupsAtOnce = 50

// found are the records of a subject as they are, and as they would be.
type found struct{ is, would policy.Records }

// lookup makes sure that the records of these flows' subjects are known.
func (s *simulation) lookup(ctx context.Context, list []*facts) error {
	if len(s.known) > maxRecalls {
		clear(s.known)
	}
	var missing []policy.LookupKeys
	for _, f := range list {
		keys := f.keys()
		if _, ok := s.known[keys]; !ok {
			s.known[keys] = found{}
			missing = append(missing, keys)
		}
	}
	is, err := s.read(ctx, missing)
	if err != nil {
		return err
	}
	shown, err := s.behind(ctx, missing, is)
	if err != nil {
		return err
	}
	for i, keys := range missing {
		s.known[keys] = found{is[i], s.over.apply(keys, shown[i])}
	}
	return nil
}

// read reads records in small portions.
func (s *simulation) read(ctx context.Context, keys []policy.LookupKeys) ([]policy.Records, error) {
	out := make([]policy.Records, 0, len(keys))
	for chunk := range slices.Chunk(keys, lookupsAtOnce) {
		more, err := s.Records.Lookup(ctx, s.uid, chunk)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// behind returns the records with domains that the draft drops replaced by what they hide: a record of a parent.
func (s *simulation) behind(ctx context.Context, keys []policy.LookupKeys, is []policy.Records) ([]policy.Records, error) {
	out := slices.Clone(is)
	for {
		var ask []policy.LookupKeys
		var at []int
		for i := range out {
			if parent, hidden := s.over.behind(out[i].Domain, keys[i].Domain); hidden {
				ask, at = append(ask, policy.LookupKeys{Domain: parent}), append(at, i)
			}
		}
		if len(ask) == 0 {
			return out, nil
		}
		more, err := s.read(ctx, ask)
		if err != nil {
			return nil, err
		}
		for n, i := range at {
			out[i].Domain = more[n].Domain
		}
	}
}

// recall asks the flows that vague proofs come from for what the proofs do not say. What they do not tell either stays vague.
func (s *simulation) recall(ctx context.Context, list []*facts) error {
	var ask []audit.StepRef
	for _, f := range list {
		for i := range f.proofs {
			if f.proofs[i].vague {
				ask = append(ask, f.proofs[i].from)
			}
		}
	}
	if len(ask) == 0 {
		return nil
	}
	events, err := s.Flows.Steps(ctx, s.uid, ask)
	if err != nil {
		return err
	}
	from := make(map[audit.StepRef]*audit.Event, len(events))
	for i := range events {
		e := &events[i]
		if err := s.Open(e); err != nil {
			return err
		}
		if proves, _ := provesType(e.Type); proves && e.PersonalState == "" {
			from[audit.StepRef{Flow: e.Flow, Step: e.Step}] = e
		}
	}
	for _, f := range list {
		for i := range f.proofs {
			if e := from[f.proofs[i].from]; e != nil {
				f.proofs[i].learn(e)
			}
		}
	}
	return nil
}

// learn takes the rest from the step that made the proof. When it was made is as the decision says.
func (p *proof) learn(e *audit.Event) {
	s := shown(e)
	p.Connection, p.ConnectionUID, p.UserVerified, p.PartnerAMR, p.PartnerACR = s.Connection, e.ConnectionUID, s.UserVerified, s.PartnerAMR, s.PartnerACR
	p.vague = false
}

// need is a factor that a rule demands of an account; demanded is of whom and what.
type need struct {
	account policy.AccountKey
	rule    string
}

type demanded struct {
	person uint64
	policy.Demands
}

// holdings remembers who was asked about already.
type holdings struct{ lacks map[need]bool }

// lacking calls add for each need that is not met by what the account has now.
func (h *holdings) lacking(ctx context.Context, from Holders, uid string, needs map[need]demanded, add func(need, uint64)) error {
	if h.lacks == nil || len(h.lacks) > maxRecalls {
		h.lacks = map[need]bool{}
	}
	var ask []policy.AccountKey
	for n := range needs {
		if _, known := h.lacks[n]; !known {
			ask = append(ask, n.account)
		}
	}
	slices.SortFunc(ask, func(a, b policy.AccountKey) int { return bytes.Compare(a[:], b[:]) })
	ask = slices.Compact(ask)
	has := make(map[policy.AccountKey]Holding, len(ask))
	for chunk := range slices.Chunk(ask, lookupsAtOnce) {
		list, err := from.Holdings(ctx, uid, chunk)
		if err != nil {
			return err
		}
		for i := range list {
			has[chunk[i]] = list[i]
		}
	}
	for n, d := range needs {
		lacks, known := h.lacks[n]
		if !known {
			holding := has[n.account]
			lacks = !d.Holds(holding.Enrolment, holding.Proofs)
			h.lacks[n] = lacks
		}
		if lacks {
			add(n, d.person)
		}
	}
	return nil
}
