package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Codes of warnings. They are documented API: scripts compare them.
const (
	CodeRuleUnreachable       = "RULE_UNREACHABLE"       // an earlier rule always decides first
	CodeRuleExpired           = "RULE_EXPIRED"           // its time is over
	CodeReportUnseen          = "REPORT_UNSEEN"          // on trial, and an earlier rule always shows instead
	CodeReportSame            = "REPORT_SAME"            // on trial, and it demands what is demanded anyway
	CodeDemandUnmeetable      = "DEMAND_UNMEETABLE"      // nobody can meet what is demanded
	CodeFactorUncounted       = "FACTOR_UNCOUNTED"       // a listed factor never has the evidence that is demanded
	CodeMachineMFA            = "MACHINE_MFA"            // a second factor is demanded of services and apps alone
	CodeRecoveryOnly          = "RECOVERY_ONLY"          // recovery codes alone are taken, and they run out
	CodeEvidenceUnused        = "EVIDENCE_UNUSED"        // evidence is named and nothing needs it
	CodeDomainTwice           = "DOMAIN_TWICE"           // another entry of the list covers it
	CodeNetworkTwice          = "NETWORK_TWICE"          // another entry of the list holds it
	CodeNetworkEverybody      = "NETWORK_EVERYBODY"      // it holds every address of its kind
	CodeAccountListUnused     = "ACCOUNT_LIST_UNUSED"    // no rule names it
	CodeAccountListExpired    = "ACCOUNT_LIST_EXPIRED"   // entries of it have expired
	CodeSiteClosed            = "SITE_CLOSED"            // every external user is denied there
	CodeConnectionDisabled    = "CONNECTION_DISABLED"    // something is demanded or allowed through it
	CodeConnectionUnverified  = "CONNECTION_UNVERIFIED"  // it has settings for verification and is not verified here
	CodeConnectionUnreachable = "CONNECTION_UNREACHABLE" // no sign-in can be begun through it here
	CodeConnectionBoundless   = "CONNECTION_BOUNDLESS"   // its provider may speak for anybody's e-mail
)

// Codes lists the codes of warnings, for tests and documentation.
func Codes() []string {
	return []string{
		CodeAccountListExpired, CodeAccountListUnused, CodeConnectionBoundless, CodeConnectionDisabled, CodeConnectionUnreachable, CodeConnectionUnverified, CodeDemandUnmeetable, CodeDomainTwice,
		CodeEvidenceUnused, CodeFactorUncounted, CodeMachineMFA, CodeNetworkEverybody, CodeNetworkTwice, CodeRecoveryOnly, CodeReportSame,
		CodeReportUnseen, CodeRuleExpired, CodeRuleUnreachable, CodeSiteClosed,
	}
}

// Lint returns what may be applied and is probably not meant: warnings, each with a code. What must not be applied is Validate's;
// an organization that it refuses is not linted. A rule is called unreachable, or a demand unmeetable, only when that is
// certain: no warning is no promise.
func (o *Organization) Lint(now time.Time) []Problem {
	l := &lint{problems: &problems{}, org: o, now: now}
	for _, p := range o.Validate() {
		if !p.Warning {
			return nil
		}
		l.list = append(l.list, p)
	}
	for i := range o.Policy.Rules {
		l.rule(i)
	}
	l.demands("policy.default", &o.Policy.Default)
	l.stops(&o.Policy.Stops)
	l.accountLists()
	for _, c := range o.Closed(now) {
		l.warn(CodeSiteClosed, c.Path, "every external user is denied at site "+c.Site+c.When(now)+": "+c.Why,
			"let somebody in, or disable the site if that is meant")
	}
	return l.list
}

type lint struct {
	*problems
	org *Organization
	now time.Time
}

func (l *lint) rule(i int) {
	rules := l.org.Policy.Rules
	r := &rules[i]
	path := "policy.rules[" + r.ID + "]"
	if inForce, _ := r.active(l.now); !inForce {
		l.warn(CodeRuleExpired, path+".expires_at", "the rule ended at "+r.ExpiresAt.UTC().Format(time.RFC3339)+" and does nothing any more", "remove it")
		return
	}
	l.reachable(path, rules[:i], r)
	l.same(path, i)
	l.demands(path+".demands", &r.Demands)
	l.machines(path, r)
	l.domainsTwice(path+".match.domains", r.Match.Domains)
	l.networksTwice(path+".match.networks", r.Match.Networks)
}

// reachable warns of rules that an earlier one always hides.
func (l *lint) reachable(path string, before []Rule, r *Rule) {
	for i := range before {
		b := &before[i]
		if !l.org.covers(&b.Match, &r.Match) || !b.lasts(r) {
			continue
		}
		switch {
		case r.Mode == ModeReportOnly: // the first of the rules in force is the one that shows, on trial or not
			l.warn(CodeReportUnseen, path, "rule "+quote(b.ID)+" matches whoever this one matches and shows instead", "move this rule up, or narrow the other one")
			return
		case b.Mode == ModeEnforce && !b.EnforceFrom.After(later(l.now, r.EnforceFrom)):
			l.warn(CodeRuleUnreachable, path, "rule "+quote(b.ID)+" always decides first", "move this rule up, or narrow the other one")
			return
		}
	}
}

// lasts reports whether r is in force for at least as long as o.
func (r *Rule) lasts(o *Rule) bool {
	return r.ExpiresAt.IsZero() || !o.ExpiresAt.IsZero() && !r.ExpiresAt.Before(o.ExpiresAt)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// same warns of a rule on trial that shows what happens anyway: it demands what the default does, and no rule stands behind it.
func (l *lint) same(path string, i int) {
	r := &l.org.Policy.Rules[i]
	if r.Mode != ModeReportOnly || !r.Demands.equal(&l.org.Policy.Default) {
		return
	}
	for _, behind := range l.org.Policy.Rules[i+1:] {
		if inForce, _ := behind.active(l.now); inForce {
			return
		}
	}
	l.warn(CodeReportSame, path, "it demands what the default demands: what it would do is what happens", "demand something else, or remove the rule")
}

func (l *lint) stops(s *Stops) {
	l.domainsTwice("policy.stops.domains", s.Domains)
	l.networksTwice("policy.stops.networks", s.Networks)
	for i, p := range s.Networks {
		if p.Bits() == 0 {
			l.warn(CodeNetworkEverybody, fmt.Sprintf("policy.stops.networks[%d]", i), p.String()+" stops everybody with such an address, employees too",
				"name smaller networks, or use stops.external")
		}
	}
}

func (l *lint) domainsTwice(path string, list []DomainMatch) {
	for i, m := range list {
		for j, o := range list {
			if i != j && o.coversAll(m) {
				l.warn(CodeDomainTwice, fmt.Sprintf("%s[%d]", path, i), m.Domain.s+" is part of "+describeDomain(o)+", which stands there too", "remove it")
				break
			}
		}
	}
}

func (l *lint) networksTwice(path string, list []netip.Prefix) {
	for i, p := range list {
		for j, o := range list {
			if i != j && holds(o, p) && (o != p || j < i) {
				l.warn(CodeNetworkTwice, fmt.Sprintf("%s[%d]", path, i), p.String()+" is part of "+o.String()+", which stands there too", "remove it")
				break
			}
		}
	}
}

func (l *lint) accountLists() {
	for i := range l.org.Policy.AccountLists {
		list := &l.org.Policy.AccountLists[i]
		name := list.Name
		if !slices.ContainsFunc(l.org.Policy.Rules, func(r Rule) bool { return slices.Contains(r.Match.AccountLists, name) }) {
			l.warn(CodeAccountListUnused, "policy.account_lists["+name+"]", "no rule names this list", "name it in a rule's match, or remove it")
		}
		if n := list.expired(l.now); n > 0 {
			text := fmt.Sprintf("%d of %d entries have expired", n, len(list.Accounts))
			if n == len(list.Accounts) {
				text = "every entry has expired: the list matches nobody"
			}
			l.warn(CodeAccountListExpired, "policy.account_lists["+name+"]", text, "remove them, or give them another expires_at")
		}
	}
}

// expired counts the entries that do not count any more.
func (l *AccountList) expired(now time.Time) int {
	n := 0
	for _, e := range l.Expiries {
		if !now.Before(e.At) {
			n++
		}
	}
	return n
}
