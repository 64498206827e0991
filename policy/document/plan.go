package document

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Current is what stands when a document is applied.
type Current struct {
	// Organization as stored; nil when it does not exist yet.
	Organization *policy.Organization
	// UID of the organization: its own, or the one reserved for it.
	UID string
	// Domains are all its domain records. Needed only when the document has domains.
	Domains []policy.DomainRecord
	// Claims are those of the document's claims that stand already, by key. Needed only when the document has claims.
	Claims map[policy.AccountKey]policy.ClaimRecord
}

// Claim is a claim with the account id or address it stands for. Name is personal: it may only be sealed.
type Claim struct {
	Record  policy.ClaimRecord
	Name    string
	Address policy.Address // zero when an account id is claimed
	Path    string         // where the document says so
}

// ObjectChange is what an administrative event says about one object.
type ObjectChange struct {
	Type    audit.Type
	Target  audit.Target
	Changes []audit.Change
}

// Plan is what applying a document does: additions first, then the policy record, then removals.
type Plan struct {
	// Organization is the policy record as it will be. Revision, stamps, times and key are those of the current one.
	Organization *policy.Organization
	// WritePolicy says that the policy record differs (always for a new organization).
	WritePolicy bool
	AddDomains  []policy.DomainRecord // new ones, and those whose include_subdomains changes
	DropDomains []policy.DomainRecord // owned by documents and not named any more
	AddClaims   []Claim
	// Objects has one entry for each changed object of the policy record, in a fixed order.
	Objects []ObjectChange
}

// Empty reports whether there is nothing to do.
func (p *Plan) Empty() bool {
	return !p.WritePolicy && len(p.AddDomains) == 0 && len(p.DropDomains) == 0 && len(p.AddClaims) == 0
}

// ClaimList lists the document's claims with their keys, in the document's order, each key once.
func (d *Document) ClaimList(uid string, namer policy.Namer) []Claim {
	if d.Claims == nil {
		return nil
	}
	seen := map[policy.AccountKey]bool{}
	var out []Claim
	add := func(key policy.AccountKey, kind policy.ClaimKind, c Claim) {
		if !seen[key] {
			seen[key] = true
			c.Record = policy.ClaimRecord{Key: key, Kind: kind, Origin: audit.OriginDocument}
			out = append(out, c)
		}
	}
	// Parsing refuses what stands twice, so that places in the document and in the lists are the same.
	for i, id := range d.Claims.IDs {
		add(namer.AccountKey(uid, id), policy.ClaimAccount, Claim{Name: id, Path: "claims.accounts[" + strconv.Itoa(i) + "]"})
	}
	for i, a := range d.Claims.Addresses {
		add(namer.AddressKey(uid, a), policy.ClaimAddress, Claim{Name: a.String(), Address: a, Path: "claims.addresses[" + strconv.Itoa(i) + "]"})
	}
	return out
}

// PlanOf computes what applying d changes. It is a pure function of its arguments; newUID is called once for each new site
// and connection. Objects that the API owns stay as they are, and a document that names one is in conflict. Problems that
// are not warnings mean that nothing may be applied; the plan is nil then.
//
// Document-owned sites, connections and rules that the document does not name any more go away; those it names keep their
// uid. Rules come in the document's order, behind the API's rules that stood before the first of them and before the rest.
// The other sections of the policy are replaced as a whole. Claims are only ever added.
func PlanOf(d *Document, now Current, namer policy.Namer, newUID func() string) (*Plan, Problems) {
	m := &merger{doc: d, uid: now.UID, namer: namer, newUID: newUID}
	next := policy.Organization{ID: d.ID, UID: now.UID}
	if now.Organization != nil {
		next = *now.Organization
	}
	if next.ID != d.ID {
		m.conflict("organization", "the document is for organization "+d.ID+", not "+next.ID, "apply it to "+d.ID)
	}
	whole := d.Policy != nil && d.Policy.Rules != nil
	next.Unreadable = next.Unreadable && !whole
	set(&next.DisplayName, d.DisplayName)
	set(&next.Disabled, d.Disabled)
	set(&next.Sandbox, d.Sandbox)
	set(&next.Retention, d.Retention)
	set(&next.Privacy, d.Privacy)
	if d.Sites != nil {
		next.Sites = m.sites(next.Sites, *d.Sites)
	}
	if d.Connections != nil {
		next.Connections = m.connections(next.Connections, *d.Connections)
	}
	if d.Policy != nil {
		m.policy(&next, d.Policy)
	}
	p := &Plan{Organization: &next}
	m.domains(p, now.Domains)
	for _, c := range d.ClaimList(now.UID, namer) {
		if _, stands := now.Claims[c.Record.Key]; !stands {
			p.AddClaims = append(p.AddClaims, c)
		}
	}
	problems := m.problems
	if len(problems) == 0 { // a conflict leaves things half merged: what Validate would say of them is noise
		problems = d.at(next.Validate())
	}
	if problems.Err() != nil {
		return nil, problems.sorted()
	}
	p.Objects = differences(now.Organization, &next)
	p.WritePolicy = len(p.Objects) > 0
	if next.Unreadable && p.WritePolicy {
		m.conflict("policy", "the stored policy cannot be read, and writing would lose it", "add a policy section with rules: it then replaces the policy as a whole")
		return nil, m.problems
	}
	return p, problems.sorted()
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// merger puts what the document says in the place of what documents own.
type merger struct {
	doc      *Document
	uid      string
	namer    policy.Namer
	newUID   func() string
	problems Problems
}

func (m *merger) conflict(path, text, fix string) {
	at := m.doc.locate(path)
	m.problems = append(m.problems, Problem{Line: at.line, Column: at.column, Path: path, Text: text, Fix: fix})
}

const foreign = "it is maintained through the API"

// merge returns what others own, and the wanted ones with what stood before under the same id.
func merge[T any](m *merger, path string, have, want []T, id func(*T) string, origin func(*T) audit.Origin, keep func(old *T, next *T)) []T {
	out := make([]T, 0, len(have)+len(want))
	for i := range have {
		if origin(&have[i]) != audit.OriginDocument {
			out = append(out, have[i])
		}
	}
	others := len(out)
	for i := range want {
		next := want[i]
		if slices.ContainsFunc(out[:others], func(o T) bool { return id(&o) == id(&next) }) {
			m.conflict(path+"["+id(&next)+"]", foreign, "leave it out, or give it another id")
			continue
		}
		old := slices.IndexFunc(have, func(o T) bool { return id(&o) == id(&next) })
		if old >= 0 {
			keep(&have[old], &next)
		} else {
			keep(nil, &next)
		}
		out = append(out, next)
	}
	return out
}

func (m *merger) sites(have, want []policy.Site) []policy.Site {
	return merge(m, "sites", have, want, func(s *policy.Site) string { return s.ID },
		func(s *policy.Site) audit.Origin { return s.Origin },
		func(old, next *policy.Site) {
			if old != nil {
				// Documents know nothing of revoked proofs: what was revoked stays so.
				next.UID, next.ProofsNotBefore = old.UID, old.ProofsNotBefore
			} else {
				next.UID = m.newUID()
			}
		})
}

func (m *merger) connections(have, want []policy.Connection) []policy.Connection {
	return merge(m, "connections", have, want, func(c *policy.Connection) string { return c.ID },
		func(c *policy.Connection) audit.Origin { return c.Origin },
		func(old, next *policy.Connection) {
			// Another kind is another connection: identities of the old one must not open accounts of the new one.
			if old != nil && old.Kind == next.Kind {
				next.UID = old.UID
				*next = next.Follow(old)
			} else {
				next.UID = m.newUID()
			}
		})
}

func (m *merger) policy(next *policy.Organization, p *Policy) {
	if p.Rules != nil {
		next.Policy.Rules = m.rules(next.Policy.Rules, *p.Rules)
	}
	set(&next.Policy.Default, p.Default)
	set(&next.Policy.Stops, p.Stops)
	set(&next.Policy.RecordClasses, p.Record)
	set(&next.AllowUnreadable, p.AllowUnreadable)
	if p.AccountLists != nil {
		lists := make([]policy.AccountList, 0, len(*p.AccountLists))
		for _, l := range *p.AccountLists {
			lists = append(lists, m.list(&l))
		}
		next.Policy.AccountLists = lists
	}
}

func (m *merger) list(l *AccountList) policy.AccountList {
	out := policy.AccountList{Name: l.Name, Accounts: m.keys(l.Accounts)}
	for _, e := range l.Expiries {
		for _, k := range m.keys(e.Account) {
			out.Expiries = append(out.Expiries, policy.AccountExpiry{Account: k, At: e.At})
		}
	}
	slices.SortFunc(out.Expiries, func(a, b policy.AccountExpiry) int {
		return cmp.Or(bytes.Compare(a.Account[:], b.Account[:]), a.At.Compare(b.At))
	})
	// An account that is named by its id and by its key: the entry that ends first counts.
	out.Expiries = slices.CompactFunc(out.Expiries, func(a, b policy.AccountExpiry) bool { return a.Account == b.Account })
	return out
}

func (m *merger) rules(have []policy.Rule, want []Rule) []policy.Rule {
	converted := make([]policy.Rule, 0, len(want))
	for _, r := range want {
		r.Match.Accounts = m.keys(r.Accounts)
		if slices.ContainsFunc(have, func(o policy.Rule) bool { return o.ID == r.ID && o.Origin != audit.OriginDocument }) {
			m.conflict("policy.rules["+r.ID+"]", foreign, "leave it out, or give it another id")
		}
		converted = append(converted, r.Rule)
	}
	out := make([]policy.Rule, 0, len(have)+len(want))
	placed := false
	for _, r := range have {
		switch {
		case r.Origin != audit.OriginDocument:
			out = append(out, r)
		case !placed:
			out, placed = append(out, converted...), true
		}
	}
	if !placed {
		out = append(out, converted...)
	}
	return out
}

// keys hashes accounts, sorted so that the order of a document makes no difference.
func (m *merger) keys(a Accounts) []policy.AccountKey {
	out := slices.Clone(a.Keys)
	for _, id := range a.IDs {
		out = append(out, m.namer.AccountKey(m.uid, id))
	}
	for _, address := range a.Addresses {
		out = append(out, m.namer.AddressKey(m.uid, address))
	}
	slices.SortFunc(out, func(a, b policy.AccountKey) int { return strings.Compare(string(a[:]), string(b[:])) })
	return slices.Compact(out)
}

func (m *merger) domains(p *Plan, have []policy.DomainRecord) {
	if m.doc.Domains == nil {
		return
	}
	stands := make(map[policy.Domain]policy.DomainRecord, len(have))
	for _, r := range have {
		stands[r.Domain] = r
	}
	named := make(map[policy.Domain]bool, len(*m.doc.Domains))
	for _, r := range *m.doc.Domains {
		named[r.Domain] = true
		old, is := stands[r.Domain]
		switch {
		case is && old.Origin != audit.OriginDocument:
			m.conflict(domainPath(r.Domain), foreign, "leave it out")
		case !is || old.Subdomains != r.Subdomains:
			p.AddDomains = append(p.AddDomains, r)
		}
	}
	for _, r := range have {
		if r.Origin == audit.OriginDocument && !named[r.Domain] {
			p.DropDomains = append(p.DropDomains, r)
		}
	}
}
