package show

import (
	"strconv"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// AccountHeader names the columns of AccountRow.
func AccountHeader() []string {
	return []string{"ACCOUNT", "BY", "NOTE", "ORIGIN", "CLAIMED", "REVISION"}
}

// AccountRow is a claimed account in a list.
func AccountRow(a *posternv1.Account) []string {
	what, by := a.GetAccountId(), "account id"
	switch {
	case a.GetEmail() != "":
		what, by = a.GetEmail(), "address"
	case what == "":
		what, by = a.GetName(), "unreadable"
	}
	return []string{what, by, a.GetNote(), Enum("ORIGIN", a.GetOrigin()), Time(a.GetCreateTime()), strconv.FormatInt(a.GetRevision(), 10)}
}

// Account returns what there is to know of a claimed account as rows of field and value. Fields that are not set are left out.
func Account(a *posternv1.Account) [][]string {
	r := &rows{}
	r.add("name", a.GetName())
	r.add("account id", a.GetAccountId())
	r.add("address", a.GetEmail())
	r.add("note", a.GetNote())
	r.add("origin", Enum("ORIGIN", a.GetOrigin()))
	r.add("claimed", Time(a.GetCreateTime()))
	if a.GetRevision() > 0 {
		r.add("revision", strconv.FormatInt(a.GetRevision(), 10))
	}
	r.add("etag", a.GetEtag())
	return r.all
}
