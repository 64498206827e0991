package directory

import (
	"context"
	"encoding/hex"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// texts are a name as fields of a request.
func (n *AccountName) texts() []string {
	key := ""
	if n.Key != (policy.AccountKey{}) {
		key = hex.EncodeToString(n.Key[:])
	}
	return []string{key, n.ID, n.Address.String()}
}

// Delete releases one account.
func (a *Accounts) Delete(ctx context.Context, caller string, in ReleaseInput) error {
	_, err := a.releaseAll(ctx, caller, methodDeleteAccount, in, true)
	return err
}

// DeleteMany releases accounts in one commit, all or none. Those that are not claimed are passed over.
func (a *Accounts) DeleteMany(ctx context.Context, caller string, in ReleaseInput) (Released, error) {
	return a.releaseAll(ctx, caller, methodDeleteMany, in, false)
}

func (a *Accounts) releaseAll(ctx context.Context, caller, method string, in ReleaseInput, single bool) (Released, error) {
	if len(in.Names) > MaxAccounts {
		return Released{}, errs.Newf(errs.Invalid, ReasonAccountInvalid, "at most %d accounts at once", MaxAccounts)
	}
	canonical := []string{in.Reason, in.Etag, in.Admin.String()}
	if in.Force {
		canonical = append(canonical, "force")
	}
	for i := range in.Names {
		canonical = append(canonical, in.Names[i].texts()...)
	}
	c := a.call(caller, method, in.Organization, in.RequestID, in.Reason, fields(canonical...))
	var out Released
	err := c.run(ctx, func(p policy.Applied) error {
		if p.Kind != kindNothing {
			out = Released{p.Count, p.Revision}
		}
		return nil
	}, func(ctx context.Context, o *policy.Organization) (bool, error) {
		found, err := c.standing(ctx, in.Names)
		if err != nil {
			return false, err
		}
		if single {
			if err := c.based(found, in.Etag); err != nil {
				return false, err
			}
		}
		if len(found) == 0 {
			err := c.nothing(ctx, o)
			return err == nil, err
		}
		applied, done, err := c.drop(ctx, o, found, &in)
		if done {
			out = Released{applied.Count, applied.Revision}
		}
		return done, err
	})
	return out, err
}

// standing are the accounts of names that are claimed, each once.
func (c *accountCall) standing(ctx context.Context, names []AccountName) ([]Account, error) {
	var keys []policy.AccountKey
	seen := make(map[policy.AccountKey]bool, len(names))
	for _, n := range names {
		if k := c.keyOf(c.uid, n); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	return c.list(ctx, c.organization, c.uid, keys)
}

// based refuses a change of an account that is not there, or that was based on another version.
func (c *accountCall) based(found []Account, etag string) error {
	switch {
	case len(found) == 0:
		return noAccount()
	case etag != "" && etag != found[0].Etag():
		return errs.New(errs.Conflict, "ETAG_MISMATCH", "the account has changed since the version given; read it again")
	}
	return nil
}

// drop releases accounts in one commit.
func (c *accountCall) drop(ctx context.Context, o *policy.Organization, found []Account, in *ReleaseInput) (policy.Applied, bool, error) {
	names, keys := make([]string, len(found)), make([]policy.AccountKey, len(found))
	for i := range found {
		names[i], keys[i] = found[i].text(), found[i].Claim.Key
	}
	forced, err := Guard{Writer: c.Writer, Namer: c.Namer, Now: c.Now}.Check(ctx, Threat{Before: o, DropClaims: keys, Admin: in.Admin, Force: in.Force})
	if err != nil {
		return policy.Applied{}, false, err
	}
	held, err := c.held(ctx, c.uid, found)
	if err != nil {
		return policy.Applied{}, false, err
	}
	change := policy.Change{DropClaims: keys, Events: []audit.Event{c.event(audit.TypeAccountReleased, len(names), names, forced)}}
	applied, done, err := c.commit(ctx, o, change)
	if done {
		c.release(ctx, held)
	}
	return applied, done, err
}

// Update changes the note of an account. A note that is the same changes nothing.
func (a *Accounts) Update(ctx context.Context, caller string, in NoteInput) (Account, error) {
	canonical := append(in.Name.texts(), in.Note, in.Etag, in.Reason)
	c := a.call(caller, methodUpdateAccount, in.Organization, in.RequestID, in.Reason, fields(canonical...))
	err := c.run(ctx, func(policy.Applied) error { return nil }, func(ctx context.Context, o *policy.Organization) (bool, error) {
		found, err := c.standing(ctx, []AccountName{in.Name})
		if err != nil {
			return false, err
		}
		if err := c.based(found, in.Etag); err != nil {
			return false, err
		}
		if found[0].Note == in.Note {
			err := c.nothing(ctx, o)
			return err == nil, err
		}
		return c.write(ctx, o, found[0], in.Note)
	})
	if err != nil {
		return Account{}, err
	}
	return a.Get(ctx, in.Organization, in.Name)
}

// write puts another note on an account.
func (c *accountCall) write(ctx context.Context, o *policy.Organization, was Account, note string) (bool, error) {
	if was.ID == "" && was.Email == "" {
		return false, errs.New(errs.FailedPrecondition, ReasonAccountInvalid, "what this claim names cannot be opened any more: release it and claim it anew")
	}
	r := was.Claim
	var err error
	if r.Personal, err = c.Sealer.Seal(c.uid, recordOf(r.Key), audit.Personal{AccountID: was.ID, Email: was.Email, Detail: note}); err != nil {
		return false, err
	}
	e := c.event(audit.TypeAccountUpdated, 1, []string{was.text(), was.Note, note}, []audit.Change{{Field: "note"}})
	_, done, err := c.commit(ctx, o, policy.Change{AddClaims: []policy.ClaimRecord{r}, Events: []audit.Event{e}})
	return done, err
}
