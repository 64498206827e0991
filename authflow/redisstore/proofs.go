package redisstore

import (
	"context"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// appendPerson writes format byte and PersonRecord into buf, from its beginning. Nothing in it is personal in the clear: not who
// it is about, not with which device; what a partner asserted is sealed.
func (s *Store) appendPerson(buf []byte, organizationUID string, p *authflow.Person) ([]byte, error) {
	b := buf[:0]
	b = append(b, redisx.StateFormat)
	b = appendText(b, 1, organizationUID)
	b, err := s.appendProofs(b, 2, organizationUID, p.Proofs)
	if err != nil {
		return nil, err
	}
	return appendTime(b, 3, p.NotBefore), nil
}

// appendProofs writes a list of ProofRecord.
func (s *Store) appendProofs(b []byte, n protowire.Number, organizationUID string, proofs []policy.Proof) ([]byte, error) {
	if len(proofs) > authflow.MaxProofs {
		return nil, errs.Newf(errs.Internal, "PROOFS_TOO_MANY", "at most %d proofs are kept together", authflow.MaxProofs)
	}
	for i := range proofs {
		var err error
		if b, err = s.appendProof(b, n, organizationUID, &proofs[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (s *Store) appendProof(b []byte, n protowire.Number, organizationUID string, p *policy.Proof) ([]byte, error) {
	for _, s := range [...]string{p.Method, p.Factor, p.Connection, p.ConnectionUID, p.Flow, p.SiteUID} {
		if !utf8.ValidString(s) {
			return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of a proof is not valid UTF-8")
		}
	}
	var room [512]byte
	v := appendText(room[:0], 1, p.Method)
	v = appendText(v, 2, p.Factor)
	v = appendText(v, 3, p.Connection)
	v = appendText(v, 4, p.ConnectionUID)
	if p.Device != [16]byte{} {
		v = appendBytes(v, 5, p.Device[:])
	}
	v = appendTime(v, 6, p.At)
	v = appendNumber(v, 7, int64(p.Evidence))
	v = appendText(v, 8, p.Flow)
	v = appendNumber(v, 9, int64(p.Step))
	v = appendText(v, 10, p.SiteUID)
	v = appendFlag(v, 11, p.UserVerified)
	if len(p.PartnerAMR) > 0 || p.PartnerACR != "" {
		var err error
		v, err = s.appendSealed(v, 12, organizationUID, proofID(p.Flow, int64(p.Step)), &audit.Personal{AMR: p.PartnerAMR, ACR: p.PartnerACR})
		if err != nil {
			return nil, err
		}
	}
	return appendBytes(b, n, v), nil
}

// proofID is what the sealed part of a proof is bound to.
func proofID(flow string, step int64) string {
	return "proof/" + flow + "/" + strconv.FormatInt(step, 10)
}

// decodePerson reads what is remembered of a subject; a record of another organization is none.
func (s *Store) decodePerson(ctx context.Context, organizationUID, stored string) (*authflow.Person, error) {
	var m storev1.PersonRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, nil //nolint:nilnil // not this organization's
	}
	proofs, err := s.proofsOf(ctx, organizationUID, m.GetProofs())
	if err != nil {
		return nil, err
	}
	return &authflow.Person{Proofs: proofs, NotBefore: fromTimestamp(m.GetNotBefore())}, nil
}

func (s *Store) proofsOf(ctx context.Context, organizationUID string, list []*storev1.ProofRecord) ([]policy.Proof, error) {
	var out []policy.Proof
	for _, m := range list {
		p := policy.Proof{
			Method: m.GetMethod(), Factor: m.GetFactor(), Connection: m.GetConnection(), ConnectionUID: m.GetConnectionUid(),
			At: fromTimestamp(m.GetTime()), Evidence: audit.Evidence(m.GetEvidence()), UserVerified: m.GetUserVerified(), //nolint:gosec // an enum
			Flow: m.GetFlow(), Step: int(m.GetStep()), SiteUID: m.GetSiteUid(),
		}
		if d := m.GetDevice(); len(d) > 0 {
			if len(d) != len(p.Device) { // taken for a proof without a device, it would count on others
				return nil, malformedSubject(nil, "the hash of a device has another length")
			}
			p.Device = [16]byte(d)
		}
		if m.GetPartner() != nil {
			asserted, err := s.openSealed(ctx, organizationUID, proofID(m.GetFlow(), int64(m.GetStep())), m.GetPartner())
			if err != nil {
				return nil, err
			}
			p.PartnerAMR, p.PartnerACR = asserted.AMR, asserted.ACR
		}
		out = append(out, p)
	}
	return out, nil
}
