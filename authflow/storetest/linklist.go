package storetest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

// listed reads all links of an organization, or of one account, in pages of this size.
func listed(t *testing.T, h *Harness, o *policy.Organization, account policy.AccountKey, size int) []authflow.Link {
	t.Helper()
	list := h.Second.(authflow.LinkStore)
	var out []authflow.Link
	after := ""
	for {
		page, next, err := list.Links(t.Context(), o.UID, account, after, size)
		if err != nil || len(page) > size || len(page) == 0 && after != "" {
			t.Fatalf("a page of %d: %d, %v", size, len(page), err)
		}
		out = append(out, page...)
		if next == "" {
			return out
		}
		if next <= after || len(page) < size {
			t.Fatalf("a page of %d of %d goes from place %q to %q", len(page), size, after, next)
		}
		after = next
	}
}

var linkListCases = map[string]func(*testing.T, *Harness){
	"links are listed in pages, of all or of one account, of their organization alone": func(t *testing.T, h *Harness) {
		o, other := h.Organization(t, "acme"), h.Organization(t, "zeta")
		if got := listed(t, h, o, policy.AccountKey{}, 10); len(got) != 0 {
			t.Errorf("of nobody: %v", got)
		}
		byAccount := map[policy.AccountKey][]authflow.Link{}
		var all []authflow.Link
		for n := range 4 { // with 1, 2, 3 and 4 identities
			account := subjectKey()
			for range n + 1 {
				l := link(h)
				l.AccountKey = account
				now := joined(t, h, o, l)
				must(t, h.Store, linking(apart(h, o), now, l)) // listed once, however often it is written
				byAccount[account], all = append(byAccount[account], l), append(all, l)
			}
			theirs := link(h)
			theirs.AccountKey = account
			joined(t, h, other, theirs)
		}
		for _, size := range []int{1, 2, 3, 4, 9, 10, 11, 5000} {
			for account, want := range byAccount {
				wantLinks(t, want, listed(t, h, o, account, size))
			}
			wantLinks(t, all, listed(t, h, o, policy.AccountKey{}, size))
		}
		if got := listed(t, h, o, subjectKey(), 3); len(got) != 0 {
			t.Errorf("of an account without any: %v", got)
		}
	},
	"a link that moves to another account is listed there, and no more where it was": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		was := joined(t, h, o, link(h))
		next := *was
		next.AccountKey, next.AccountID = subjectKey(), "acct-2"
		must(t, h.Store, linking(apart(h, o), was, next))
		wantLinks(t, []authflow.Link{next}, listed(t, h, o, next.AccountKey, 1))
		wantLinks(t, []authflow.Link{next}, listed(t, h, o, policy.AccountKey{}, 1))
		wantLinks(t, nil, listed(t, h, o, was.AccountKey, 1))
		must(t, h.Store, unlinking(apart(h, o), linkOf(t, h.Store, o, was.Identity)))
		wantLinks(t, nil, listed(t, h, o, policy.AccountKey{}, 1))
	},
	"a place goes on where it was, whatever has come and gone since": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		for range 5 {
			joined(t, h, o, link(h))
		}
		list := h.Store.(authflow.LinkStore)
		first, place, err := list.Links(t.Context(), o.UID, policy.AccountKey{}, "", 2)
		if err != nil || len(first) != 2 || place == "" {
			t.Fatalf("%d, %q, %v", len(first), place, err)
		}
		must(t, h.Store, unlinking(apart(h, o), &first[0]))
		must(t, h.Store, unlinking(apart(h, o), &first[1])) // the place itself
		rest, end, err := list.Links(t.Context(), o.UID, policy.AccountKey{}, place, 3)
		if err != nil || len(rest) != 3 || end != "" || slices.ContainsFunc(rest, func(l authflow.Link) bool { return l.Identity == first[1].Identity }) {
			t.Errorf("%d, %q, %v", len(rest), end, err)
		}
	},
	"what is no place, or one of another account, lists nothing": func(t *testing.T, h *Harness) {
		o := h.Organization(t, "acme")
		a, b := joined(t, h, o, link(h)), joined(t, h, o, link(h))
		list := h.Store.(authflow.LinkStore)
		_, place, err := list.Links(t.Context(), o.UID, policy.AccountKey{}, "", 1)
		if err != nil || place == "" {
			t.Fatalf("%q, %v", place, err)
		}
		refused := 0
		for _, account := range []policy.AccountKey{a.AccountKey, b.AccountKey} {
			if _, _, err := list.Links(t.Context(), o.UID, account, place, 1); err != nil {
				refused++
			}
		}
		if refused != 1 {
			t.Errorf("the place of one was refused %d times among two", refused)
		}
		for _, bad := range []string{"x", place + "0", place[1:], "+", "(" + place[1:]} {
			if got, _, err := list.Links(t.Context(), o.UID, policy.AccountKey{}, bad, 1); err == nil {
				t.Errorf("%q: %v", bad, got)
			}
		}
	},
}

// wantLinks compares links whatever their order is, and wants that order to be the same as ever.
func wantLinks(t *testing.T, want, got []authflow.Link) {
	t.Helper()
	byPlace := func(a, b authflow.Link) int {
		if c := slices.Compare(a.AccountKey[:], b.AccountKey[:]); c != 0 {
			return c
		}
		return slices.Compare(a.Identity[:], b.Identity[:])
	}
	if !slices.IsSortedFunc(got, byPlace) {
		t.Error("links are not in the order of their accounts and identities")
	}
	want = slices.SortedFunc(slices.Values(want), byPlace)
	if d := cmp.Diff(want, got, same, linkApart); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i := range got {
		if got[i].Stored == "" {
			t.Error("a listed link does not say how it is stored")
		}
	}
}
