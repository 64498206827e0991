package redisdirectory

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// brings returns the index of the event that brings the archive what a commit writes, below zero when nothing says anything of
// it: the one that makes it a revision of the policy, else the first.
func (w *write) brings() int {
	if i := w.c.Revises(); i >= 0 || len(w.c.Events) == 0 {
		return i
	}
	return 0
}

// bring adds to an encoded event what its commit writes. Its sealed part stays as it is.
func (w *write) bring(event []byte) ([]byte, error) {
	e, err := w.d.codec.Decode(event)
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the codec
	}
	if e.Directory, err = w.written(); err != nil {
		return nil, err
	}
	return w.d.codec.Encode(&e) //nolint:wrapcheck // as above
}

// written is what the commit writes to the directory, without what is secret or personal in it.
func (w *write) written() (*audit.DirectoryWrite, error) {
	c, out := &w.c, &audit.DirectoryWrite{}
	if c.WritePolicy {
		var m storev1.OrganizationRecord
		if err := redisx.Unmarshal(w.record, &m); err != nil {
			return nil, err
		}
		m.Secrets = nil
		var err error
		if out.Organization, err = redisx.Marshal(&m); err != nil {
			return nil, err
		}
	}
	add := func(key audit.DirectoryKey, record []byte, err error) error {
		out.Items = append(out.Items, audit.DirectoryItem{Key: key, Record: record})
		return err
	}
	for _, r := range c.AddDomains {
		r.Revision = w.revision
		b, err := encodeDomain(r)
		if err := add(audit.DomainKey(r.Domain.String()), b, err); err != nil {
			return nil, err
		}
	}
	for _, r := range c.AddClaims {
		r.Revision, r.Personal = w.revision, nil
		b, err := encodeClaim(r)
		if err := add(audit.ClaimKey(r.Key[:]), b, err); err != nil {
			return nil, err
		}
	}
	for _, dom := range c.DropDomains {
		_ = add(audit.DomainKey(dom.String()), nil, nil)
	}
	for _, key := range c.DropClaims {
		_ = add(audit.ClaimKey(key[:]), nil, nil)
	}
	return out, nil
}

// PastOrganization reads an organization's record as a commit brought it to the archive, of the revision that wrote it. Times
// and stamps are not part of it; the counter of its policy stamp is that revision.
func PastOrganization(record []byte, revision int64) (*policy.Organization, error) {
	var m storev1.OrganizationRecord
	if err := redisx.Unmarshal(record, &m); err != nil {
		return nil, err
	}
	var p posternv1.Policy // one that cannot be read denies, as it did then
	allows := proto.Unmarshal(m.GetPolicy(), &p) == nil && p.GetOnUnreadable() == policypb.OnUnreadableAllow
	o, err := decodeOrganization(record, allows)
	if err != nil {
		return nil, err
	}
	o.Revision, o.PolicyStamp = revision, policy.RevisionStamp(revision)
	return o, nil
}

// PastRecords makes the records of one subject from what the archive says its keys stood for: of PastKeys.
func PastRecords(found map[audit.DirectoryKey][]byte, l policy.LookupKeys) (policy.Records, error) {
	var out policy.Records
	claim := func(key policy.AccountKey) (*policy.ClaimRecord, error) {
		b, ok := found[audit.ClaimKey(key[:])]
		if !ok || key == (policy.AccountKey{}) {
			return nil, nil //nolint:nilnil // not claimed
		}
		c, err := decodeClaim(string(b))
		return &c, err
	}
	var err error
	if out.AccountClaim, err = claim(l.Account); err != nil {
		return out, err
	}
	if out.AddressClaim, err = claim(l.Address); err != nil {
		return out, err
	}
	var domains []policy.DomainRecord
	for d := l.Domain; !d.IsZero(); d = d.Parent() {
		if b, ok := found[audit.DomainKey(d.String())]; ok {
			r, err := decodeDomain(string(b))
			if err != nil {
				return out, err
			}
			domains = append(domains, r)
		}
	}
	out.Domain = policy.MostSpecific(domains, l.Domain)
	return out, nil
}

// PastKeys returns what a lookup reads, as the archive names it.
func PastKeys(l policy.LookupKeys) []audit.DirectoryKey {
	var keys []audit.DirectoryKey
	for _, key := range []policy.AccountKey{l.Account, l.Address} {
		if key != (policy.AccountKey{}) {
			keys = append(keys, audit.ClaimKey(key[:]))
		}
	}
	for d := l.Domain; !d.IsZero(); d = d.Parent() {
		keys = append(keys, audit.DomainKey(d.String()))
	}
	return keys
}
