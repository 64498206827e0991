package redisdirectory

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// MaxPolicyRecord bounds the policy record: it is cached whole by every process.
const MaxPolicyRecord = policypb.MaxRecord

// encodeOrganization makes the policy record. What every directory commit changes (revision, stamps, times) is kept beside
// it, so that an import of claims does not make it stale.
func encodeOrganization(o *policy.Organization) ([]byte, error) {
	m := policypb.FromOrganization(o)
	m.Revision, m.Etag, m.CreateTime, m.UpdateTime = 0, "", nil, nil
	for _, c := range m.GetConnections() { // what follows from the rest
		c.Name, c.HasSecret, c.SecretUpdateTime = "", false, nil
	}
	rules, err := proto.MarshalOptions{Deterministic: true}.Marshal(policypb.FromPolicyOf(o))
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field of the policy is not valid UTF-8")
	}
	b, err := redisx.Marshal(&storev1.OrganizationRecord{Organization: m, Policy: rules, Secrets: policypb.FromSecrets(o),
		Deleted: timestampOf(o.Deleted)})
	if err != nil {
		return nil, err
	}
	if len(b) > MaxPolicyRecord {
		return nil, errs.Newf(errs.Invalid, "POLICY_TOO_LARGE",
			"sites, connections and policy together take %d bytes, at most %d are kept: shorten texts or use fewer, wider rules",
			len(b), MaxPolicyRecord)
	}
	return b, nil
}

// decodeOrganization reads a policy record. A policy that cannot be read leaves sites and connections readable; a record
// that cannot be read at all is an error.
func decodeOrganization(b []byte, allowUnreadable bool) (*policy.Organization, error) {
	var r storev1.OrganizationRecord
	if err := redisx.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	o, err := policypb.ToOrganization(r.GetOrganization())
	if err != nil {
		return nil, err
	}
	if err := policypb.AddSecrets(o, r.GetSecrets()); err != nil {
		return nil, err
	}
	o.Deleted = timeOf(r.GetDeleted())
	o.AllowUnreadable = allowUnreadable
	var m posternv1.Policy
	if err := proto.Unmarshal(r.GetPolicy(), &m); err != nil {
		o.Unreadable = true
		return o, nil //nolint:nilerr // Unreadable says so, and Decide denies
	}
	if o.ProofsNotBefore, err = policypb.ToProofsNotBefore(&m); err != nil {
		o.Unreadable = true
		return o, nil //nolint:nilerr // as above
	}
	if o.SuspendedUntil, err = policypb.ToSuspendedUntil(&m); err != nil {
		o.Unreadable = true
		return o, nil //nolint:nilerr // as above
	}
	p, _, err := policypb.ToPolicy(&m)
	if err != nil {
		o.Unreadable = true
		return o, nil //nolint:nilerr // as above
	}
	o.Policy = p
	return o, nil
}

func encodeDomain(d policy.DomainRecord) ([]byte, error) {
	return redisx.Marshal(&storev1.DomainRecord{Domain: policypb.FromDomain(d)})
}

func decodeDomain(b string) (policy.DomainRecord, error) {
	var r storev1.DomainRecord
	if err := redisx.Unmarshal([]byte(b), &r); err != nil {
		return policy.DomainRecord{}, err
	}
	return policypb.ToDomain(r.GetDomain())
}
