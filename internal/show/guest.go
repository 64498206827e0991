package show

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// GuestHeader names the columns of GuestRow.
func GuestHeader() []string {
	return []string{"LAST SEEN", "WHO", "ACCOUNT", "CLASS", "SIGN-INS", "REFUSED", "METHODS", "LAST MFA", "ENROLLED", "FIRST SEEN"}
}

// GuestRow is a person in a list.
func GuestRow(p *posternv1.Person) []string {
	return []string{Time(p.GetLastSeenTime()), who(p), p.GetPersonal().GetAccountId(), Enum("CLASS", p.GetClass()), number(p.GetSignIns()), number(p.GetRefusals()),
		strings.Join(p.GetMethods(), " "), lastMFA(p), enrolled(p), Time(p.GetFirstSeenTime())}
}

// who names a person, or says why nobody can.
func who(p *posternv1.Person) string {
	if state := p.GetPersonalState(); state != "" {
		return strings.ToLower(state)
	}
	return Person(p.GetPersonal())
}

func lastMFA(p *posternv1.Person) string {
	if p.GetLastMfaTime() == nil {
		return ""
	}
	return Time(p.GetLastMfaTime()) + " " + p.GetLastMfaFactor() + " " + strings.ToLower(Enum("EVIDENCE", p.GetLastMfaEvidence()))
}

func enrolled(p *posternv1.Person) string {
	if p.GetLockedTime() != nil {
		return "locked " + Time(p.GetLockedTime())
	}
	return Time(p.GetEnrolledTime())
}

// GuestColumns names the columns of GuestCSV.
func GuestColumns() []string {
	return []string{"account_id", "email", "display_name", "site", "class", "class_since", "first_seen_time", "last_seen_time", "last_sign_in_time", "sign_ins",
		"refusals", "rejections", "methods", "last_mfa_time", "last_mfa_factor", "last_mfa_evidence", "enrolled_time", "locked_time", "personal_state", "subject"}
}

// GuestCSV is a person in a file: times in UTC, whole seconds.
func GuestCSV(p *posternv1.Person) []string {
	who := p.GetPersonal()
	at := func(t *timestamppb.Timestamp) string {
		if t == nil {
			return ""
		}
		return t.AsTime().UTC().Format(time.RFC3339)
	}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{who.GetAccountId(), who.GetEmail(), who.GetDisplayName(), p.GetSite(), Enum("CLASS", p.GetClass()), at(p.GetClassSince()),
		at(p.GetFirstSeenTime()), at(p.GetLastSeenTime()), at(p.GetLastSignInTime()), n(p.GetSignIns()), n(p.GetRefusals()), n(p.GetRejections()),
		strings.Join(p.GetMethods(), " "), at(p.GetLastMfaTime()), p.GetLastMfaFactor(), Enum("EVIDENCE", p.GetLastMfaEvidence()),
		at(p.GetEnrolledTime()), at(p.GetLockedTime()), p.GetPersonalState(), p.GetName()}
}

// Guest returns what there is to know of a person as rows of field and value. Fields that are not set are left out.
func Guest(p *posternv1.Person) [][]string {
	r := &rows{}
	r.add("name", p.GetName())
	r.add("who", who(p))
	r.add("account", p.GetPersonal().GetAccountId())
	r.add("class", Enum("CLASS", p.GetClass()))
	r.add("class since", Time(p.GetClassSince()))
	r.add("first seen", Time(p.GetFirstSeenTime()))
	r.add("last seen", Time(p.GetLastSeenTime()))
	r.add("last sign-in", Time(p.GetLastSignInTime()))
	r.add("sign-ins", number(p.GetSignIns()))
	r.add("refused", number(p.GetRefusals()))
	r.add("rejected since", number(p.GetRejections()))
	r.list("methods", p.GetMethods())
	r.add("last mfa", lastMFA(p))
	r.add("enrolled", Time(p.GetEnrolledTime()))
	r.add("locked", Time(p.GetLockedTime()))
	for _, s := range p.GetSites() {
		r.add("site "+s.GetSite(), "last seen "+Time(s.GetLastSeenTime())+", "+number(s.GetSignIns())+" sign-ins, "+number(s.GetRefusals())+" refused, "+
			strings.Join(s.GetMethods(), " "))
	}
	return r.all
}
