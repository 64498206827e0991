package naming_test

import (
	"testing"

	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/policy"
)

func namer(t *testing.T) naming.Namer {
	t.Helper()
	k, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return naming.New(k.Namer())
}

func TestNamesOfDifferentThingsDiffer(t *testing.T) {
	n := namer(t)
	address, err := policy.ParseAddress("a@example.com")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	note := func(what string, name []byte) {
		if other, ok := seen[string(name)]; ok {
			t.Errorf("%s and %s have the same name", what, other)
		}
		seen[string(name)] = what
	}
	key := func(k [16]byte) []byte { return k[:] }
	full := func(k [32]byte) []byte { return k[:16] }
	note("account", key(n.AccountKey("org", "a@example.com")))
	note("account elsewhere", key(n.AccountKey("org2", "a@example.com")))
	note("address", key(n.AddressKey("org", address)))
	note("account of all", key(n.AccountOwner("a@example.com")))
	note("address of all", key(n.AddressOwner(address)))
	note("session", full(n.SessionHandle("org", []byte("a@example.com"))))
	note("commit", full(n.CommitKey("org", "a@example.com", "", "")))
	note("commit, split elsewhere", full(n.CommitKey("orga", "@example.com", "", "")))
	note("request", full(n.Digest([]byte("a@example.com"))))
	note("identifier", []byte(n.Identifier("org", "a@example.com"))[:16])
	apply := n.ApplyKey("org", "a@example.com", "", "", []byte("x"))
	note("apply", full(apply.Key))
	note("apply's request", full(apply.Digest))
}

func TestTheSameThingKeepsItsNameAndOneOfThisInstallation(t *testing.T) {
	n, other := namer(t), namer(t)
	upper, err := policy.ParseAddress("A.B@example.com")
	if err != nil {
		t.Fatal(err)
	}
	lower, err := policy.ParseAddress("a.b@EXAMPLE.com")
	if err != nil {
		t.Fatal(err)
	}
	if n.AddressKey("org", upper) != n.AddressKey("org", lower) {
		t.Error("one mailbox has two names")
	}
	first, second := n.AccountKey("org", "a"), n.AccountKey("org", "a")
	if first != second || first == other.AccountKey("org", "a") {
		t.Error("names do not follow from the keyset alone")
	}
	if len(n.Identifier("org", "x")) != 32 {
		t.Errorf("Identifier() = %q", n.Identifier("org", "x"))
	}
}
