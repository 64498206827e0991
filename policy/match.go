package policy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// facts is what rules match on: the parts of an Input that count.
type facts struct {
	lists      []AccountList
	now        time.Time
	address    Address    // zero unless it counts
	addressKey AccountKey // zero unless the address counts
	accountKey AccountKey
	kind       audit.SubjectKind
	site       string
	ip         netip.Addr
	connection string
}

func factsOf(in *Input) facts {
	f := facts{lists: in.Organization.Policy.AccountLists, now: in.Now, accountKey: in.Subject.AccountKey, kind: in.Subject.Kind,
		site: in.Site.ID, ip: plain(in.Context.IP), connection: in.Context.Connection}
	if f.kind == audit.SubjectUnspecified {
		f.kind = audit.SubjectPerson
	}
	if f.address, _ = counted(in.Site, in.Subject); !f.address.IsZero() {
		f.addressKey = in.Subject.AddressKey
	}
	return f
}

// A test is one condition of a rule. Values within it are alternatives; what is unknown never meets a condition.
type test struct {
	name  string
	given bool
	met   bool
	hit   string // what met it, in the organization's terms; of a list that does not hold, one that the subject's time on is over
}

// tests looks at the conditions of m in a fixed order and stops at the first that is not met.
func (f *facts) tests(m *Match, see func(test) bool) bool {
	for i := range len(conditionNames) {
		t := f.test(m, i)
		if !t.given {
			continue
		}
		t.name = conditionNames[i]
		if !see(t) {
			return false
		}
	}
	return true
}

var conditionNames = [...]string{"site", "kind", "domain", "account", "account_list", "network", "connection"}

func (f *facts) test(m *Match, i int) test {
	switch i {
	case 0:
		return contains(m.Sites, f.site)
	case 1:
		return test{given: len(m.Kinds) > 0, met: slices.Contains(m.Kinds, f.kind), hit: f.kind.String()}
	case 2:
		return f.domain(m.Domains)
	case 3:
		return test{given: len(m.Accounts) > 0, met: f.listed(m.Accounts), hit: "the rule names the subject"}
	case 4:
		return f.list(m.AccountLists)
	case 5:
		return f.network(m.Networks)
	}
	return contains(m.Connections, f.connection)
}

func contains(values []string, value string) test {
	return test{given: len(values) > 0, met: value != "" && slices.Contains(values, value), hit: value}
}

func (f *facts) domain(matches []DomainMatch) test {
	for i := range matches {
		if matches[i].Covers(f.address.domain) {
			return test{given: true, met: true, hit: describeDomain(matches[i])}
		}
	}
	return test{given: len(matches) > 0}
}

func (f *facts) listed(keys []AccountKey) bool {
	for _, k := range keys {
		if k != (AccountKey{}) && (k == f.accountKey || k == f.addressKey) {
			return true
		}
	}
	return false
}

func (f *facts) list(names []string) test {
	t := test{given: len(names) > 0}
	for i := range f.lists {
		l := &f.lists[i]
		if !slices.Contains(names, l.Name) {
			continue
		}
		for _, k := range [...]AccountKey{f.accountKey, f.addressKey} {
			on, expired := l.holds(k, f.now)
			if on {
				return test{given: true, met: true, hit: l.Name}
			}
			if expired {
				t.hit = l.Name
			}
		}
	}
	return t
}

func (f *facts) network(prefixes []netip.Prefix) test {
	if p, ok := within(prefixes, f.ip); ok {
		return test{given: true, met: true, hit: p.String()}
	}
	return test{given: len(prefixes) > 0}
}

// plain strips what would keep an address from lying in a prefix: the IPv4-in-IPv6 form and a zone.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

func within(prefixes []netip.Prefix, ip netip.Addr) (netip.Prefix, bool) {
	for _, p := range prefixes {
		if p.Contains(ip) { // false for a zero ip
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// matches reports whether every given condition of m holds.
func (f *facts) matches(m *Match) bool {
	return f.tests(m, func(t test) bool { return t.met })
}

// met lists the conditions of a rule that matches.
func (f *facts) met(m *Match) []audit.Condition {
	var list []audit.Condition
	f.tests(m, func(t test) bool {
		list = append(list, audit.Condition{Name: t.name, Met: true, Detail: t.hit})
		return true
	})
	return list
}

// unmet returns the first condition that kept a rule from matching.
func (f *facts) unmet(r *Rule) audit.Condition {
	var c audit.Condition
	f.tests(&r.Match, func(t test) bool {
		if !t.met {
			c = audit.Condition{Name: t.name, Detail: "rule " + r.ID + " needs " + describe(&r.Match, t.name)}
			if t.hit != "" && t.name == conditionNames[4] {
				c.Detail += "; the entry of list " + t.hit + " has expired"
			}
		}
		return t.met
	})
	return c
}

// Active says what a rule does at a moment.
func (r *Rule) active(now time.Time) (inForce, enforced bool) {
	if !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt) {
		return false, false
	}
	// A rule whose time has not come is tried like a report-only one: would_be shows what it will do.
	return true, r.Mode != ModeReportOnly && !now.Before(r.EnforceFrom)
}

// picked is the outcome of both passes over the rules.
type picked struct {
	rule      *Rule // first matching enforced rule, nil: the default
	would     *Rule // first matching rule with report-only ones enforced in place, nil: the default
	hasReport bool  // a report-only rule is in force, matching or not
	passed    []audit.Condition
}

// maxPassed bounds how many rules that did not match a decision explains.
const maxPassed = 8

func (f *facts) pick(rules []Rule, now time.Time) picked {
	var p picked
	passed := 0
	for i := range rules {
		r := &rules[i]
		inForce, enforced := r.active(now)
		if !inForce {
			continue
		}
		p.hasReport = p.hasReport || !enforced
		if p.rule != nil {
			continue
		}
		if !f.matches(&r.Match) {
			if passed++; passed <= maxPassed {
				p.passed = append(p.passed, f.unmet(r))
			}
			continue
		}
		if p.would == nil {
			p.would = r
		}
		if enforced {
			p.rule = r
		}
	}
	if passed > maxPassed {
		p.passed = append(p.passed, audit.Condition{Name: "rules", Detail: strconv.Itoa(passed-maxPassed) + " more rules did not match"})
	}
	return p
}

// describe says what a condition asks for, in the organization's own terms. Never personal: accounts are counted.
func describe(m *Match, name string) string {
	switch name {
	case "site":
		return "site " + some(m.Sites, func(s string) string { return s })
	case "kind":
		return "kind " + some(m.Kinds, audit.SubjectKind.String)
	case "domain":
		return "an e-mail that counts at " + some(m.Domains, describeDomain)
	case "account":
		return "one of " + strconv.Itoa(len(m.Accounts)) + " named accounts"
	case "account_list":
		return "an account of list " + some(m.AccountLists, func(s string) string { return s })
	case "network":
		return "network " + some(m.Networks, netip.Prefix.String)
	}
	return "connection " + some(m.Connections, func(s string) string { return s })
}

func describeDomain(m DomainMatch) string {
	if m.Subdomains {
		return m.Domain.s + " or a subdomain of it"
	}
	return m.Domain.s
}

// some joins the first few alternatives.
func some[T any](values []T, text func(T) string) string {
	const few = 4
	var b strings.Builder
	for i, v := range values {
		if i == few {
			b.WriteString(" or " + strconv.Itoa(len(values)-few) + " more")
			break
		}
		if i > 0 {
			b.WriteString(" or ")
		}
		b.WriteString(text(v))
	}
	return b.String()
}
