package document

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Limits of a file of cases.
const (
	MaxCases = 5000
	maxShown = 32 // of a case, shown and remembered each
)

// Cases is a file of cases about an organization document, parsed.
type Cases struct {
	Document string    // path of the document; "" when the file does not say
	Time     time.Time // of cases that do not say; zero when the file does not either
	List     []Case
}

// Case is a sign-in that is made up and what is expected of it.
type Case struct {
	Line          int
	Name          string
	Site          string         // "": the document's first
	Address       policy.Address // zero: none
	AccountID     string
	EmailVerified bool
	Kind          audit.SubjectKind
	IP            netip.Addr
	Method        audit.Method // zero: what was shown says
	Shown         []CaseStep
	Remembered    []CaseStep
	Enrolled      *[]string // nil: nothing is known
	Device        string
	Time          time.Time // zero: the file's
	Expect        Expect
}

// CaseStep is something that was proven.
type CaseStep struct {
	Method       audit.Method // zero for a factor
	Factor       string
	Evidence     audit.Evidence
	Ago          time.Duration
	UserVerified bool
	PartnerAMR   []string
	PartnerACR   string
	Device       string // of something remembered
}

// Expect is what a case expects. What is zero or nil is not looked at.
type Expect struct {
	Class       audit.Class
	Source      string
	Rule        string
	Verdict     audit.Verdict
	Reason      string
	Message     string
	Demands     *[]string // kinds of demand
	Unmet       *[]string // those of them that are not met
	Next        *[]string // moves, such as password, sso:okta, mfa:TOTP
	WouldBe     audit.Verdict
	WouldBeRule string
}

// ParseCases reads a file of cases. With problems it is nil.
//
// Grammar: a YAML 1.2 or JSON table with the keys document, time and cases (required); docs/policy-admin.md shows every key.
func ParseCases(b []byte) (*Cases, Problems) {
	root, p := scan(b)
	if p != nil {
		if p.Fix == emptyFix {
			p.Fix = "begin with cases: and one case a dash"
		}
		return nil, Problems{*p}
	}
	r := &reader{places: map[string]place{}}
	c := &Cases{}
	r.table(root, "", fields{
		"document": r.line(&c.Document),
		"time":     func(n *node, path string) { c.Time = r.time(n, path) },
		"cases":    func(n *node, path string) { c.List = r.cases(n, path) },
	})
	if root.kind == isTable && root.find("cases") == nil {
		r.problem(root.place, "cases", "there are no cases", "add cases: and one case a dash")
	}
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return c, nil
}

func (r *reader) cases(n *node, list string) []Case {
	if n.kind == isList && len(n.items) > MaxCases {
		r.problem(n.place, list, "more than 5000 cases", "split the file")
		return nil
	}
	var out []Case
	seen := map[string]bool{}
	r.some(n, list, func(n *node, path string) {
		c := Case{Line: n.line, EmailVerified: true}
		r.table(n, path, r.caseFields(&c, seen))
		if n.kind == isTable {
			r.whole(n, path)
		}
		out = append(out, c)
	})
	return out
}

// whole checks that a case has what each needs.
func (r *reader) whole(n *node, path string) {
	if n.find("name") == nil {
		r.problem(n.place, path, "no name", "add name: and what the case shows, in a few words")
	}
	if expect := n.find("expect"); expect == nil || expect.kind == isTable && len(expect.entries) == 0 {
		r.problem(n.place, path, "nothing is expected", "add expect: with a verdict, a rule or more")
	}
	if verified := n.find("email_verified"); verified != nil && n.find("address") == nil {
		r.problem(verified.place, join(path, "email_verified"), "there is no address to be verified", "add address:, or leave it out")
	}
}

func (r *reader) caseFields(c *Case, seen map[string]bool) fields {
	return fields{
		"name": func(n *node, path string) {
			if c.Name = r.text(n, path); len(c.Name) > policy.MaxText {
				r.problem(n.place, path, "longer than 512 bytes", "shorten it")
			} else if c.Name != "" {
				r.twice(n, path, seen, c.Name)
			}
		},
		"site":           func(n *node, path string) { c.Site = r.id(n, path) },
		"address":        func(n *node, path string) { c.Address = r.address(n, path) },
		"account_id":     func(n *node, path string) { c.AccountID = r.accountID(n, path) },
		"email_verified": r.flag(&c.EmailVerified),
		"kind": func(n *node, path string) {
			c.Kind = choice(r, n, path, []string{"PERSON", "SERVICE", "APP"}, []audit.SubjectKind{audit.SubjectPerson, audit.SubjectService, audit.SubjectApp})
		},
		"ip":     func(n *node, path string) { c.IP = r.ip(n, path) },
		"method": func(n *node, path string) { c.Method = r.method(n, path) },
		"shown": func(n *node, path string) {
			c.Shown = r.steps(n, path, false)
		},
		"remembered": func(n *node, path string) { c.Remembered = r.steps(n, path, true) },
		"enrolled": func(n *node, path string) {
			c.Enrolled = &[]string{}
			r.list(n, path, func(n *node, path string) { *c.Enrolled = append(*c.Enrolled, r.factor(n, path)) })
		},
		"device": r.line(&c.Device),
		"time":   func(n *node, path string) { c.Time = r.time(n, path) },
		"expect": func(n *node, path string) { r.table(n, path, r.expectFields(&c.Expect)) },
	}
}

func (r *reader) steps(n *node, path string, remembered bool) (out []CaseStep) {
	if n.kind == isList && len(n.items) > maxShown {
		r.problem(n.place, path, "more than 32 entries", "name those that matter")
		return nil
	}
	r.list(n, path, func(n *node, path string) {
		s := CaseStep{Evidence: audit.EvidenceAsserted}
		f := fields{
			"method":        func(n *node, path string) { s.Method = r.method(n, path) },
			"factor":        func(n *node, path string) { s.Factor = r.factor(n, path) },
			"evidence":      r.evidence(&s.Evidence),
			"ago":           func(n *node, path string) { s.Ago = r.duration(n, path) },
			"user_verified": r.flag(&s.UserVerified),
			"partner_amr":   r.texts(&s.PartnerAMR),
			"partner_acr":   r.line(&s.PartnerACR),
		}
		if remembered {
			f["device"] = r.line(&s.Device)
		}
		r.table(n, path, f)
		if n.kind == isTable && (n.find("method") == nil) == (n.find("factor") == nil) {
			r.problem(n.place, path, "one of method and factor must be given", "write method: password, method: sso:CONNECTION, factor: TOTP …")
		}
		out = append(out, s)
	})
	return out
}

func (r *reader) expectFields(e *Expect) fields {
	verdicts, values := []string{"ALLOW", "CONTINUE", "DENY"}, []audit.Verdict{audit.VerdictAllow, audit.VerdictContinue, audit.VerdictDeny}
	sources := []string{policy.SourceRule, policy.SourceDefault, policy.SourceInternal, policy.SourceStop}
	kinds := []string{policy.DemandBlock, policy.DemandMethod, policy.DemandSSO, policy.DemandEvidence, policy.DemandMFA,
		policy.DemandReverification, policy.DemandSessionLength}
	some := func(into **[]string, words []string) func(*node, string) {
		return func(n *node, path string) {
			list := []string{}
			r.list(n, path, func(n *node, path string) {
				if words == nil {
					list = append(list, r.text(n, path))
				} else if w := choice(r, n, path, words, words); w != "" {
					list = append(list, w)
				}
			})
			*into = &list
		}
	}
	return fields{
		"class": func(n *node, path string) {
			e.Class = choice(r, n, path, []string{"EXTERNAL", "MANAGED", "CLAIMED", "UNDETERMINED"},
				[]audit.Class{audit.ClassExternal, audit.ClassManaged, audit.ClassClaimed, audit.ClassUndetermined})
		},
		"source":        func(n *node, path string) { e.Source = choice(r, n, path, sources, sources) },
		"rule":          func(n *node, path string) { e.Rule = r.id(n, path) },
		"verdict":       func(n *node, path string) { e.Verdict = choice(r, n, path, verdicts, values) },
		"reason":        r.line(&e.Reason),
		"message":       r.line(&e.Message),
		"demands":       some(&e.Demands, kinds),
		"unmet":         some(&e.Unmet, kinds),
		"next":          some(&e.Next, nil),
		"would_be":      func(n *node, path string) { e.WouldBe = choice(r, n, path, verdicts, values) },
		"would_be_rule": func(n *node, path string) { e.WouldBeRule = r.id(n, path) },
	}
}

func (r *reader) ip(n *node, path string) netip.Addr {
	s := r.text(n, path)
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		r.problem(n.place, path, "not an IP address", "write it as 192.0.2.7 or 2001:db8::7")
		return netip.Addr{}
	}
	return a
}

func (r *reader) method(n *node, path string) audit.Method {
	s := r.text(n, path)
	if s == "" {
		return audit.Method{}
	}
	m, err := audit.ParseMethod(s)
	if err != nil {
		r.problem(n.place, path, "unknown method", "write one of "+strings.Join(audit.Methods(), ", ")+", sso:CONNECTION or social:CONNECTION")
	}
	return m
}

func (r *reader) factor(n *node, path string) string {
	s := strings.ToUpper(r.text(n, path))
	if s != "" && !slices.Contains(audit.Factors(), s) {
		r.problem(n.place, path, "unknown factor", "write one of "+strings.Join(audit.Factors(), ", "))
	}
	return s
}
