package audit

// Apply brings a flow's row up to date with one archived event of that flow. Archives call it in sequence order, in the
// transaction that stores the event, so that a row never says more or less than the record. It reports whether r changed.
//
// Only steps (step > 0) move a row; what carries a flow without being a step of it (sessions, tokens, refusals) does not.
// The first start, binding step and ending win. A forked event changes nothing, except that an ending still closes a flow
// that is open: a flow with an archived ending must not look open.
func (r *FlowRow) Apply(e *Event) bool {
	if e.Flow == "" || e.Step <= 0 || (r.ID != "" && (r.ID != e.Flow || r.OrganizationUID != e.OrganizationUID)) {
		return false
	}
	if e.Forked && (r.EndEventID != "" || EndingOf(e.Type) == EndingNone) {
		return false
	}
	if r.ID == "" {
		r.ID, r.OrganizationUID, r.Organization, r.Started = e.Flow, e.OrganizationUID, e.Organization, e.Time
	}
	fill(&r.Site, e.Site)
	fill(&r.SiteUID, e.SiteUID)
	fill(&r.SupportCode, e.SupportCode)
	fill(&r.CorrelationID, e.CorrelationID)
	if e.Class != ClassUnspecified && e.Step >= r.LastStep {
		r.Class, r.Provisional = e.Class, e.Provisional
	}
	if e.Step > r.LastStep {
		r.LastStep, r.LastTime = e.Step, e.Time
	}
	if !e.Forked {
		r.Terms = r.Terms.With(FlowTerms(e)...)
	}
	r.mark(e)
	return true
}

// mark notes the three events a row names.
func (r *FlowRow) mark(e *Event) {
	switch {
	case e.Type == TypeSignInStarted:
		if r.StartEventID == "" {
			r.StartEventID, r.Started = e.ID, e.Time
		}
	case binds(e.Type):
		if r.BindEventID == "" {
			r.BindEventID = e.ID
		}
	case EndingOf(e.Type) != EndingNone:
		if r.EndEventID != "" {
			return
		}
		r.EndEventID, r.Ended, r.Reason, r.Ending = e.ID, e.Time, e.Reason, EndingOf(e.Type)
		if r.StartEventID == "" && len(e.Steps) > 0 && e.Steps[0].Type == TypeSignInStarted {
			r.Started = e.Steps[0].Time // the ending lists every step, also one the archive never got
		}
	}
}

// fill sets an empty field.
func fill(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// EndingOf returns the ending an event type stands for, EndingNone for every other type.
func EndingOf(t Type) Ending {
	if i, ok := position[t]; ok {
		return catalogue[i].Ending
	}
	return EndingNone
}

// binds reports whether a step of this type names a subject: the first one of a flow binds it.
func binds(t Type) bool {
	i, ok := position[t]
	return ok && catalogue[i].Binds
}
