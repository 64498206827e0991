package directory

import (
	"context"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// An account belongs to one organization at a time. The organization that has it is named under a hash that all share, so before each
// commit of claims they are taken there:
//
//	read the organization's stamp ▸ which of the claims it has ▸ take the others ▸ commit, if the stamp is the one that was read
//	and not much time has passed
//
// Whoever finds another organization named looks whether that one has the claim, once two minutes have passed: until then it may be about
// to, and later no commit can happen any more. So a process that dies between the two keeps others off for two minutes, and one that
// dies behind the commit changes nothing. A name is never given back where the commit did not happen: another call of the same
// organization may rest on it.

// commitBefore is how long after taking accounts the commit may happen: well before others may have them (leftAlone).
const commitBefore = time.Minute

// claimer takes accounts for organizations.
type claimer struct {
	writer policy.DirectoryWriter
	owners policy.AccountOwners
	sealer AccountSealer
	namer  Namer
	now    func() time.Time
}

// claim is an account on its way to be claimed.
type claim struct {
	NewAccount
	record policy.ClaimRecord
	owner  policy.AccountKey // the name that all organizations share
	path   string            // in a document
}

// name is what is claimed. It is personal.
func (c *claim) name() string {
	if c.id != "" {
		return c.id
	}
	return c.address.String()
}

// claims works out what of accounts an organization would claim.
func (c *claimer) claim(uid string, n NewAccount, origin audit.Origin) claim {
	out := claim{NewAccount: n, record: policy.ClaimRecord{Origin: origin}}
	if n.id != "" {
		out.record.Kind, out.record.Key, out.owner = policy.ClaimAccount, c.namer.AccountKey(uid, n.id), c.namer.AccountOwner(n.id)
	} else {
		out.record.Kind, out.record.Key, out.owner = policy.ClaimAddress, c.namer.AddressKey(uid, n.address), c.namer.AddressOwner(n.address)
	}
	return out
}

// seal completes the record of a claim.
func (c *claimer) seal(uid string, one *claim) error {
	if one.record.Personal != nil {
		return nil
	}
	p := audit.Personal{AccountID: one.id, Email: one.address.String(), Detail: one.note}
	var err error
	one.record.Personal, err = c.sealer.Seal(uid, recordOf(one.record.Key), p)
	one.record.Created = c.now()
	return err
}

// take makes an organization the one that has accounts, but for those that another one has: they are lost. With whole, and something
// lost, it takes none. The organization must not have any of them. The commit must not happen after the moment returned.
func (c *claimer) take(ctx context.Context, uid string, all []claim, whole bool) (notAfter time.Time, lost []int, err error) {
	for range maxSwaps {
		have, lost, err := c.look(ctx, uid, all)
		if err != nil || len(lost) == len(all) || whole && len(lost) > 0 {
			return time.Time{}, lost, err
		}
		at := c.now()
		wanted := make([]policy.NamedOwner, 0, len(all)-len(lost))
		for i := range all {
			if _, found := slices.BinarySearch(lost, i); !found {
				wanted = append(wanted, policy.NamedOwner{Key: all[i].owner, Owner: have[i]})
			}
		}
		ok, err := c.owners.TakeAccounts(ctx, uid, at, wanted)
		if err != nil || ok {
			return at.Add(commitBefore), lost, err
		}
	}
	return time.Time{}, nil, changing()
}

// look reads who has accounts, and says which of them, in order, another organization has or may be about to have.
func (c *claimer) look(ctx context.Context, uid string, all []claim) (have []policy.AccountOwner, lost []int, err error) {
	names := make([]policy.AccountKey, len(all))
	for i := range all {
		names[i] = all[i].owner
	}
	if have, err = c.owners.AccountOwners(ctx, names); err != nil {
		return nil, nil, err
	}
	now := c.now()
	asked := map[string][]int{}
	for i, o := range have {
		switch {
		case o.OrganizationUID == "" || o.OrganizationUID == uid:
		case now.Sub(o.Taken) < leftAlone:
			lost = append(lost, i)
		default:
			asked[o.OrganizationUID] = append(asked[o.OrganizationUID], i)
		}
	}
	for holder, list := range asked {
		keys := make([]policy.AccountKey, len(list))
		for n, i := range list {
			keys[n] = c.claim(holder, all[i].NewAccount, 0).record.Key
		}
		found, err := c.writer.ListsClaims(ctx, holder, keys)
		if err != nil {
			return nil, nil, err
		}
		for n, i := range list {
			if _, holds := found[keys[n]]; holds {
				lost = append(lost, i)
			}
		}
	}
	slices.Sort(lost)
	return have, lost, nil
}

// held reads under which names accounts stand that are about to be released, for release to take them away. It is called between the
// look at the organization and the commit that releases: whoever claims one of them anew takes it after that commit, and then it is
// not as it was read.
func (c *claimer) held(ctx context.Context, uid string, all []Account) ([]policy.NamedOwner, error) {
	var names []policy.AccountKey
	for i := range all {
		n := NewAccount{id: all[i].ID}
		if n.id == "" {
			var err error
			if n.address, err = policy.ParseAddress(all[i].Email); err != nil {
				continue // it cannot be opened: whoever asks for it finds that nobody has it
			}
		}
		names = append(names, c.claim(uid, n, 0).owner)
	}
	have, err := c.owners.AccountOwners(ctx, names)
	if err != nil {
		return nil, err
	}
	var out []policy.NamedOwner
	for i, o := range have {
		if o.OrganizationUID == uid {
			out = append(out, policy.NamedOwner{Key: names[i], Owner: o})
		}
	}
	return out, nil
}

// release takes away the names of accounts whose claims are gone. That it is not done costs a look.
func (c *claimer) release(ctx context.Context, held []policy.NamedOwner) {
	_ = c.owners.FreeAccounts(ctx, held)
}

// again reports whether a commit lost a race, so that it may be tried anew on what is there now.
func again(err error) bool { return errs.Is(err, "ETAG_MISMATCH") }
