package policypb

import (
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// ReasonUnreadable is the reason of every error of a To function.
const ReasonUnreadable = "STORED_FORM_UNREADABLE"

const collection = "organizations/"

// FromOrganization converts everything an Organization has but its policy, its bound for proofs (both: FromPolicyOf), its key,
// its policy stamp and the secrets of its connections (FromSecrets). Domains and counts are not part of it.
func FromOrganization(o *policy.Organization) *posternv1.Organization {
	m := &posternv1.Organization{
		Name: collection + o.ID, Uid: o.UID, DisplayName: o.DisplayName, Disabled: o.Disabled, Revision: o.Revision,
		Etag: Etag(o.Stamp), CreateTime: fromTime(o.Created), UpdateTime: fromTime(o.Updated), Sandbox: o.Sandbox,
		Retention: fromRetention(&o.Retention), Privacy: fromPrivacy(o.Privacy),
	}
	for i := range o.Sites {
		m.Sites = append(m.Sites, fromSite(&o.Sites[i]))
	}
	for i := range o.Connections {
		m.Connections = append(m.Connections, FromConnection(o.ID, &o.Connections[i]))
	}
	return m
}

// ToOrganization is the reverse of FromOrganization.
func ToOrganization(m *posternv1.Organization) (*policy.Organization, error) {
	id, ok := strings.CutPrefix(m.GetName(), collection)
	if !ok || id == "" || m.GetUid() == "" {
		return nil, unreadable("an organization without name or uid")
	}
	stamp, err := ParseEtag(m.GetEtag())
	if err != nil {
		return nil, err
	}
	o := &policy.Organization{
		UID: m.GetUid(), ID: id, DisplayName: m.GetDisplayName(), Disabled: m.GetDisabled(), Revision: m.GetRevision(),
		Stamp: stamp, Created: toTime(m.GetCreateTime()), Updated: toTime(m.GetUpdateTime()), Sandbox: m.GetSandbox(),
		Retention: ToRetention(m.GetRetention()), Privacy: ToPrivacy(m.GetPrivacy()),
	}
	for _, s := range m.GetSites() {
		if s.GetId() == "" || s.GetUid() == "" || !valid(s.GetProofsNotBefore()) {
			return nil, unreadable("a site without id or uid, or with a bad time")
		}
		o.Sites = append(o.Sites, policy.Site{ID: s.GetId(), UID: s.GetUid(), DisplayName: s.GetDisplayName(),
			Hostnames: s.GetHostnames(), Disabled: s.GetDisabled(), TrustsAccountEmail: s.GetTrustsAccountEmail(), Origin: toOrigin(s.GetOrigin()),
			ProofsNotBefore: toTime(s.GetProofsNotBefore()), Privacy: ToPrivacy(s.GetPrivacy()), Region: s.GetRegion()})
	}
	for _, c := range m.GetConnections() {
		converted, err := toConnection(c)
		if err != nil {
			return nil, err
		}
		o.Connections = append(o.Connections, converted)
	}
	return o, nil
}

func fromSite(s *policy.Site) *posternv1.Site {
	return &posternv1.Site{Id: s.ID, Uid: s.UID, DisplayName: s.DisplayName, Hostnames: s.Hostnames, Disabled: s.Disabled,
		TrustsAccountEmail: s.TrustsAccountEmail, Origin: fromOrigin(s.Origin), ProofsNotBefore: fromTime(s.ProofsNotBefore),
		Privacy: fromPrivacy(s.Privacy), Region: s.Region}
}

// FromDomain converts a domain record.
func FromDomain(r policy.DomainRecord) *posternv1.Domain {
	state := posternv1.Domain_STATE_VERIFIED
	if r.Stale {
		state = posternv1.Domain_STATE_FAILING
	}
	return &posternv1.Domain{Domain: r.Domain.String(), IncludeSubdomains: r.Subdomains, VerifiedBy: r.VerifiedBy,
		Revision: r.Revision, Origin: fromOrigin(r.Origin), State: state, Stale: r.Stale, Dnssec: r.DNSSEC, VerifyTime: fromTime(r.Verified)}
}

// ToDomain is the reverse of FromDomain.
func ToDomain(m *posternv1.Domain) (policy.DomainRecord, error) {
	d, err := toDomain(m.GetDomain())
	if err != nil {
		return policy.DomainRecord{}, err
	}
	return policy.DomainRecord{Domain: d, Subdomains: m.GetIncludeSubdomains(), VerifiedBy: m.GetVerifiedBy(),
		Revision: m.GetRevision(), Origin: toOrigin(m.GetOrigin()), Stale: m.GetStale(), DNSSEC: m.GetDnssec(),
		Verified: toTime(m.GetVerifyTime())}, nil
}

// Etag is a stamp in text: 32 lower-case hex digits, empty for the zero stamp.
func Etag(s policy.Stamp) string {
	if s.IsZero() {
		return ""
	}
	return hex.EncodeToString(s[:])
}

// ParseEtag is the reverse of Etag.
func ParseEtag(s string) (policy.Stamp, error) {
	var stamp policy.Stamp
	if s == "" {
		return stamp, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(stamp) || strings.ToLower(s) != s {
		return stamp, errs.New(errs.Invalid, "ETAG_INVALID", "an etag is what a read or a change answered: 32 lower-case hex digits")
	}
	return policy.Stamp(b), nil
}

func fromOrigin(o audit.Origin) posternv1.Origin { return posternv1.Origin(o) }

// toOrigin takes an origin this process does not know for the API's: documents then leave the object alone.
func toOrigin(o posternv1.Origin) audit.Origin {
	switch o {
	case posternv1.Origin_ORIGIN_UNSPECIFIED:
		return audit.OriginUnspecified
	case posternv1.Origin_ORIGIN_DOCUMENT:
		return audit.OriginDocument
	default:
		return audit.OriginAPI
	}
}

func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func unreadable(what string) error {
	return errs.New(errs.Internal, ReasonUnreadable, "stored form not understood: "+what)
}
