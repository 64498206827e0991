package document

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// ParsePolicy reads a policy alone, as a document that is about the whole policy of an organization and about nothing else: what
// the text leaves out is empty. The text is the policy section of a document, with the key policy or without it; beside that key
// organization may stand, and must be the one given. With problems that are not warnings the document is nil.
func ParsePolicy(organization string, b []byte) (*Document, Problems) {
	root, p := scan(b)
	if p != nil {
		return nil, Problems{*p}
	}
	r := &reader{places: map[string]place{}}
	d := &Document{ID: organization, places: r.places}
	if root.kind == isTable && root.find("policy") != nil {
		r.table(root, "", fields{
			"organization": func(n *node, path string) {
				if id := r.id(n, path); id != "" && id != organization {
					r.problem(n.place, path, "the policy is for organization "+id+", not "+organization, "give it to "+id)
				}
			},
			"policy": func(n *node, path string) { d.Policy = r.policy(n, path) },
		})
	} else {
		d.Policy = r.policy(root, "policy")
	}
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	d.Policy.whole()
	return d, nil
}

// whole makes what is absent empty.
func (p *Policy) whole() {
	absent(&p.Rules, []Rule{})
	absent(&p.Default, policy.Demands{})
	absent(&p.Stops, policy.Stops{})
	absent(&p.AccountLists, []AccountList{})
	absent(&p.Record, []audit.Class(nil))
	absent(&p.AllowUnreadable, false)
}

func absent[T any](field **T, empty T) {
	if *field == nil {
		*field = &empty
	}
}

// ExportPolicy writes the policy of an organization as ParsePolicy reads it. It is empty when it cannot be read. Accounts are written
// as the hashes they are kept as, which mean something in this organization of this installation alone.
func ExportPolicy(o *policy.Organization) string {
	return (&exporter{}).policy(o)
}

// PlanChange is the plan of what turns the policy record of an organization into another, or the problems of that one. They have no
// places: there is no document.
func PlanChange(now, next *policy.Organization) (*Plan, Problems) {
	problems := (&Document{}).at(next.Validate())
	if problems.Err() != nil {
		return nil, problems
	}
	p := &Plan{Organization: next, Objects: differences(now, next)}
	p.WritePolicy = len(p.Objects) > 0
	return p, problems
}
