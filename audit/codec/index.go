package codec

import (
	"net/netip"

	"github.com/postern-audit/postern/audit"
)

// maxTerms is how many terms one event has at most: 3 accounts, 3 addresses, 3 domains, a name, 4 networks, an identifier.
const maxTerms = 15

// IndexesFor makes the blind indexes of a personal part, each once: account ids (bound, claimed, presented), addresses
// (proven, typed, previous) and their domains, name, and the networks of the ip.
func IndexesFor(sealer audit.Sealer, organizationUID string, p *audit.Personal) ([]audit.Index, error) {
	var stack [maxTerms]audit.IndexTerm
	return makeIndexes(sealer, organizationUID, appendTerms(stack[:0], p))
}

// termIndexer is a sealer that makes many indexes for less than one by one.
type termIndexer interface {
	IndexTerms(organizationUID string, terms []audit.IndexTerm) ([]audit.Index, error)
}

func makeIndexes(sealer audit.Sealer, organizationUID string, terms []audit.IndexTerm) ([]audit.Index, error) {
	if len(terms) == 0 {
		return nil, nil
	}
	if many, ok := sealer.(termIndexer); ok {
		return many.IndexTerms(organizationUID, terms)
	}
	out := make([]audit.Index, 0, len(terms))
	for _, t := range terms {
		i, err := sealer.Index(organizationUID, t.Purpose, t.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// appendTerms adds what a personal part is found by.
func appendTerms(terms []audit.IndexTerm, p *audit.Personal) []audit.IndexTerm {
	for _, v := range [...]audit.IndexTerm{
		{Purpose: audit.IndexAccount, Value: p.AccountID},
		{Purpose: audit.IndexAccount, Value: p.ClaimedAccountID},
		{Purpose: audit.IndexAccount, Value: p.PresentedAccountID},
		{Purpose: audit.IndexEmail, Value: p.Email},
		{Purpose: audit.IndexEmail, Value: p.TypedAddress},
		{Purpose: audit.IndexEmail, Value: p.PreviousEmail},
		{Purpose: audit.IndexEmailDomain, Value: domainOf(p.Email)},
		{Purpose: audit.IndexEmailDomain, Value: domainOf(p.TypedAddress)},
		{Purpose: audit.IndexEmailDomain, Value: domainOf(p.PreviousEmail)},
		{Purpose: audit.IndexName, Value: p.DisplayName},
	} {
		if v.Value = audit.IndexValue(v.Purpose, v.Value); v.Value != "" {
			terms = appendOnce(terms, v)
		}
	}
	if p.IP == "" {
		return terms
	}
	ip, err := netip.ParseAddr(p.IP)
	if err != nil {
		return terms // found by its other terms only
	}
	return append(terms, audit.NetworkIndexes(ip)...)
}

// sameTerms reports whether two events of one organization are found by the same values: it looks at what appendTerms and
// sealed look at.
func sameTerms(a, b *audit.Event) bool {
	p, q := &a.Personal, &b.Personal
	return len(a.Sought) == 0 && len(b.Sought) == 0 && a.OrganizationUID == b.OrganizationUID && a.IdentifierHash == b.IdentifierHash && p.AccountID == q.AccountID &&
		p.ClaimedAccountID == q.ClaimedAccountID && p.PresentedAccountID == q.PresentedAccountID && p.Email == q.Email && p.PreviousEmail == q.PreviousEmail &&
		p.TypedAddress == q.TypedAddress && p.DisplayName == q.DisplayName && p.IP == q.IP
}

func appendOnce(terms []audit.IndexTerm, v audit.IndexTerm) []audit.IndexTerm {
	for _, have := range terms {
		if have == v {
			return terms
		}
	}
	return append(terms, v)
}

// domainOf returns what stands after the last @ of a canonical address, "" without one.
func domainOf(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return ""
}
