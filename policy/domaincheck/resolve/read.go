package resolve

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/postern-audit/postern/policy/domaincheck"
)

// What of an answer is looked at. More is trouble, not a reason to look at a part.
const (
	maxRecords = 64
	maxText    = 16 << 10
)

// read says what a reply to a question about a name comes to. alias is not empty when the name is an alias of another challenge name
// and the reply leaves out what that one has.
func read(reply *dns.Msg, name string) (a domaincheck.Answer, alias string) {
	trouble := func(reason string) (domaincheck.Answer, string) { return domaincheck.Answer{Reason: reason}, "" }
	switch {
	case reply.Rcode == dns.RcodeServerFailure:
		return trouble(domaincheck.ReasonServfail)
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return trouble(domaincheck.ReasonRefused)
	case !reply.Authoritative && !reply.RecursionAvailable:
		return trouble(domaincheck.ReasonLame)
	case len(reply.Answer) > maxRecords:
		return trouble(domaincheck.ReasonTooLarge)
	}
	at := name
	records, size := texts(reply.Answer, at)
	if len(records) == 0 {
		if target := aliasOf(reply.Answer, at); target != "" {
			if !domaincheck.IsChallengeName(strings.TrimSuffix(target, ".")) {
				return domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonAlias}, ""
			}
			at = target
			if records, size = texts(reply.Answer, at); len(records) == 0 && aliasOf(reply.Answer, at) != "" {
				return domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonAlias}, ""
			}
		}
	}
	switch {
	case size > maxText:
		return trouble(domaincheck.ReasonTooLarge)
	case len(records) > 0 && reply.Rcode == dns.RcodeSuccess:
		return domaincheck.Answer{Kind: domaincheck.Records, TXT: records}, ""
	case len(records) > 0:
		return trouble(domaincheck.ReasonMalformed)
	case denies(reply.Ns, at) && reply.Rcode == dns.RcodeNameError:
		return domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonNoName}, ""
	case denies(reply.Ns, at):
		return domaincheck.Answer{Kind: domaincheck.Negative, Reason: domaincheck.ReasonNoTXT}, ""
	case at != name && reply.Rcode == dns.RcodeSuccess:
		return domaincheck.Answer{}, at
	}
	return trouble(domaincheck.ReasonLame)
}

// texts are the TXT records of a name, and how many bytes they have.
func texts(answer []dns.RR, name string) (records [][]string, size int) {
	for _, rr := range answer {
		txt, ok := rr.(*dns.TXT)
		if !ok || txt.Hdr.Class != dns.ClassINET || !same(txt.Hdr.Name, name) {
			continue
		}
		for _, s := range txt.Txt {
			size += len(s)
		}
		records = append(records, txt.Txt)
	}
	return records, size
}

// aliasOf is what a name is an alias of, "" when it is none.
func aliasOf(answer []dns.RR, name string) string {
	for _, rr := range answer {
		if c, ok := rr.(*dns.CNAME); ok && c.Hdr.Class == dns.ClassINET && same(c.Hdr.Name, name) {
			return c.Target
		}
	}
	return ""
}

// denies reports whether the zone that a name is in says itself that it has nothing: by its SOA (RFC 2308).
func denies(authority []dns.RR, name string) bool {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok && soa.Hdr.Class == dns.ClassINET && dns.IsSubDomain(soa.Hdr.Name, name) {
			return true
		}
	}
	return false
}

// same compares names as the DNS does.
func same(a, b string) bool { return strings.EqualFold(a, b) }
