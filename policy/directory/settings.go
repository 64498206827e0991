package directory

import (
	"slices"
	"strconv"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ReasonNeeded refuses a change that lets a part of the record go and does not say why.
const ReasonNeeded = "REASON_REQUIRED"

// Fields of an organization's retention, of what its record or that of a site keeps of people, and of a site's region. A change may
// name the whole of the first two as well.
const (
	FieldRetention          = "retention"
	FieldSignInDays         = "retention.sign_in_days"
	FieldAdministrationDays = "retention.administration_days"
	FieldActivityDays       = "retention.activity_days"
	FieldHold               = "retention.hold"
	FieldHoldReason         = "retention.hold_reason"
	FieldPrivacy            = "privacy"
	FieldPrivacyEmail       = "privacy.email"
	FieldPrivacyIP          = "privacy.ip"
	FieldPrivacyUserContent = "privacy.user_content"
	FieldRegion             = "region"
)

// setRetention takes a field of a retention, or all of it, and reports whether the name was one. The reason of a hold goes with it.
func setRetention(to, from *policy.Retention, field string) bool {
	switch field {
	case FieldRetention:
		*to = *from
	case FieldSignInDays:
		to.SignIn = from.SignIn
	case FieldAdministrationDays:
		to.Administration = from.Administration
	case FieldActivityDays:
		to.Activity = from.Activity
	case FieldHold:
		if to.Hold = from.Hold; !to.Hold {
			to.HoldReason = ""
		}
	case FieldHoldReason:
		to.HoldReason = from.HoldReason
	default:
		return false
	}
	return true
}

// setPrivacy takes a field of what is kept of people, or all of it.
func setPrivacy(to *audit.Privacy, from audit.Privacy, field string) {
	switch field {
	case FieldPrivacy:
		*to = from
	case FieldPrivacyEmail:
		to.Email = from.Email
	case FieldPrivacyIP:
		to.IP = from.IP
	case FieldPrivacyUserContent:
		to.UserContent = from.UserContent
	}
}

// retained and hidden are settings in the form in which requests are compared.
func retained(r *policy.Retention) string {
	return string(fields(strconv.Itoa(r.SignIn), strconv.Itoa(r.Administration), strconv.Itoa(r.Activity), written(r.Hold), r.HoldReason))
}

func hidden(p audit.Privacy) string {
	return string(fields(p.Email.String(), p.IP.String(), p.UserContent.String()))
}

// settings refuses a plan that binds a site to another region than the one whose record this process keeps, and one that lets a part
// of the record go without a reason.
func (a *apply) settings() error {
	next := a.plan.Organization
	for i := range next.Sites {
		s := &next.Sites[i]
		if a.current != nil && slices.ContainsFunc(a.current.Sites, func(was policy.Site) bool { return was.UID == s.UID && was.Region == s.Region }) {
			continue
		}
		if err := s.InRegion(a.d.Region); err != nil {
			return err
		}
	}
	if a.current == nil || a.in.ValidateOnly || a.in.Reason != "" || !a.current.Retention.Loses(&next.Retention) {
		return nil
	}
	return errs.Field("reason", ReasonNeeded, "must say why: the change shortens how long the record is kept, or lifts a hold")
}
