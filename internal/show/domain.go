package show

import (
	"strconv"
	"strings"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// DomainHeader names the columns of DomainRow.
func DomainHeader() []string {
	return []string{"DOMAIN", "STATE", "VERIFIED BY", "SUBDOMAINS", "LAST LOOK", "FOUND"}
}

// DomainRow is a domain in a list.
func DomainRow(d *posternv1.Domain) []string {
	subdomains := ""
	if d.GetIncludeSubdomains() {
		subdomains = "yes"
	}
	return []string{d.GetDomain(), Enum("STATE", d.GetState()), verifiedBy(d), subdomains, Time(d.GetCheckTime()), found(d)}
}

// Domain returns what there is to know of a domain as rows of field and value. Fields that are not set are left out.
func Domain(d *posternv1.Domain) [][]string {
	r := &rows{}
	r.add("name", d.GetName())
	r.add("state", Enum("STATE", d.GetState()))
	r.flag("subdomains", d.GetIncludeSubdomains())
	r.add("verified by", verifiedBy(d))
	r.add("verified", Time(d.GetVerifyTime()))
	r.add("TXT record at", d.GetRecordName())
	r.add("TXT record", d.GetRecordText())
	r.add("last look", Time(d.GetCheckTime()))
	r.add("found", found(d))
	r.add("next look", Time(d.GetNextCheckTime()))
	if n := d.GetNegativeCount(); n > 0 {
		r.add("denials in a row", strconv.Itoa(int(n)))
	}
	r.add("failing since", Time(d.GetFailTime()))
	if d.GetLapseAfter() != nil {
		r.add("lapses after", d.GetLapseAfter().AsDuration().String()+" of failing")
	}
	r.add("etag", d.GetEtag())
	return r.all
}

func verifiedBy(d *posternv1.Domain) string {
	if d.GetDnssec() {
		return d.GetVerifiedBy() + " (DNSSEC)"
	}
	return d.GetVerifiedBy()
}

// found is what the last look found, in one word where it says the same twice.
func found(d *posternv1.Domain) string {
	return strings.TrimSpace(d.GetCheckOutcome() + " " + d.GetCheckDetail())
}
