package seal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/postern-audit/postern/internal/seal"
)

func TestNamesTellPurposeAndPartsApart(t *testing.T) {
	n := keysets(t).Namer()
	seen := map[[32]byte]string{}
	for name, v := range map[string][32]byte{
		"no parts":         n.NameStrings("a"),
		"one empty part":   n.NameStrings("a", ""),
		"two empty parts":  n.NameStrings("a", "", ""),
		"ab":               n.NameStrings("a", "ab"),
		"a, b":             n.NameStrings("a", "a", "b"),
		"b, a":             n.NameStrings("a", "b", "a"),
		"purpose and part": n.NameStrings("aa", "b"),
		"purpose":          n.NameStrings("b", "ab"),
		"another key":      keysets(t).Namer().NameStrings("a", "ab"),
		"length in a part": n.NameStrings("a", "a\x00\x00\x00\x01b"),
	} {
		if other, ok := seen[v]; ok {
			t.Errorf("%s and %s have the same name", name, other)
		}
		seen[v] = name
	}
	if n.Name("p", []byte("x"), []byte("y")) != n.NameStrings("p", "x", "y") {
		t.Error("texts and bytes must name alike")
	}
	name := n.NameStrings("p", "x")
	short := seal.First16(name)
	if seal.Hex16(name) != hex.EncodeToString(short[:]) || !bytes.Equal(short[:], name[:16]) {
		t.Error("the short forms are the first 16 bytes")
	}
}

// TestNamesEqualTinksPRF holds the pooled computation to what the keyset says it is.
func TestNamesEqualTinksPRF(t *testing.T) {
	data := t.TempDir()
	k, err := seal.LoadOrCreate(data)
	if err != nil {
		t.Fatal(err)
	}
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(read(t, hash(data)))))
	if err != nil {
		t.Fatal(err)
	}
	set, err := prf.NewPRFSet(h)
	if err != nil {
		t.Fatal(err)
	}
	n := k.Namer()
	for _, parts := range [][]string{{"flow"}, {"flow", "x"}, {"flow", "", string(make([]byte, 300)), "ü"}} {
		var in []byte
		for _, p := range parts {
			in = append(binary.BigEndian.AppendUint32(in, uint32(len(p))), p...)
		}
		want, err := set.ComputePrimaryPRF(in, 32)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.NameStrings(parts[0], parts[1:]...); !bytes.Equal(got[:], want) {
			t.Errorf("%q: %x, Tink says %x", parts, got, want)
		}
	}
}

func TestNamesStayTheSameUnderConcurrency(t *testing.T) {
	n := keysets(t).Namer()
	a, b := n.NameStrings("p", "a"), n.NameStrings("p", "b", "longer")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 500 {
				if n.NameStrings("p", "a") != a || n.NameStrings("p", "b", "longer") != b {
					t.Error("a name has changed")
					return
				}
			}
		})
	}
	wait.Wait()
}

func BenchmarkName(b *testing.B) {
	n := keysets(b).Namer()
	part := []byte("01900000-0000-7000-8000-00000000000a")
	b.ReportAllocs()
	for b.Loop() {
		n.Name("commit", part, part, part)
	}
}
