package redisdirectory

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"encoding/hex"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

//go:embed claims.lua
var claimsText string

var _ policy.Claims = (*Directory)(nil)

func encodeClaim(c policy.ClaimRecord) ([]byte, error) {
	m := &storev1.ClaimRecord{Revision: c.Revision, Origin: posternv1.Origin(c.Origin), Kind: string(c.Kind), Key: c.Key[:], Created: timestampOf(c.Created)}
	if p := c.Personal; p != nil {
		m.Personal = &storev1.SealedPart{Salt: p.Salt, Sealed: p.Data, Digest: p.Digest}
	}
	return redisx.Marshal(m)
}

// decodeClaim reads a claim as sign-ins need it: without what is sealed.
func decodeClaim(b string) (policy.ClaimRecord, error) {
	c, _, err := readClaim(b)
	return c, err
}

// decodeWholeClaim reads all of a claim.
func decodeWholeClaim(b string) (policy.ClaimRecord, error) {
	c, m, err := readClaim(b)
	if err != nil {
		return c, err
	}
	c.Created = timeOf(m.GetCreated())
	if p := m.GetPersonal(); p != nil {
		c.Personal = &audit.Sealed{Salt: p.GetSalt(), Data: p.GetSealed(), Digest: p.GetDigest()}
	}
	return c, nil
}

func readClaim(b string) (policy.ClaimRecord, *storev1.ClaimRecord, error) {
	var m storev1.ClaimRecord
	if err := redisx.Unmarshal([]byte(b), &m); err != nil {
		return policy.ClaimRecord{}, nil, err
	}
	if len(m.GetKey()) != len(policy.AccountKey{}) {
		return policy.ClaimRecord{}, nil, errs.New(errs.Internal, "RECORD_MALFORMED", "a stored claim has a key of another length")
	}
	return policy.ClaimRecord{
		Key: policy.AccountKey(m.GetKey()), Kind: policy.ClaimKind(m.GetKind()), Revision: m.GetRevision(),
		Origin: audit.Origin(m.GetOrigin()), //nolint:gosec // an enum of three values
	}, &m, nil
}

// claimParts are the parts of the index of claims that a change touches, numbered from 1 in the order of their keys.
type claimParts struct {
	firsts  []byte
	numbers [256]int
}

func (p *claimParts) add(key policy.AccountKey) {
	if p.numbers[key[0]] == 0 {
		p.firsts = append(p.firsts, key[0])
		p.numbers[key[0]] = len(p.firsts)
	}
}

// claimKeys adds the keys of the claims dropped, and of the index of all claims of a change.
func (w *write) claimKeys(call *redisx.Call) {
	uid := w.c.Organization.UID
	for _, key := range w.c.DropClaims {
		call.Key(w.space.Claim(uid, key))
	}
	for _, r := range w.c.AddClaims {
		w.parts.add(r.Key)
	}
	for _, key := range w.c.DropClaims {
		w.parts.add(key)
	}
	for _, first := range w.parts.firsts {
		call.Key(w.space.Claims(uid, first))
	}
}

// member adds where the index has a claim.
func (w *write) member(call *redisx.Call, key policy.AccountKey) {
	call.Arg(hex.EncodeToString(key[:]), w.parts.numbers[key[0]])
}

// conditions adds what must hold beside the stamp.
func (w *write) conditions(call *redisx.Call) {
	notAfter := ""
	if !w.c.NotAfter.IsZero() {
		notAfter = millis(w.c.NotAfter)
	}
	if w.c.Import == nil {
		call.Arg(notAfter, "", "")
		return
	}
	call.Arg(notAfter, "1", w.c.Import.Version)
}

// ListsClaims implements policy.DirectoryWriter.
func (d *Directory) ListsClaims(ctx context.Context, uid string, names []policy.AccountKey) (map[policy.AccountKey]policy.ClaimRecord, error) {
	out := make(map[policy.AccountKey]policy.ClaimRecord, len(names))
	err := d.eachClaim(ctx, uid, names, func(c policy.ClaimRecord) { out[c.Key] = c })
	return out, err
}

func (d *Directory) eachClaim(ctx context.Context, uid string, names []policy.AccountKey, found func(policy.ClaimRecord)) error {
	space := d.keys.Of(uid)
	keys := make([]string, len(names))
	for i, k := range names {
		keys[i] = space.Claim(uid, k)
	}
	return d.each(ctx, keys, func(i int, v string) error {
		c, err := decodeWholeClaim(v)
		if err == nil && c.Key != names[i] {
			err = errs.New(errs.Internal, "RECORD_MALFORMED", "a stored claim has another key than its name")
		}
		if err == nil {
			found(c)
		}
		return err
	})
}

// Claims implements policy.Claims. What is released between the two reads is left out.
func (d *Directory) Claims(ctx context.Context, uid string, after policy.AccountKey, limit int) (policy.ClaimPage, error) {
	space := d.keys.Of(uid)
	call := redisx.NewCall(4 + 256)
	call.Key(space.Organization(uid))
	for first := int(after[0]); first < 256; first++ {
		call.Key(space.Claims(uid, byte(first))) //nolint:gosec // below 256
	}
	from := "-"
	if after != (policy.AccountKey{}) {
		from = "(" + hex.EncodeToString(after[:])
	}
	call.Arg(from, limit+1)
	reply, err := d.claims.Run(ctx, d.reader, call)
	if err != nil {
		return policy.ClaimPage{}, redisx.ReadAgain(err)
	}
	r := redisx.NewReply(reply)
	page := policy.ClaimPage{Count: r.Int(0)}
	var names []policy.AccountKey
	for i := 1; i < r.Len(); i++ {
		var key policy.AccountKey
		text := r.Text(i)
		if len(text) != hex.EncodedLen(len(key)) {
			return policy.ClaimPage{}, errs.New(errs.Internal, "RECORD_MALFORMED", "the index of claims holds something else")
		}
		if _, err := hex.Decode(key[:], []byte(text)); err != nil {
			return policy.ClaimPage{}, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "the index of claims holds something else")
		}
		names = append(names, key)
	}
	if err := r.Err(); err != nil {
		return policy.ClaimPage{}, err
	}
	if len(names) > limit {
		names = names[:limit]
		page.Next = names[limit-1]
	}
	err = d.eachClaim(ctx, uid, names, func(c policy.ClaimRecord) { page.Claims = append(page.Claims, c) })
	return page, err
}

// ImportProgress implements policy.Claims.
func (d *Directory) ImportProgress(ctx context.Context, organizationUID string, key policy.ApplyKey) (*policy.ImportProgress, error) {
	m, version, err := d.progress(ctx, organizationUID, key)
	if m == nil || err != nil {
		return nil, err
	}
	p := m.GetImport()
	if p == nil {
		return nil, errs.New(errs.Internal, "RECORD_MALFORMED", "what is kept of an import cannot be read")
	}
	return &policy.ImportProgress{
		NextRow: p.GetNextRow(), Created: p.GetCreated(), Unchanged: p.GetUnchanged(), Refused: p.GetRefused(),
		Revision: p.GetRevision(), Digest: p.GetDigest(), Version: version,
	}, nil
}

// NoteImport implements policy.Claims.
func (d *Directory) NoteImport(ctx context.Context, organizationUID string, key policy.ApplyKey, p policy.ImportProgress) error {
	b, err := encodeImport(key, policy.Stamp{}, p, p.Revision)
	if err != nil {
		return err
	}
	done, err := d.swapRecords(ctx, []string{d.once(organizationUID, key)}, [][2][]byte{{[]byte(p.Version), b}}, swapAll, progressFor)
	if err == nil && !done {
		err = errs.New(errs.Conflict, "ETAG_MISMATCH", "the import went on meanwhile; read how far it is")
	}
	return err
}

func encodeImport(key policy.ApplyKey, stamp policy.Stamp, p policy.ImportProgress, revision int64) ([]byte, error) {
	m := &storev1.ImportRecord{NextRow: p.NextRow, Created: p.Created, Unchanged: p.Unchanged, Refused: p.Refused, Revision: revision, Digest: p.Digest,
		Nonce: make([]byte, 8)}
	_, _ = rand.Read(m.Nonce) // never fails
	return redisx.Marshal(&storev1.ApplyRecord{Request: key.Digest[:], Stamp: stamp[:], Import: m})
}

const noExpiry time.Duration = 0
