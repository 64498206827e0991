package convert

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	applying "github.com/postern-audit/postern/policy/directory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// organizationOf converts an organization as it is to be.
func organizationOf(change applying.ResourceChange, o *posternv1.Organization) applying.OrganizationInput {
	r := o.GetRetention()
	return applying.OrganizationInput{ResourceChange: change, DisplayName: o.GetDisplayName(), Disabled: o.GetDisabled(), Sandbox: o.GetSandbox(),
		Privacy: privacyOf(o.GetPrivacy()), Retention: policy.Retention{HoldReason: r.GetHoldReason(), Retention: audit.Retention{
			SignIn: int(r.GetSignInDays()), Administration: int(r.GetAdministrationDays()), Activity: int(r.GetActivityDays()), Hold: r.GetHold()}}}
}

func privacyOf(m *posternv1.Privacy) audit.Privacy {
	return audit.Privacy{Email: audit.EmailPrivacy(m.GetEmail()), IP: audit.IPPrivacy(m.GetIp()), //nolint:gosec // checked against the enums
		UserContent: audit.ContentPrivacy(m.GetUserContent())} //nolint:gosec // as above
}

// retentionForm is a retention with the days in force.
func retentionForm(r *policy.Retention) *posternv1.Retention {
	days := r.Days()
	return &posternv1.Retention{SignInDays: int32(days.SignIn), AdministrationDays: int32(days.Administration), ActivityDays: int32(days.Activity), //nolint:gosec // bounded
		Hold: r.Hold, HoldReason: r.HoldReason}
}

// privacyForm is what the record of an organization keeps, in full.
func privacyForm(p audit.Privacy) *posternv1.Privacy {
	p = p.Over(audit.Privacy{Email: audit.EmailFull, IP: audit.IPFull, UserContent: audit.ContentKept})
	return &posternv1.Privacy{Email: posternv1.Privacy_Email(p.Email), Ip: posternv1.Privacy_Ip(p.IP),
		UserContent: posternv1.Privacy_UserContent(p.UserContent)}
}
