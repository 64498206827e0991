package redisstore

import (
	"context"
	"encoding/hex"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// linkParts are what a commit does to the link of an identity, encoded.
type linkParts struct {
	record []byte // the new one; empty to remove it
	listed string // its name in the list
	gone   string // the name that goes from the list
}

// encodeLink fills in what the commit does to a link. What is replaced says itself under which account it is listed, so that
// no name is left behind.
func (p *prepared) encodeLink() error {
	w := p.c.Link
	switch {
	case w == nil:
		return nil
	case w.Identity == authflow.IdentityKey{}:
		return badLink("a link is of an identity")
	case w.Next != nil && w.Remove, w.Remove && w.From == "":
		return badLink("a link is made, replaced, removed or compared")
	case w.Next == nil && !w.Remove:
		return nil
	}
	var was policy.AccountKey
	if w.From != "" {
		var m storev1.LinkRecord
		if err := redisx.Unmarshal([]byte(w.From), &m); err != nil {
			return err
		}
		var err error
		if was, err = accountOf(&m); err != nil {
			return err
		}
	}
	if w.Remove {
		if w.Account != was {
			return badLink("a link is removed from another account than it is listed under")
		}
		p.link.gone = linkName(was, w.Identity)
		return nil
	}
	if w.From != "" && was != w.Account {
		p.link.gone = linkName(was, w.Identity)
	}
	p.link.listed = linkName(w.Account, w.Identity)
	var err error
	p.link.record, err = p.store.encodeLink(p.c.OrganizationUID, w)
	return err
}

func badLink(why string) error { return errs.New(errs.Internal, "LINK_WRITE", why) }

// encodeLink returns format byte and LinkRecord. A link that is not whole would be found by nobody, or say less than it must.
func (s *Store) encodeLink(organizationUID string, w *authflow.LinkWrite) ([]byte, error) {
	l := w.Next
	switch {
	case l.Identity != w.Identity || l.AccountKey != w.Account || l.AccountKey == policy.AccountKey{}:
		return nil, badLink("a link is not of the identity and account it is stored under")
	case l.AccountID == "" || l.Issuer == "" || l.SubjectID == "" || l.ConnectionUID == "" || l.Linked.IsZero():
		return nil, badLink("a link says which identity of which connection belongs to which account since when")
	case l.By != authflow.LinkedNew && l.By != authflow.LinkedByProof && l.By != authflow.LinkedByEmail:
		return nil, badLink("a link says how it was made")
	}
	b, err := redisx.Marshal(&storev1.LinkRecord{
		OrganizationUid: organizationUID, AccountKey: l.AccountKey[:], ConnectionUid: l.ConnectionUID, Linked: toTimestamp(l.Linked),
		By: l.By, Flow: l.Flow,
	})
	if err != nil {
		return nil, err
	}
	return s.appendSealed(b, 7, organizationUID, linkID(l.Identity), &audit.Personal{
		AccountID: l.AccountID, Email: l.Email, Issuer: l.Issuer, SubjectID: l.SubjectID,
	})
}

// decodeLink reads a link; one of another organization is none.
func (s *Store) decodeLink(ctx context.Context, organizationUID string, identity authflow.IdentityKey, stored string) (*authflow.Link, error) {
	var m storev1.LinkRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, nil //nolint:nilnil // not this organization's
	}
	account, err := accountOf(&m)
	if err != nil {
		return nil, err
	}
	if m.GetPersonal() == nil {
		return nil, malformedLink(nil, "it does not say whose it is")
	}
	who, err := s.openSealed(ctx, organizationUID, linkID(identity), m.GetPersonal())
	if err != nil {
		return nil, err
	}
	return &authflow.Link{
		Identity: identity, AccountID: who.AccountID, AccountKey: account, Issuer: who.Issuer, SubjectID: who.SubjectID, Email: who.Email,
		ConnectionUID: m.GetConnectionUid(), Linked: fromTimestamp(m.GetLinked()), By: m.GetBy(), Flow: m.GetFlow(), Stored: stored,
	}, nil
}

func accountOf(m *storev1.LinkRecord) (policy.AccountKey, error) {
	key := m.GetAccountKey()
	if len(key) != len(policy.AccountKey{}) {
		return policy.AccountKey{}, malformedLink(nil, "the hash of its account has another length")
	}
	return policy.AccountKey(key), nil
}

// linkID is what the sealed part of a link is bound to.
func linkID(identity authflow.IdentityKey) string {
	return "identity/" + hex.EncodeToString(identity[:])
}

func malformedLink(cause error, why string) error {
	return errs.Wrap(cause, errs.Internal, "RECORD_MALFORMED", "the stored link of an identity cannot be read: "+why)
}

// linkHead says what becomes of the link: see commit.lua.
func (p *prepared) linkHead() byte {
	switch w := p.c.Link; {
	case w == nil:
		return 0
	case w.Next == nil && !w.Remove:
		return 1
	default:
		return 2
	}
}

func (p *prepared) linkKeys(call *redisx.Call, h *[headSize]byte) {
	if h[headLink] > 0 {
		call.Key(p.space.Identity(p.c.Link.Identity))
	}
	if h[headLink] == 2 {
		call.Key(p.space.Identities(p.c.OrganizationUID))
	}
}

func (p *prepared) linkArguments(call *redisx.Call, h *[headSize]byte) {
	if h[headLink] > 0 {
		call.Arg(p.c.Link.From)
	}
	if h[headLink] == 2 {
		call.Arg(p.link.record, p.link.listed, p.link.gone)
	}
}
