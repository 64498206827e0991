package redisstore

import (
	"context"
	"encoding/hex"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// appendAuthenticator writes format byte and AuthenticatorRecord into buf, from its beginning. Secrets come as ciphertext and
// recovery codes as hashes; the account id is sealed here. What State says follows from the rest.
func (s *Store) appendAuthenticator(buf []byte, organizationUID string, key policy.AccountKey, a *factor.Authenticator) ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	b := buf[:0]
	b = append(b, redisx.StateFormat)
	b = appendText(b, 1, organizationUID)
	var err error
	if b, err = appendCredential(b, 2, &a.Active); err != nil {
		return nil, err
	}
	if b, err = appendCredential(b, 3, &a.Pending); err != nil {
		return nil, err
	}
	b = appendNumber(b, 4, a.LastStep)
	b = appendNumber(b, 5, int64(a.Failures))
	b = appendNumber(b, 6, int64(a.Locks))
	b = appendTime(b, 7, a.LockUntil)
	b = appendFlag(b, 8, a.State == factor.Disabled)
	for i := range a.Recovery {
		b = appendBytes(b, 9, a.Recovery[i][:])
	}
	for i := range a.RecoveryUsed {
		b = appendBytes(b, 10, a.RecoveryUsed[i][:])
	}
	b = appendNumber(b, 11, int64(a.RecoveryIssued))
	b = appendTime(b, 12, a.RecoveryMade)
	if b, err = s.appendSealed(b, 13, organizationUID, hex.EncodeToString(key[:]), &audit.Personal{AccountID: a.AccountID}); err != nil {
		return nil, err
	}
	return appendTime(b, 14, a.Disabled), nil
}

// appendSealed writes a SealedPart that holds what is personal in a record.
func (s *Store) appendSealed(b []byte, n protowire.Number, organizationUID, recordID string, p *audit.Personal) ([]byte, error) {
	plain, err := codec.MarshalPersonal(p)
	if err != nil {
		return nil, err
	}
	sealed, err := s.keyring.SealBytes(organizationUID, recordID, plain)
	if err != nil {
		return nil, err
	}
	part, err := proto.Marshal(codec.SealedToProto(sealed))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "RECORD_TEXT", "a sealed part cannot be written")
	}
	return appendBytes(b, n, part), nil
}

// openSealed is the reverse of appendSealed.
func (s *Store) openSealed(ctx context.Context, organizationUID, recordID string, m *storev1.SealedPart) (audit.Personal, error) {
	if err := s.needKey(ctx, organizationUID); err != nil {
		return audit.Personal{}, err
	}
	plain, err := s.keyring.OpenBytes(organizationUID, recordID, codec.SealedFromProto(m))
	if err != nil {
		return audit.Personal{}, err
	}
	return codec.UnmarshalPersonal(plain)
}

func appendCredential(b []byte, n protowire.Number, c *factor.Credential) ([]byte, error) {
	if c.IsZero() {
		return b, nil
	}
	for _, s := range [...]string{c.UID, c.By, c.Flow, c.After.Method, c.After.Connection} {
		if !utf8.ValidString(s) {
			return nil, errs.New(errs.Invalid, "RECORD_TEXT", "a field of the authenticator is not valid UTF-8")
		}
	}
	var room [512]byte
	v := appendText(room[:0], 1, c.UID)
	v = appendBytes(v, 2, c.Sealed)
	v = appendText(v, 3, c.Algorithm.String())
	v = appendNumber(v, 4, int64(c.Digits))
	v = appendNumber(v, 5, int64(c.Period/time.Second))
	var more [256]byte
	e := appendTime(more[:0], 1, c.Enrolled)
	e = appendText(e, 2, c.By)
	e = appendText(e, 3, c.Flow)
	e = appendText(e, 4, c.After.Method)
	e = appendNumber(e, 5, int64(c.After.Evidence))
	v = appendBytes(v, 6, e)
	v = appendTime(v, 7, c.Confirmed)
	v = appendText(v, 8, c.After.Connection)
	return appendBytes(b, n, v), nil
}

// decodeAuthenticator reads an authenticator; one of another organization is none. One that is not whole is never used.
func (s *Store) decodeAuthenticator(ctx context.Context, organizationUID string, key policy.AccountKey, stored string) (*factor.Authenticator, error) {
	var m storev1.AuthenticatorRecord
	if err := redisx.Unmarshal([]byte(stored), &m); err != nil {
		return nil, err
	}
	if m.GetOrganizationUid() != organizationUID {
		return nil, nil //nolint:nilnil // not this organization's
	}
	personal, err := s.openSealed(ctx, organizationUID, hex.EncodeToString(key[:]), m.GetPersonal())
	if err != nil {
		return nil, err
	}
	a := &factor.Authenticator{
		AccountID: personal.AccountID, LastStep: m.GetLastStep(), Failures: int(m.GetFailures()), Locks: int(m.GetLocks()),
		LockUntil: fromTimestamp(m.GetLockUntil()), Disabled: fromTimestamp(m.GetDisabledTime()),
		RecoveryIssued: int(m.GetRecoveryIssued()), RecoveryMade: fromTimestamp(m.GetRecoveryMade()),
	}
	if a.Active, err = decodeCredential(m.GetActive()); err != nil {
		return nil, err
	}
	if a.Pending, err = decodeCredential(m.GetPending()); err != nil {
		return nil, err
	}
	if a.Recovery, err = hashesOf(m.GetRecovery()); err != nil {
		return nil, err
	}
	if a.RecoveryUsed, err = hashesOf(m.GetRecoveryUsed()); err != nil {
		return nil, err
	}
	switch {
	case m.GetDisabled():
		a.State = factor.Disabled
	case m.GetActive() != nil:
		a.State = factor.Active
	case m.GetPending() != nil:
		a.State = factor.Pending
	}
	return a, a.Check()
}

func decodeCredential(m *storev1.CredentialRecord) (factor.Credential, error) {
	if m == nil {
		return factor.Credential{}, nil
	}
	algorithm, err := factor.ParseAlgorithm(m.GetAlgorithm())
	if err != nil {
		return factor.Credential{}, malformedSubject(err, "its algorithm is not known")
	}
	e := m.GetEnrolment()
	return factor.Credential{
		UID: m.GetUid(), Sealed: m.GetSealed(), Algorithm: algorithm, Digits: int(m.GetDigits()), Period: time.Duration(m.GetPeriod()) * time.Second,
		Enrolled: fromTimestamp(e.GetTime()), By: e.GetCaller(), Flow: e.GetFlow(), Confirmed: fromTimestamp(m.GetConfirmed()),
		After: factor.Basis{Method: e.GetMethod(), Connection: m.GetConnectionUid(), Evidence: audit.Evidence(e.GetEvidence())}, //nolint:gosec // an enum
	}, nil
}

func hashesOf(list [][]byte) ([]factor.Hash, error) {
	var out []factor.Hash
	for _, b := range list {
		if len(b) != len(factor.Hash{}) {
			return nil, malformedSubject(nil, "the hash of a recovery code has another length")
		}
		out = append(out, factor.Hash(b))
	}
	return out, nil
}
