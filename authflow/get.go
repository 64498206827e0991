package authflow

import (
	"context"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// View is a flow as readers see it while it is in Redis.
type View struct {
	Flow    *Loaded // its State must not be changed
	Outcome Outcome // where it stands now: verdict, decision with conditions, next; no step is being answered
}

// Get returns a flow that is in Redis, by flow id or support code, or NotFound FLOW_NOT_FOUND. What the view says is of one
// moment; nothing is changed.
func (f *Flows) Get(ctx context.Context, organizationUID, idOrCode string) (View, error) {
	id, err := ParseFlowID(idOrCode)
	if err != nil {
		if id, err = f.byCode(ctx, organizationUID, idOrCode); err != nil {
			return View{}, err
		}
	}
	reading, err := f.c.Store.Read(ctx, Read{OrganizationUID: organizationUID, Flow: id})
	if err != nil {
		return View{}, err
	}
	if reading.Flow == nil || reading.Flow.State.OrganizationUID != organizationUID {
		return View{}, refuse(ErrFlowNotFound)
	}
	org, err := f.c.Directory.Cached(ctx, organizationUID)
	if err != nil {
		return View{}, err
	}
	subject, err := f.regard(ctx, reading.Flow)
	if err != nil {
		return View{}, err
	}
	return f.view(reading.Flow, subject, org), nil
}

// byCode resolves a support code.
func (f *Flows) byCode(ctx context.Context, organizationUID, s string) (FlowID, error) {
	code, err := ParseSupportCode(s)
	if err != nil {
		return FlowID{}, refuse(ErrFlowNotFound)
	}
	reading, err := f.c.Store.Read(ctx, Read{OrganizationUID: organizationUID, SupportCode: code})
	if err != nil {
		return FlowID{}, err
	}
	if reading.FlowID.IsZero() {
		return FlowID{}, refuse(ErrFlowNotFound)
	}
	return reading.FlowID, nil
}

// view says where a flow stands.
func (f *Flows) view(flow *Loaded, subject *SubjectRecords, org *policy.Organization) View {
	s := flow.State
	v := View{Flow: flow, Outcome: Outcome{Flow: s.ID, SupportCode: s.SupportCode, Step: len(s.Steps), Phase: s.Phase, Reason: s.Reason,
		Ending: s.Ending, Deadline: s.Deadline, Recorded: s.Recorded}}
	if s.Phase == PhaseEnded {
		v.Outcome.Verdict = standing(s.Phase, s.Ending)
		if n := len(s.Steps); n > 0 && s.Steps[n-1].Event.Decision != nil {
			v.Outcome.Decision = *s.Steps[n-1].Event.Decision
		}
		return v
	}
	in := Input{Kind: KindTick, Organization: org, Site: siteByUID(org, s.SiteUID), Subject: subject, Device: f.device(s.OrganizationUID)}
	if s.Bound == nil {
		in.Claimed = f.keys(s.OrganizationUID, s.Claimed.AccountID, s.Claimed.Address)
	}
	var r run
	r.begin(*s, in, f.c.Now())
	r.judge()
	v.Outcome.Verdict, v.Outcome.Decision = r.decision.Verdict, r.decision
	if v.Outcome.Verdict == audit.VerdictContinue {
		v.Outcome.Next = r.next
	}
	return v
}
