package directorytest

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// whole is a claim with everything in it.
func whole(n, m byte) policy.ClaimRecord {
	c := policy.ClaimRecord{Key: policy.AccountKey{n, m, 3}, Kind: policy.ClaimAddress, Origin: audit.OriginAPI, Created: moment}
	c.Personal = &audit.Sealed{Salt: []byte("sixteen bytes..."), Data: []byte{1, 2, n, m}, Digest: []byte{3}}
	return c
}

func claims(t *testing.T, d Both, uid string, limit int) []policy.ClaimRecord {
	t.Helper()
	var all []policy.ClaimRecord
	for after := (policy.AccountKey{}); ; {
		page, err := d.Claims(t.Context(), uid, after, limit)
		if err != nil || len(page.Claims) > limit {
			t.Fatalf("%d claims, %v", len(page.Claims), err)
		}
		all = append(all, page.Claims...)
		if after = page.Next; after == (policy.AccountKey{}) {
			if page.Count != int64(len(all)) {
				t.Fatalf("%d claims listed, %d counted", len(all), page.Count)
			}
			return all
		}
	}
}

var claimCases = map[string]func(*testing.T, *Harness){
	"claims come back whole, in order of their keys, in pages of any size, and go again": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		if got := claims(t, h.Second, o.UID, 10); len(got) != 0 {
			t.Errorf("of a new organization: %v", got)
		}
		var want []policy.ClaimRecord
		for i := range 90 {
			want = append(want, whole(byte(i*53), byte(i)))
		}
		must(t, h, policy.Change{Organization: o, AddClaims: want})
		slices.SortFunc(want, func(a, b policy.ClaimRecord) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		for _, limit := range []int{1, 7, 89, 90, 91, 1000} {
			got := claims(t, h.Second, o.UID, limit)
			if len(got) != len(want) {
				t.Fatalf("pages of %d: %d claims", limit, len(got))
			}
			for i, c := range got {
				if c.Key != want[i].Key || c.Revision != 2 || c.Origin != audit.OriginAPI || !c.Created.Equal(moment) || !bytes.Equal(c.Personal.Data, want[i].Personal.Data) {
					t.Fatalf("pages of %d, claim %d: %+v", limit, i, c)
				}
			}
		}
		o = current(t, h.Directory, o.UID)
		drop := []policy.AccountKey{want[0].Key, want[44].Key, want[89].Key, {9, 9, 9}}
		if a := must(t, h, policy.Change{Organization: o, DropClaims: drop}); a.Kind != "REMOVE_CLAIMS" || a.Count != 4 {
			t.Errorf("%+v", a)
		}
		if got := claims(t, h.Second, o.UID, 50); len(got) != 87 || got[0].Key != want[1].Key || got[86].Key != want[88].Key {
			t.Errorf("%d claims left", len(got))
		}
		if left, err := h.Second.ListsClaims(t.Context(), o.UID, drop); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
		if after := current(t, h.Second, o.UID); after.PolicyStamp != o.PolicyStamp || after.Revision != o.Revision+1 {
			t.Error("claims moved the policy stamp")
		}
	},
	"claims of one organization are none of another's": func(t *testing.T, h *Harness) {
		a, b := created(t, h, "acme"), created(t, h, "globex")
		must(t, h, policy.Change{Organization: a, AddClaims: []policy.ClaimRecord{whole(1, 1)}})
		if got := claims(t, h.Directory, b.UID, 10); len(got) != 0 {
			t.Errorf("%v", got)
		}
		must(t, h, policy.Change{Organization: b, DropClaims: []policy.AccountKey{whole(1, 1).Key}})
		if got := claims(t, h.Directory, a.UID, 10); len(got) != 1 {
			t.Errorf("%v", got)
		}
	},
	"a change that comes too late is not made": func(t *testing.T, h *Harness) {
		o := created(t, h, "acme")
		before := h.Dump(t)
		c := policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{whole(1, 1)}, NotAfter: h.Now().Add(-time.Second)}
		if _, _, err := h.Directory.Commit(t.Context(), c); !errs.Is(err, "ETAG_MISMATCH") {
			t.Errorf("%v", err)
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
		c.NotAfter = h.Now().Add(time.Hour)
		must(t, h, c)
	},
	"an import goes on where it was, in the same write as what it claims, and nobody overtakes it": func(t *testing.T, h *Harness) {
		o, key := created(t, h, "acme"), requestKey()
		if p, err := h.Directory.ImportProgress(t.Context(), o.UID, key); p != nil || err != nil {
			t.Fatalf("a new one: %+v, %v", p, err)
		}
		p := policy.ImportProgress{NextRow: 2, Created: 1, Refused: 1, Digest: []byte("list")}
		change := policy.Change{Organization: o, AddClaims: []policy.ClaimRecord{whole(1, 1)}, Request: key, Import: &p}
		must(t, h, change)
		got, err := h.Second.ImportProgress(t.Context(), o.UID, key)
		if err != nil || got.NextRow != 2 || got.Created != 1 || got.Refused != 1 || got.Revision != 2 || string(got.Digest) != "list" || got.Version == "" {
			t.Fatalf("%+v, %v", got, err)
		}
		// Rows that change nothing: the one who is first counts them.
		next := *got
		next.NextRow, next.Unchanged = 4, 2
		if err := h.Second.NoteImport(t.Context(), o.UID, key, next); err != nil {
			t.Fatal(err)
		}
		before := h.Dump(t)
		if err := h.Directory.NoteImport(t.Context(), o.UID, key, next); !errs.Is(err, "ETAG_MISMATCH") || errs.KindOf(err) != errs.Conflict {
			t.Errorf("noted twice: %v", err)
		}
		change.Organization, change.Import, change.AddClaims = current(t, h.Directory, o.UID), got, []policy.ClaimRecord{whole(1, 2)}
		if _, _, err := h.Directory.Commit(t.Context(), change); !errs.Is(err, "ETAG_MISMATCH") {
			t.Errorf("on what was overtaken: %v", err)
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
		key.Digest[0] ^= 1
		if _, err := h.Directory.ImportProgress(t.Context(), o.UID, key); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another import with its id: %v", err)
		}
	},
	"accounts are taken all or none, by whoever saw who has them": func(t *testing.T, h *Harness) {
		keys := []policy.AccountKey{{1}, {2}, {3}}
		look := func(d Both) []policy.NamedOwner {
			t.Helper()
			owners, err := d.AccountOwners(t.Context(), keys)
			if err != nil || len(owners) != len(keys) {
				t.Fatalf("%v, %v", owners, err)
			}
			var out []policy.NamedOwner
			for i, o := range owners {
				out = append(out, policy.NamedOwner{Key: keys[i], Owner: o})
			}
			return out
		}
		take := func(d Both, uid string, accounts ...policy.NamedOwner) bool {
			t.Helper()
			ok, err := d.TakeAccounts(t.Context(), uid, moment, accounts)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		none := look(h.Directory)
		if none[0].Owner != (policy.AccountOwner{}) || !take(h.Directory, "a") || !take(h.Directory, "a", none[:2]...) {
			t.Fatalf("%+v", none)
		}
		first := look(h.Second)
		if o := first[0].Owner; o.OrganizationUID != "a" || !o.Taken.Equal(moment) || o.Version == "" || first[2] != none[2] {
			t.Fatalf("%+v", first)
		}
		if take(h.Second, "b", none[2], none[1]) || look(h.Directory)[2] != none[2] {
			t.Error("taken on an old look")
		}
		// What was read before never comes back, not even with the same content.
		if !take(h.Second, "a", first[0]) || look(h.Directory)[0] == first[0] {
			t.Error("two records are alike")
		}
		if err := h.Directory.FreeAccounts(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		if left := look(h.Second); left[0].Owner.OrganizationUID != "a" || left[1] != none[1] || left[2] != none[2] {
			t.Errorf("each that is as it was read: %+v", left)
		}
	},
	"of racing takes one has all of it": func(t *testing.T, h *Harness) {
		var keys []policy.AccountKey
		for i := range 200 {
			keys = append(keys, policy.AccountKey{5, byte(i)})
		}
		var wait sync.WaitGroup
		won := make([]bool, 8)
		for n := range won {
			d := []Both{h.Directory, h.Second}[n%2]
			var accounts []policy.NamedOwner
			for i := range keys {
				accounts = append(accounts, policy.NamedOwner{Key: keys[(i+n*25)%len(keys)]})
			}
			wait.Go(func() {
				var err error
				if won[n], err = d.TakeAccounts(t.Context(), string(rune('a'+n)), moment, accounts); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		owners, err := h.Directory.AccountOwners(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		winner := slices.Index(won, true)
		if winner < 0 || slices.Contains(won[winner+1:], true) {
			t.Fatalf("winners: %v", won)
		}
		for _, o := range owners {
			if o.OrganizationUID != string(rune('a'+winner)) {
				t.Fatalf("%+v", o)
			}
		}
	},
}
