package directory

import (
	"bytes"
	"context"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ImportBegin names an import of accounts.
type ImportBegin struct {
	Organization string // id
	RequestID    string
	ValidateOnly bool
	Reason       string
	Digest       []byte // of the list; empty: not looked at
}

// ImportRow is a row of a batch: an account, or why there is none.
type ImportRow struct {
	Account NewAccount
	Refused error // an errs.Error; then there is no account
}

// Refusal is a row that was passed over.
type Refusal struct {
	Row    int64
	Reason string
	Text   string // for callers
}

// ImportAnswer is how far an import is, with the refused rows of its last batch.
type ImportAnswer struct {
	policy.ImportProgress
	Refusals []Refusal
}

// Import is one call that goes on with an import. It is used by one goroutine.
type Import struct {
	call *accountCall
	in   ImportBegin
	seen policy.ImportProgress // of this call alone, when nothing is written
}

// Import begins an import, or goes on with one, and says how far it is.
func (a *Accounts) Import(ctx context.Context, caller string, in ImportBegin) (*Import, ImportAnswer, error) {
	i := &Import{in: in, call: a.call(caller, methodImport, in.Organization, in.RequestID, in.Reason, fields(in.Reason))}
	i.call.unwritten = in.ValidateOnly
	var p policy.ImportProgress
	err := i.call.run(ctx, nil, func(ctx context.Context, _ *policy.Organization) (done bool, err error) {
		p, err = i.progress(ctx)
		return err == nil, err
	})
	return i, ImportAnswer{ImportProgress: p}, err
}

// progress is how far the import is.
func (i *Import) progress(ctx context.Context) (policy.ImportProgress, error) {
	if i.in.ValidateOnly {
		return i.seen, nil
	}
	p, err := i.call.Claims.ImportProgress(ctx, i.call.uid, i.call.key)
	if p == nil || err != nil {
		return policy.ImportProgress{Digest: i.in.Digest}, err
	}
	if len(p.Digest) > 0 && len(i.in.Digest) > 0 && !bytes.Equal(p.Digest, i.in.Digest) {
		return *p, errs.New(errs.AlreadyExists, "REQUEST_ID_REUSED", "this request id was used for the import of another list")
	}
	if len(p.Digest) == 0 {
		p.Digest = i.in.Digest
	}
	return *p, nil
}

// Batch claims the next rows in one commit, which also says how far the import is then.
func (i *Import) Batch(ctx context.Context, firstRow int64, rows []ImportRow) (ImportAnswer, error) {
	if len(rows) == 0 || len(rows) > MaxAccounts {
		return ImportAnswer{}, errs.Newf(errs.Invalid, ReasonAccountInvalid, "a batch has 1 to %d accounts", MaxAccounts)
	}
	b := &batch{Import: i, first: firstRow, rows: rows}
	var out ImportAnswer
	err := i.call.run(ctx, nil, func(ctx context.Context, o *policy.Organization) (done bool, err error) {
		out, done, err = b.once(ctx, o)
		return done, err
	})
	return out, err
}

// batch is one batch on its way.
type batch struct {
	*Import
	first  int64
	rows   []ImportRow
	claims []claim // of the rows that name an account, each once; made in the first try
	places []int   // of the claims in the rows
	bad    []Refusal
}

// read sorts the rows.
func (b *batch) read() {
	if b.claims != nil || b.bad != nil {
		return
	}
	seen := make(map[policy.AccountKey]bool, len(b.rows))
	for n := range b.rows {
		if err := b.rows[n].Refused; err != nil {
			b.bad = append(b.bad, b.refused(n, err))
			continue
		}
		one := b.call.claim(b.call.uid, b.rows[n].Account, audit.OriginAPI)
		if !seen[one.record.Key] {
			seen[one.record.Key] = true
			b.claims, b.places = append(b.claims, one), append(b.places, n)
		}
	}
}

func (b *batch) refused(n int, err error) Refusal {
	r := Refusal{Row: b.first + int64(n), Reason: ReasonAccountInvalid, Text: "this row cannot be taken"}
	if e := errs.As(err); e != nil {
		r.Reason, r.Text = e.Reason, e.Public
	}
	return r
}

// once tries the batch on the organization as it is.
func (b *batch) once(ctx context.Context, o *policy.Organization) (ImportAnswer, bool, error) {
	none := ImportAnswer{}
	p, err := b.progress(ctx)
	if err != nil {
		return none, false, err
	}
	if p.NextRow != b.first {
		return none, false, errs.Newf(errs.FailedPrecondition, ReasonImportOutOfStep, "the next row of this import is %d, not %d", p.NextRow, b.first)
	}
	b.read()
	fresh, places, err := b.fresh(ctx)
	if err != nil {
		return none, false, err
	}
	notAfter, lost, err := b.take(ctx, fresh)
	if err != nil {
		return none, false, err
	}
	out := ImportAnswer{ImportProgress: p, Refusals: b.refusals(places, lost)}
	fresh = without(fresh, lost)
	out.NextRow += int64(len(b.rows))
	out.Created += int64(len(fresh))
	out.Refused += int64(len(out.Refusals))
	out.Unchanged += int64(len(b.rows) - len(fresh) - len(out.Refusals))
	done, err := b.write(ctx, o, fresh, notAfter, &out.ImportProgress)
	return out, done, err
}

// fresh are the claims that the organization does not have, with their places in the rows.
func (b *batch) fresh(ctx context.Context) ([]claim, []int, error) {
	keys := make([]policy.AccountKey, len(b.claims))
	for i := range b.claims {
		keys[i] = b.claims[i].record.Key
	}
	have, err := b.call.Writer.ListsClaims(ctx, b.call.uid, keys)
	if err != nil {
		return nil, nil, err
	}
	var fresh []claim
	var places []int
	for i := range b.claims {
		if _, stands := have[keys[i]]; !stands {
			fresh, places = append(fresh, b.claims[i]), append(places, b.places[i])
		}
	}
	return fresh, places, nil
}

// take takes what is to be claimed, or only looks.
func (b *batch) take(ctx context.Context, fresh []claim) (notAfter time.Time, lost []int, err error) {
	switch {
	case len(fresh) == 0:
	case b.in.ValidateOnly:
		_, lost, err = b.call.look(ctx, b.call.uid, fresh)
	default:
		notAfter, lost, err = b.call.take(ctx, b.call.uid, fresh, false)
	}
	return notAfter, lost, err
}

// refusals are the rows that are passed over, in order.
func (b *batch) refusals(places, lost []int) []Refusal {
	at := make(map[int]bool, len(lost))
	for _, i := range lost {
		at[places[i]] = true
	}
	var out []Refusal
	rest := b.bad
	for n := range b.rows {
		switch {
		case len(rest) > 0 && rest[0].Row == b.first+int64(n):
			out, rest = append(out, rest[0]), rest[1:]
		case at[n]:
			out = append(out, b.refused(n, policy.AccountTaken()))
		}
	}
	return out
}

func without(all []claim, lost []int) []claim {
	out := make([]claim, 0, len(all))
	for i := range all {
		if len(lost) > 0 && lost[0] == i {
			lost = lost[1:]
			continue
		}
		out = append(out, all[i])
	}
	return out
}

// write commits what is claimed with how far the import is then.
func (b *batch) write(ctx context.Context, o *policy.Organization, fresh []claim, notAfter time.Time, p *policy.ImportProgress) (bool, error) {
	if b.in.ValidateOnly {
		b.seen = *p
		return true, nil
	}
	if len(fresh) == 0 {
		err := b.call.Claims.NoteImport(ctx, b.call.uid, b.call.key, *p)
		if again(err) {
			return false, nil
		}
		return err == nil, err
	}
	change, err := b.call.adding(fresh)
	if err != nil {
		return false, err
	}
	change.NotAfter, change.Import = notAfter, p
	applied, done, err := b.call.commit(ctx, o, change)
	if done {
		p.Revision = applied.Revision
	}
	return done, err
}
