package directory

import (
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// maxNames is how many domains or claims a planned change names.
const maxNames = 1000

// Planned is what an apply would do to one object, or to several domains or claims.
type Planned struct {
	document.ObjectChange
	Names []string // of several, the first 1000
}

// planned lists what the plan changes, in the order of the commits.
func (a *apply) planned() []Planned {
	var out []Planned
	objects := func(list []document.ObjectChange) {
		for _, o := range list {
			if a.current == nil || strings.HasSuffix(string(o.Type), ".created") {
				o.Target.UID = "" // nothing has it yet
			}
			out = append(out, Planned{ObjectChange: o})
		}
	}
	several := func(t audit.Type, kind string, n int, name func(i int) string) {
		if n == 0 {
			return
		}
		p := Planned{ObjectChange: document.ObjectChange{Type: t, Target: audit.Target{Type: kind, Count: int64(n)}}}
		for i := range min(n, maxNames) {
			p.Names = append(p.Names, name(i))
		}
		out = append(out, p)
	}
	records := func(list []policy.DomainRecord) func(i int) string {
		return func(i int) string {
			if list[i].Subdomains {
				return list[i].Domain.String() + " and subdomains"
			}
			return list[i].Domain.String()
		}
	}
	rest := a.plan.Objects
	if a.current == nil {
		objects(rest[:1])
		rest = rest[1:]
	}
	several(audit.TypeDomainVerified, "domain", len(a.plan.AddDomains), records(a.plan.AddDomains))
	several(audit.TypeAccountClaimed, "account", len(a.plan.AddClaims), func(i int) string { return a.plan.AddClaims[i].Name })
	objects(rest)
	several(audit.TypeDomainRemoved, "domain", len(a.plan.DropDomains), records(a.plan.DropDomains))
	if len(a.forced) > 0 {
		out[len(out)-1].Changes = a.forced
	}
	return out
}
