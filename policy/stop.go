package policy

import "github.com/postern-audit/postern/audit"

// Stopped returns the stop that bites now, nil when none does. Stops are decided at every call, whatever was frozen.
//
// Everybody, bound or not: a disabled organization or site (SITE_DISABLED), the disabled connection that is being used or
// that bound (CONNECTION_DISABLED), a stopped network (NETWORK_BLOCKED; an unknown IP address lies in no network). Only bound
// subjects of class EXTERNAL: the stop of external users (ORGANIZATION_BLOCKS_EXTERNAL) and of e-mail domains
// (DOMAIN_BLOCKED; only an e-mail that counts, see Classify). class is the frozen one. Without an organization or a site
// nobody may enter: SITE_DISABLED.
func Stopped(in Input, bound bool, class audit.Class) *Stop {
	switch {
	case in.Organization == nil:
		return &Stop{Reason: audit.ReasonSiteDisabled, Detail: "there is no such organization"}
	case in.Organization.Disabled:
		return &Stop{Reason: audit.ReasonSiteDisabled, Detail: "the organization is disabled"}
	case in.Site == nil:
		return &Stop{Reason: audit.ReasonSiteDisabled, Detail: "there is no such site"}
	case in.Site.Disabled:
		return &Stop{Reason: audit.ReasonSiteDisabled, Detail: "the site is disabled"}
	}
	if id := in.Context.Connection; id != "" {
		if c := findConnection(in.Organization, id); c != nil && c.Disabled {
			return &Stop{Reason: audit.ReasonConnectionDisabled, Detail: "connection " + c.ID + " is disabled"}
		}
	}
	stops := &in.Organization.Policy.Stops
	if p, ok := within(stops.Networks, plain(in.Context.IP)); ok {
		return &Stop{Reason: audit.ReasonNetworkBlocked, Detail: "network " + p.String() + " is stopped"}
	}
	if !bound || class != audit.ClassExternal {
		return nil
	}
	if stops.External {
		return &Stop{Reason: audit.ReasonOrganizationBlocksExternal, Detail: "external users are stopped"}
	}
	subject := in.Subject
	subject.Typed = false
	address, _ := counted(in.Site, subject)
	for i := range stops.Domains {
		if stops.Domains[i].Covers(address.domain) {
			return &Stop{Reason: audit.ReasonDomainBlocked, Detail: "e-mail domain " + describeDomain(stops.Domains[i]) + " is stopped"}
		}
	}
	return nil
}

// Halt turns a decision into the one a stop makes of it: DENY with the stop's reason, in would_be too. Nothing is next.
func Halt(d audit.Decision, s Stop) audit.Decision {
	d.Verdict, d.Reason = audit.VerdictDeny, s.Reason
	d.Source, d.Rule, d.Message, d.HelpURL = SourceStop, "", "", ""
	if d.WouldBe != nil {
		d.WouldBe = &audit.WouldBe{Verdict: audit.VerdictDeny, Reason: s.Reason}
	}
	d.Conditions = append(d.Conditions[:len(d.Conditions):len(d.Conditions)], audit.Condition{Name: "stop", Met: true, Detail: s.Detail})
	return d
}
