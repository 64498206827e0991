package seal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/seal"
)

const (
	orgA = "01900000-0000-7000-8000-00000000000a"
	orgB = "01900000-0000-7000-8000-00000000000b"
	rec1 = "01900000-0000-7000-8000-000000000001"
	rec2 = "01900000-0000-7000-8000-000000000002"
)

func keysets(t testing.TB) *seal.Keysets {
	t.Helper()
	k, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ring returns a keyring that knows these organizations.
func ring(t testing.TB, k *seal.Keysets, cached int, organizations ...string) *seal.Keyring {
	t.Helper()
	r := k.Keyring(cached)
	for _, uid := range organizations {
		key, err := r.Mint(uid)
		if err != nil {
			t.Fatal(err)
		}
		if r.Has(uid) {
			t.Fatal("minting must not add")
		}
		if err := r.Add(key); err != nil {
			t.Fatal(err)
		}
		if !r.Has(uid) {
			t.Fatal("adding must make the organization known")
		}
	}
	return r
}

func person() audit.Personal {
	yes := true
	return audit.Personal{Email: "ann@example.com", EmailVerified: &yes, AccountID: "acc-1", DisplayName: "Ann", IP: "192.0.2.1", AMR: []string{"pwd"}}
}

func TestASealedPartOpensAsItWas(t *testing.T) {
	r := ring(t, keysets(t), 0, orgA)
	s, err := r.Seal(orgA, rec1, person())
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Open(orgA, rec1, s)
	if err != nil || !reflect.DeepEqual(p, person()) {
		t.Errorf("opened %+v, %v", p, err)
	}
	want := sha256.Sum256(append(bytes.Clone(s.Salt), s.Data...))
	if len(s.Salt) != 16 || !bytes.Equal(s.Digest, want[:]) {
		t.Error("the digest is SHA-256 over a salt of 16 bytes and the sealed bytes")
	}
	again, err := r.Seal(orgA, rec1, person())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(again.Data, s.Data) || bytes.Equal(again.Salt, s.Salt) {
		t.Error("sealing twice must not give the same bytes")
	}
	for _, text := range []string{"ann@example.com", "acc-1", "Ann", "192.0.2.1"} {
		if bytes.Contains(s.Data, []byte(text)) {
			t.Errorf("%q stands in the sealed bytes", text)
		}
	}
}

func TestASealedPartOpensNowhereElse(t *testing.T) {
	k := keysets(t)
	r := ring(t, k, 0, orgA, orgB)
	s, err := r.Seal(orgA, rec1, person())
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(*audit.Sealed)) *audit.Sealed {
		c := &audit.Sealed{Salt: bytes.Clone(s.Salt), Data: bytes.Clone(s.Data), Digest: bytes.Clone(s.Digest)}
		f(c)
		return c
	}
	redigest := func(c *audit.Sealed) {
		d := sha256.Sum256(append(bytes.Clone(c.Salt), c.Data...))
		c.Digest = d[:]
	}
	for name, try := range map[string]func() (audit.Personal, error){
		"of another record":       func() (audit.Personal, error) { return r.Open(orgA, rec2, s) },
		"of another organization": func() (audit.Personal, error) { return r.Open(orgB, rec1, s) },
		"with a key never added":  func() (audit.Personal, error) { return k.Keyring(0).Open(orgA, rec1, s) },
		"erased": func() (audit.Personal, error) {
			return r.Open(orgA, rec1, &audit.Sealed{Digest: s.Digest})
		},
		"absent": func() (audit.Personal, error) { return r.Open(orgA, rec1, nil) },
		"with another salt": func() (audit.Personal, error) {
			return r.Open(orgA, rec1, change(func(c *audit.Sealed) { c.Salt[0] ^= 1 }))
		},
		"with another digest": func() (audit.Personal, error) {
			return r.Open(orgA, rec1, change(func(c *audit.Sealed) { c.Digest[0] ^= 1 }))
		},
		"with changed bytes and a digest that fits them": func() (audit.Personal, error) {
			return r.Open(orgA, rec1, change(func(c *audit.Sealed) { c.Data[len(c.Data)-1] ^= 1; redigest(c) }))
		},
		"cut short": func() (audit.Personal, error) {
			return r.Open(orgA, rec1, change(func(c *audit.Sealed) { c.Data = c.Data[:3]; redigest(c) }))
		},
	} {
		if p, err := try(); err == nil || !reflect.DeepEqual(p, audit.Personal{}) {
			t.Errorf("%s: opened %+v, %v", name, p, err)
		} else if strings.Contains(err.Error(), "example.com") {
			t.Errorf("%s: the error tells the content: %v", name, err)
		}
	}
	if _, err := k.Keyring(0).Seal(orgA, rec1, person()); !errs.Is(err, "KEY_UNKNOWN") {
		t.Errorf("sealing without a key: %v", err)
	}
	if _, err := k.Keyring(0).Index(orgA, audit.IndexName, "ann"); !errs.Is(err, "KEY_UNKNOWN") {
		t.Errorf("indexing without a key: %v", err)
	}
}

func TestAKeyOpensOnlyUnderItsMasterAndForItsOrganization(t *testing.T) {
	k := keysets(t)
	r := k.Keyring(0)
	key, err := r.Mint(orgA)
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"another master": func() error { return keysets(t).Keyring(0).Add(key) },
		"another organization": func() error {
			return r.Add(audit.OrganizationKey{OrganizationUID: orgB, Wrapped: key.Wrapped})
		},
		"no bytes":       func() error { return r.Add(audit.OrganizationKey{OrganizationUID: orgA}) },
		"another format": func() error { return r.Add(changed(key, 0)) },
		"damaged":        func() error { return r.Add(changed(key, len(key.Wrapped)-1)) },
	} {
		if err := try(); !errs.Is(err, "KEY_UNREADABLE") || r.Has(orgA) || r.Has(orgB) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Mint(""); err == nil {
		t.Error("a key without an organization must not be made")
	}
}

func changed(key audit.OrganizationKey, at int) audit.OrganizationKey {
	w := bytes.Clone(key.Wrapped)
	w[at] ^= 0x10
	return audit.OrganizationKey{OrganizationUID: key.OrganizationUID, Wrapped: w}
}

func TestAddingAgainIsFreeAndAnotherKeyIsRefused(t *testing.T) {
	k := keysets(t)
	r := k.Keyring(0)
	key, err := r.Mint(orgA)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Add(key), r.Add(key)); err != nil {
		t.Fatal(err)
	}
	before, err := r.Index(orgA, audit.IndexName, "ann")
	if err != nil {
		t.Fatal(err)
	}
	other, err := r.Mint(orgA)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(other); !errs.Is(err, "KEY_DIFFERS") {
		t.Errorf("another key was taken: %v", err)
	}
	after, err := r.Index(orgA, audit.IndexName, "ann")
	if err != nil || !bytes.Equal(before.Value, after.Value) {
		t.Error("the key in use has changed")
	}
}

func TestMoreOrganizationsThanAreCachedAllWork(t *testing.T) {
	k := keysets(t)
	var uids []string
	for i := range 9 {
		uids = append(uids, fmt.Sprintf("01900000-0000-7000-8000-0000000000%02d", i))
	}
	r := ring(t, k, 2, uids...)
	var wait sync.WaitGroup
	for i := range 90 {
		wait.Go(func() {
			uid := uids[i%len(uids)]
			s, err := r.Seal(uid, rec1, person())
			if err != nil {
				t.Error(err)
				return
			}
			if p, err := r.Open(uid, rec1, s); err != nil || p.AccountID != "acc-1" {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	wait.Wait()
}

func TestManyAddTheSameKeyAtOnce(t *testing.T) {
	k := keysets(t)
	r := k.Keyring(1)
	key, err := r.Mint(orgA)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			if err := r.Add(key); err != nil {
				t.Error(err)
			}
			if _, err := r.Seal(orgA, rec1, person()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

func TestBlindIndexes(t *testing.T) {
	k := keysets(t)
	r := ring(t, k, 0, orgA, orgB)
	index := func(org string, p audit.Purpose, v string) string {
		i, err := r.Index(org, p, v)
		if err != nil || len(i.Value) != 17 || i.Value[0] != 1 || i.Purpose != p {
			t.Fatalf("%+v, %v", i, err)
		}
		return string(i.Value)
	}
	if index(orgA, audit.IndexEmail, "Ann@example.com") != index(orgA, audit.IndexEmail, "ann@example.com") {
		t.Error("ASCII letters of an address must fold")
	}
	if index(orgA, audit.IndexName, " Änne Ö ") != index(orgA, audit.IndexName, "änne ö") {
		t.Error("names must fold")
	}
	seen := map[string]string{}
	for name, v := range map[string]string{
		"account":              index(orgA, audit.IndexAccount, "ann"),
		"account, other case":  index(orgA, audit.IndexAccount, "Ann"),
		"name":                 index(orgA, audit.IndexName, "ann"),
		"address":              index(orgA, audit.IndexEmail, "ann"),
		"account elsewhere":    index(orgB, audit.IndexAccount, "ann"),
		"account, other value": index(orgA, audit.IndexAccount, "anna"),
	} {
		if other, ok := seen[v]; ok {
			t.Errorf("%s and %s have the same index", name, other)
		}
		seen[v] = name
	}
	all, err := r.Indexes(orgA, audit.IndexAccount, "ann")
	if err != nil || len(all) != 1 || string(all[0].Value) != index(orgA, audit.IndexAccount, "ann") {
		t.Errorf("every live version: %v, %v", all, err)
	}
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b, keysets(b), 0, orgA)
	p := person()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Seal(orgA, rec1, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, keysets(b), 0, orgA)
	s, err := r.Seal(orgA, rec1, person())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(orgA, rec1, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	r := ring(b, keysets(b), 0, orgA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Index(orgA, audit.IndexEmail, "ann@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
