package directory

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Methods, as they stand in the keys of calls.
const (
	methodCreateAccount = "CreateAccount"
	methodCreateMany    = "BatchCreateAccounts"
	methodUpdateAccount = "UpdateAccount"
	methodDeleteAccount = "DeleteAccount"
	methodDeleteMany    = "BatchDeleteAccounts"
	methodImport        = "ImportAccounts"
)

// maxClaimTries bounds how often a change of claims begins anew because the organization changed meanwhile: an import beside it changes
// it with every batch.
const maxClaimTries = 256

// ClaimInput is what is to be claimed.
type ClaimInput struct {
	Organization string // id
	Accounts     []NewAccount
	RequestID    string
	ValidateOnly bool
	Reason       string
}

// Claimed is what came of it.
type Claimed struct {
	Accounts []Account // in the order of the input
	Created  int
	Revision int64 // 0 when nothing changed
}

// ReleaseInput is what is to be released.
type ReleaseInput struct {
	Organization string // id
	Names        []AccountName
	Etag         string // of the only one; empty: whatever there is
	RequestID    string
	Reason       string
	Force        bool
	Admin        policy.Address // whose way in must not be lost; zero: nobody's in particular
}

// Released is what came of it.
type Released struct {
	Deleted  int
	Revision int64 // 0 when nothing changed
}

// NoteInput changes the note of an account.
type NoteInput struct {
	Organization string // id
	Name         AccountName
	Note         string
	Etag         string // empty: whatever there is
	RequestID    string
	Reason       string
}

// accountCall is one call that changes claims.
type accountCall struct {
	*Accounts
	claimer
	caller       string
	organization string // id
	uid          string
	reason       string
	key          policy.ApplyKey
	unwritten    bool // validate only: no key, no write
}

func (a *Accounts) call(caller, method, organization, requestID, reason string, canonical []byte) *accountCall {
	return &accountCall{Accounts: a, claimer: claimer{a.Writer, a.Owners, a.Sealer, a.Namer, a.Now}, caller: caller, organization: organization,
		reason: reason, key: a.Namer.ApplyKey(caller, method, organization, requestID, canonical)}
}

// run tries once on the organization as it is, and anew when that moved meanwhile. A key that was used for the same request is
// replayed instead.
func (c *accountCall) run(ctx context.Context, replay func(policy.Applied) error, once func(context.Context, *policy.Organization) (bool, error)) error {
	if c.organization == audit.SystemID {
		return errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED", "the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	o, err := find(ctx, c.Directory, c.organization)
	if err != nil {
		return err
	}
	c.uid = o.UID
	for try := range maxClaimTries {
		if try > 0 {
			if o, err = c.Directory.Organization(ctx, c.uid); err != nil {
				return err
			}
		}
		// In this order: the same call, if it is committed after this look at its key, moves the stamp that was read before.
		if replay != nil && !c.unwritten {
			p, err := c.Writer.Progress(ctx, c.uid, c.key)
			if err != nil {
				return err
			}
			if p != nil && len(p.Commits) > 0 {
				return replay(p.Commits[len(p.Commits)-1])
			}
		}
		if done, err := once(ctx, o); done || err != nil {
			return err
		}
	}
	return changing()
}

// commit makes a change on the organization as it was read, and reports false when that moved.
func (c *accountCall) commit(ctx context.Context, o *policy.Organization, change policy.Change) (policy.Applied, bool, error) {
	same := *o
	change.Organization, change.Request, change.Done = &same, c.key, true
	applied, _, err := c.Writer.Commit(ctx, change)
	if again(err) {
		return applied, false, nil
	}
	return applied, err == nil, err
}

// nothing remembers that a call changed nothing.
func (c *accountCall) nothing(ctx context.Context, o *policy.Organization) error {
	if c.unwritten {
		return nil
	}
	return c.Writer.Answered(ctx, c.uid, c.key, policy.Progress{
		Stamp: o.Stamp, Commits: []policy.Applied{{Kind: kindNothing, Revision: o.Revision}}, Done: true})
}

// event is the one event of a commit; names are sealed.
func (c *accountCall) event(t audit.Type, count int, items []string, changes []audit.Change) audit.Event {
	return audit.Event{
		ID: c.NewID(), Type: t, Time: c.Now(), Organization: c.organization, OrganizationUID: c.uid, Caller: c.caller, Outcome: audit.OutcomeOf(t),
		Origin: audit.OriginAPI, Target: &audit.Target{Type: "account", Count: int64(count)}, Changes: changes,
		Personal: audit.Personal{Items: items, Detail: c.reason},
	}
}

// claimsOf works out what of accounts the organization would claim, each once, and their keys in the order given.
func (c *accountCall) claimsOf(accounts []NewAccount) ([]claim, []policy.AccountKey) {
	var all []claim
	keys := make([]policy.AccountKey, len(accounts))
	seen := make(map[policy.AccountKey]bool, len(accounts))
	for i, n := range accounts {
		one := c.claim(c.uid, n, audit.OriginAPI)
		if keys[i] = one.record.Key; !seen[keys[i]] {
			seen[keys[i]] = true
			all = append(all, one)
		}
	}
	return all, keys
}

// fresh are those of claims that the organization does not have.
func (c *accountCall) fresh(ctx context.Context, all []claim) ([]claim, error) {
	keys := make([]policy.AccountKey, len(all))
	for i := range all {
		keys[i] = all[i].record.Key
	}
	have, err := c.Writer.ListsClaims(ctx, c.uid, keys)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(one claim) bool {
		_, stands := have[one.record.Key]
		return stands
	}), nil
}

// Create claims one account.
func (a *Accounts) Create(ctx context.Context, caller string, in ClaimInput) (Account, error) {
	done, err := a.claimAll(ctx, caller, methodCreateAccount, in, true)
	if err != nil {
		return Account{}, err
	}
	if len(done.Accounts) == 0 {
		return Account{}, noAccount() // it was claimed by this call, and released since
	}
	return done.Accounts[0], nil
}

// CreateMany claims accounts in one commit, all or none. Those that are claimed already stay as they are.
func (a *Accounts) CreateMany(ctx context.Context, caller string, in ClaimInput) (Claimed, error) {
	return a.claimAll(ctx, caller, methodCreateMany, in, false)
}

func (a *Accounts) claimAll(ctx context.Context, caller, method string, in ClaimInput, single bool) (Claimed, error) {
	if len(in.Accounts) > MaxAccounts {
		return Claimed{}, errs.Newf(errs.Invalid, ReasonAccountInvalid, "at most %d accounts at once", MaxAccounts)
	}
	canonical := []string{in.Reason}
	for _, n := range in.Accounts {
		canonical = append(canonical, n.id, n.address.String(), n.note)
	}
	c := a.call(caller, method, in.Organization, in.RequestID, in.Reason, fields(canonical...))
	c.unwritten = in.ValidateOnly
	var out Claimed
	var keys []policy.AccountKey
	err := c.run(ctx, func(p policy.Applied) error {
		_, keys = c.claimsOf(in.Accounts)
		if p.Kind != kindNothing {
			out.Created, out.Revision = p.Count, p.Revision
		}
		return nil
	}, func(ctx context.Context, o *policy.Organization) (bool, error) {
		var all []claim
		all, keys = c.claimsOf(in.Accounts)
		fresh, err := c.fresh(ctx, all)
		if err != nil {
			return false, err
		}
		if single && len(fresh) == 0 {
			return false, errs.New(errs.AlreadyExists, ReasonAccountExists, "the organization claims this account already")
		}
		applied, done, err := c.claimFresh(ctx, o, fresh, keys, single)
		out.Created, out.Revision = applied.Count, applied.Revision
		return done, err
	})
	if err != nil {
		return Claimed{}, err
	}
	if in.ValidateOnly {
		out.Accounts, err = c.wouldBe(ctx, in.Accounts, keys)
		return out, err
	}
	out.Accounts, err = a.list(ctx, in.Organization, c.uid, keys)
	return out, err
}

// claimFresh claims accounts the organization does not have, all or none, in one commit.
func (c *accountCall) claimFresh(ctx context.Context, o *policy.Organization, fresh []claim, keys []policy.AccountKey, single bool) (policy.Applied, bool, error) {
	none := policy.Applied{}
	if len(fresh) == 0 {
		err := c.nothing(ctx, o)
		return none, err == nil, err
	}
	if c.unwritten {
		_, lost, err := c.look(ctx, c.uid, fresh)
		if err == nil {
			err = c.refuse(fresh, lost, keys, single)
		}
		return policy.Applied{Count: len(fresh)}, err == nil, err
	}
	notAfter, lost, err := c.take(ctx, c.uid, fresh, true)
	if err == nil {
		err = c.refuse(fresh, lost, keys, single)
	}
	if err != nil {
		return none, false, err
	}
	change, err := c.adding(fresh)
	if err != nil {
		return none, false, err
	}
	change.NotAfter = notAfter
	return c.commit(ctx, o, change)
}

// adding is the change that claims accounts, with its event.
func (c *accountCall) adding(fresh []claim) (policy.Change, error) {
	names, records := make([]string, len(fresh)), make([]policy.ClaimRecord, len(fresh))
	for i := range fresh {
		if err := c.seal(c.uid, &fresh[i]); err != nil {
			return policy.Change{}, err
		}
		names[i], records[i] = fresh[i].name(), fresh[i].record
	}
	return policy.Change{AddClaims: records, Events: []audit.Event{c.event(audit.TypeAccountClaimed, len(names), names, nil)}}, nil
}

// refuse is the error of who lost accounts to others, naming their places.
func (c *accountCall) refuse(fresh []claim, lost []int, keys []policy.AccountKey, single bool) error {
	if len(lost) == 0 {
		return nil
	}
	if single {
		return policy.AccountTaken()
	}
	e := &errs.Error{Kind: errs.AlreadyExists, Reason: policy.ReasonAccountTaken}
	for _, i := range lost {
		place := "accounts[" + strconv.Itoa(slices.Index(keys, fresh[i].record.Key)) + "]"
		e.Violations = append(e.Violations, errs.Violation{Field: place, Description: "another organization claims this account"})
	}
	e.Public = fmt.Sprintf("%d accounts are claimed by other organizations, the first of them is %s: none was claimed", len(lost), e.Violations[0].Field)
	e.Violations = e.Violations[:min(len(e.Violations), maxViolations)]
	return e
}

// maxViolations bounds how many places an error names.
const maxViolations = 20

// wouldBe are accounts as claiming them would leave them.
func (c *accountCall) wouldBe(ctx context.Context, accounts []NewAccount, keys []policy.AccountKey) ([]Account, error) {
	have, err := c.Writer.ListsClaims(ctx, c.uid, keys)
	if err != nil {
		return nil, err
	}
	out := make([]Account, len(keys))
	for i, k := range keys {
		if r, stands := have[k]; stands {
			out[i] = c.open(c.organization, c.uid, r)
			continue
		}
		out[i] = Account{Organization: c.organization, OrganizationUID: c.uid, Claim: c.claim(c.uid, accounts[i], audit.OriginAPI).record,
			ID: accounts[i].id, Email: accounts[i].address.String(), Note: accounts[i].note}
	}
	return out, nil
}
