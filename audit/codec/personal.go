package codec

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// PersonalToProto converts a personal part; nil when it is empty.
func PersonalToProto(p *audit.Personal) *posternv1.Personal {
	if personalEmpty(p) {
		return nil
	}
	return &posternv1.Personal{
		Email:              p.Email,
		EmailVerified:      p.EmailVerified,
		AccountId:          p.AccountID,
		TypedAddress:       p.TypedAddress,
		ClaimedAccountId:   p.ClaimedAccountID,
		PresentedAccountId: p.PresentedAccountID,
		DisplayName:        p.DisplayName,
		Ip:                 p.IP,
		UserAgent:          p.UserAgent,
		DeviceId:           p.DeviceID,
		Detail:             p.Detail,
		Amr:                p.AMR,
		Acr:                p.ACR,
		Items:              p.Items,
		Issuer:             p.Issuer,
		SubjectId:          p.SubjectID,
		PreviousEmail:      p.PreviousEmail,
	}
}

// PersonalFromProto is the reverse of PersonalToProto. The result shares slices with m.
func PersonalFromProto(m *posternv1.Personal) audit.Personal {
	if m == nil {
		return audit.Personal{}
	}
	return audit.Personal{
		Email:              m.GetEmail(),
		EmailVerified:      m.EmailVerified,
		AccountID:          m.GetAccountId(),
		TypedAddress:       m.GetTypedAddress(),
		ClaimedAccountID:   m.GetClaimedAccountId(),
		PresentedAccountID: m.GetPresentedAccountId(),
		DisplayName:        m.GetDisplayName(),
		IP:                 m.GetIp(),
		UserAgent:          m.GetUserAgent(),
		DeviceID:           m.GetDeviceId(),
		Detail:             m.GetDetail(),
		AMR:                m.GetAmr(),
		ACR:                m.GetAcr(),
		Items:              m.GetItems(),
		Issuer:             m.GetIssuer(),
		SubjectID:          m.GetSubjectId(),
		PreviousEmail:      m.GetPreviousEmail(),
	}
}

// MarshalPersonal returns the clear bytes of a personal part, for sealing and nothing else.
func MarshalPersonal(p *audit.Personal) ([]byte, error) {
	return AppendPersonal(make([]byte, 0, 256), p)
}

// AppendPersonal is MarshalPersonal that writes behind what b holds and returns the longer slice.
func AppendPersonal(b []byte, p *audit.Personal) ([]byte, error) {
	w := wire{b: b}
	w.personal(p)
	return w.b, w.err()
}

// UnmarshalPersonal is the reverse of MarshalPersonal.
func UnmarshalPersonal(b []byte) (audit.Personal, error) {
	var m posternv1.Personal
	if err := proto.Unmarshal(b, &m); err != nil {
		return audit.Personal{}, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "a personal part cannot be read")
	}
	return PersonalFromProto(&m), nil
}

// personalEmpty reports whether there is nothing to seal.
func personalEmpty(p *audit.Personal) bool {
	return p.Email == "" && p.EmailVerified == nil && p.AccountID == "" && p.TypedAddress == "" && p.ClaimedAccountID == "" &&
		p.PresentedAccountID == "" && p.DisplayName == "" && p.IP == "" && p.UserAgent == "" && p.DeviceID == "" &&
		p.Detail == "" && len(p.AMR) == 0 && p.ACR == "" && len(p.Items) == 0 && p.Issuer == "" && p.SubjectID == "" &&
		p.PreviousEmail == ""
}
