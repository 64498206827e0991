package simulate

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"

	"crypto/sha256"

	"github.com/postern-audit/postern/policy"
)

// somebody is the n-th person of a world.
func somebody(world string, n int) uint64 {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	sum := sha256.Sum256(append([]byte(world), b[:]...))
	return personOf(policy.AccountKey(sum[:16]))
}

func TestPeopleAreCountedOneByOneUpToABound(t *testing.T) {
	p := people{spend: &budget{maxSlots}}
	for n := range MaxExact {
		p.add(somebody("a", n))
		p.add(somebody("a", n/2))
	}
	if got := p.count(); got != (People{Count: MaxExact}) {
		t.Fatalf("%+v", got)
	}
	p.add(somebody("a", MaxExact))
	if got := p.count(); !got.Approximate || far(got.Count, MaxExact+1) > 0.02 {
		t.Fatalf("%+v", got)
	}
	if p.spend.slots != maxSlots {
		t.Errorf("%d slots were not given back", maxSlots-p.spend.slots)
	}
}

// far is how far a count is from the truth, as a part of it.
func far(got int64, want int) float64 { return math.Abs(float64(got)-float64(want)) / float64(want) }

func TestEstimatesAreWithinTwoPercent(t *testing.T) {
	worst := 0.0
	for _, world := range []string{"a", "b"} {
		p := people{} // with nothing to spend: an estimate from the first on
		next := 1
		for n := 1; n <= 1_000_000; n++ {
			p.add(somebody(world, n))
			if n < next {
				continue
			}
			next += max(1, n/4)
			got := p.count()
			worst = max(worst, far(got.Count, n))
			if !got.Approximate || far(got.Count, n) > 0.02 {
				t.Fatalf("%s: %d people are estimated as %d", world, n, got.Count)
			}
		}
	}
	if worst == 0 {
		t.Error("the estimate was right each time: this tried nothing")
	}
}

func TestNobodyIsNobody(t *testing.T) {
	for name, p := range map[string]people{"one by one": {spend: &budget{maxSlots}}, "nothing to spend": {}, "estimated": {sketch: make([]uint8, registers)}} {
		if got := p.count(); got.Count != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestCountsTogetherCountEverybodyOnce(t *testing.T) {
	fill := func(p *people, from, to int) {
		for n := from; n < to; n++ {
			p.add(somebody("a", n))
		}
	}
	for name, c := range map[string]struct{ a, b [2]int }{
		"both one by one":    {[2]int{0, 1000}, [2]int{500, 2000}},
		"the second is not":  {[2]int{0, 1000}, [2]int{500, 100_000}},
		"the first is not":   {[2]int{0, 100_000}, [2]int{99_000, 101_000}},
		"neither is":         {[2]int{0, 100_000}, [2]int{50_000, 200_000}},
		"nobody in both":     {[2]int{0, 0}, [2]int{0, 0}},
		"together too many":  {[2]int{0, 60_000}, [2]int{60_000, 80_000}},
		"nobody and some":    {[2]int{0, 0}, [2]int{0, 10}},
		"the same once more": {[2]int{0, 10}, [2]int{0, 10}},
	} {
		spend := &budget{maxSlots}
		a, b := people{spend: spend}, people{spend: spend}
		fill(&a, c.a[0], c.a[1])
		fill(&b, c.b[0], c.b[1])
		a.join(&b)
		want := max(c.a[1], c.b[1]) - min(c.a[0], c.b[0])
		if got := a.count(); want == 0 && got.Count != 0 || want > 0 && far(got.Count, want) > 0.02 || !got.Approximate && got.Count != int64(want) {
			t.Errorf("%s: %+v, want %d", name, got, want)
		}
	}
}

func TestTheBudgetHoldsOverAllCounts(t *testing.T) {
	spend := &budget{1 << 10}
	total := 0
	counts := make([]people, 40)
	for i := range counts {
		counts[i].spend = spend
		for n := range 100 {
			counts[i].add(somebody("a", n))
		}
		total += len(counts[i].slots)
		if got := counts[i].count(); far(got.Count, 100) > 0.02 {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if total > 1<<10 || spend.slots != 1<<10-total || spend.slots < 0 {
		t.Errorf("%d slots in use, %d left", total, spend.slots)
	}
	if !counts[len(counts)-1].count().Approximate || counts[0].count().Approximate {
		t.Error("who comes first is counted one by one, who finds nothing left is estimated")
	}
}

func FuzzPeople(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, seen := people{spend: &budget{maxSlots}}, map[uint64]bool{}
		for ; len(b) > 0; b = b[1:] {
			h := fnv.New64a()
			_, _ = h.Write(b[:1])
			person := max(h.Sum64(), 1)
			p.add(person)
			seen[person] = true
		}
		if got := p.count(); got.Count != int64(len(seen)) || got.Approximate {
			t.Errorf("%+v, want %d", got, len(seen))
		}
	})
}
