package redisstore

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// person is everything in a flow that identifies a person, comparable: equal persons need not be sealed again.
type person struct {
	claimedAccount, identifierHash, name, device string
	claimedAddress                               policy.Address
	claimedKind                                  audit.SubjectKind
	bound                                        bool
	boundAccount, identityKey                    string
	boundEmail                                   policy.Address
	boundVerified                                bool
	boundKind                                    audit.SubjectKind
	boundStep, boundNamed                        int
	boundUnlinked                                bool
	pendingSeed                                  string
}

func personOf(st *authflow.State) person {
	c := &st.Claimed
	p := person{
		claimedAccount: c.AccountID, identifierHash: c.IdentifierHash, name: c.DisplayName, device: st.DeviceID,
		claimedAddress: c.Address, claimedKind: c.Kind,
	}
	if b := st.Bound; b != nil {
		p.bound, p.boundAccount, p.identityKey = true, b.AccountID, string(b.IdentityKey)
		p.boundEmail, p.boundVerified, p.boundKind, p.boundStep = b.Email, b.EmailVerified, b.Kind, b.Step
		p.boundNamed, p.boundUnlinked = b.Named, b.Unlinked
	}
	if st.Pending != nil {
		p.pendingSeed = string(st.Pending.Seed)
	}
	return p
}

// sealPerson encodes and seals what identifies a person.
func (s *Store) sealPerson(st *authflow.State, p *person) ([]byte, error) {
	m := storev1.FlowPersonal{
		ClaimedAccountId: p.claimedAccount, ClaimedAddress: p.claimedAddress.String(), IdentifierHash: p.identifierHash,
		BoundAccountId: p.boundAccount, BoundEmail: p.boundEmail.String(), BoundEmailVerified: p.boundVerified,
		BoundStep: int32(p.boundStep), Kind: posternv1.SubjectKind(p.boundKind), DeviceId: p.device, //nolint:gosec // at most 64
		DisplayName: p.name, ClaimedKind: posternv1.SubjectKind(p.claimedKind),
		BoundNamed: int32(p.boundNamed), BoundUnlinked: p.boundUnlinked, //nolint:gosec // at most 64
	}
	if p.identityKey != "" {
		m.BoundIdentityKey = []byte(p.identityKey)
	}
	if p.pendingSeed != "" {
		m.PendingSeed = []byte(p.pendingSeed)
	}
	clear, err := proto.Marshal(&m)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field of the subject is not valid UTF-8")
	}
	sealed, err := s.keyring.SealBytes(st.OrganizationUID, st.ID.String(), clear)
	if err != nil {
		return nil, err
	}
	b, err := proto.Marshal(codec.SealedToProto(sealed))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "RECORD_TEXT", "a sealed part cannot be written")
	}
	return b, nil
}

// openPersonal fills st with what its record has sealed.
func (s *Store) openPersonal(st *authflow.State, sealed *audit.Sealed) error {
	clear, err := s.keyring.OpenBytes(st.OrganizationUID, st.ID.String(), sealed)
	if err != nil {
		return err
	}
	var m storev1.FlowPersonal
	if err := proto.Unmarshal(clear, &m); err != nil {
		return malformed(err, "its subject cannot be read")
	}
	st.Claimed.AccountID, st.Claimed.IdentifierHash = m.GetClaimedAccountId(), m.GetIdentifierHash()
	st.Claimed.DisplayName, st.DeviceID = m.GetDisplayName(), m.GetDeviceId()
	st.Claimed.Kind = audit.SubjectKind(m.GetClaimedKind()) //nolint:gosec // an enum of three values
	if st.Claimed.Address, err = addressOf(m.GetClaimedAddress()); err != nil {
		return err
	}
	if st.Pending != nil && len(m.GetPendingSeed()) > 0 {
		st.Pending.Seed = m.GetPendingSeed()
	}
	if m.GetBoundStep() == 0 {
		return nil
	}
	st.Bound = &authflow.Bound{
		AccountID: m.GetBoundAccountId(), IdentityKey: m.GetBoundIdentityKey(), EmailVerified: m.GetBoundEmailVerified(),
		Kind: audit.SubjectKind(m.GetKind()), Named: int(m.GetBoundNamed()), Unlinked: m.GetBoundUnlinked(), Step: int(m.GetBoundStep()), //nolint:gosec // as above
	}
	st.Bound.Email, err = addressOf(m.GetBoundEmail())
	return err
}

func addressOf(s string) (policy.Address, error) {
	if s == "" {
		return policy.Address{}, nil
	}
	a, err := policy.ParseAddress(s)
	if err != nil {
		return policy.Address{}, malformed(err, "its address is not canonical")
	}
	return a, nil
}

func malformed(cause error, why string) error {
	return errs.Wrap(cause, errs.Internal, "RECORD_MALFORMED", "the stored flow cannot be read: "+why)
}
