package policypb

import (
	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// fromRetention converts a retention; nil when nothing is said.
func fromRetention(r *policy.Retention) *posternv1.Retention {
	if *r == (policy.Retention{}) {
		return nil
	}
	return &posternv1.Retention{SignInDays: int32(r.SignIn), AdministrationDays: int32(r.Administration), ActivityDays: int32(r.Activity), //nolint:gosec // bounded
		Hold: r.Hold, HoldReason: r.HoldReason}
}

// ToRetention is the reverse of what an organization's retention is converted to.
func ToRetention(m *posternv1.Retention) policy.Retention {
	return policy.Retention{HoldReason: m.GetHoldReason(), Retention: audit.Retention{SignIn: int(m.GetSignInDays()),
		Administration: int(m.GetAdministrationDays()), Activity: int(m.GetActivityDays()), Hold: m.GetHold()}}
}

func fromPrivacy(p audit.Privacy) *posternv1.Privacy { return codec.PrivacyToProto(p) }

// ToPrivacy is the reverse of what a privacy is converted to. What this process does not know keeps as little as it knows.
func ToPrivacy(m *posternv1.Privacy) audit.Privacy { return codec.PrivacyFromProto(m) }
