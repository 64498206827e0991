package simulate

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/postern-audit/postern/policy"
)

// MaxExact is how many people are counted one by one; beyond, their number is estimated.
const MaxExact = 65_536

const (
	sketchBits = 16 // 65,536 registers of a byte: a standard error of 0.4 percent
	registers  = 1 << sketchBits
	firstSlots = 16
)

// personOf is who to count: the first bytes of a keyed hash, so that they are spread evenly and mean nothing elsewhere.
func personOf(key policy.AccountKey) uint64 {
	return max(binary.BigEndian.Uint64(key[:8]), 1) // 0 is an empty slot
}

// budget bounds the memory of all people that are counted one by one together, in slots. Whoever finds it empty estimates.
type budget struct{ slots int }

// people counts people, each once. Its zero value counts nobody yet, with nothing to spend: it estimates from the first on.
type people struct {
	spend  *budget
	slots  []uint64 // open addressing, at most three quarters full
	n      int
	sketch []uint8 // nil while they are counted one by one
}

func (p *people) add(person uint64) {
	if p.sketch != nil {
		p.mark(person)
		return
	}
	if p.n*4 >= len(p.slots)*3 && !p.grow() {
		p.mark(person)
		return
	}
	at := place(p.slots, person)
	if p.slots[at] == person {
		return
	}
	p.slots[at] = person
	if p.n++; p.n > MaxExact {
		p.estimate()
	}
}

// grow doubles the slots. False: there is no room for more, and from now on they are estimated.
func (p *people) grow() bool {
	n := max(2*len(p.slots), firstSlots)
	if p.spend == nil || p.spend.slots < n {
		p.estimate()
		return false
	}
	p.spend.slots -= n - len(p.slots)
	old := p.slots
	p.slots = make([]uint64, n)
	for _, person := range old {
		if person != 0 {
			p.slots[place(p.slots, person)] = person
		}
	}
	return true
}

// place is where a person stands, or belongs: there is an empty slot somewhere, and their number is a power of two.
func place(slots []uint64, person uint64) int {
	at := int(person>>32) & (len(slots) - 1)
	for slots[at] != 0 && slots[at] != person {
		at = (at + 1) & (len(slots) - 1)
	}
	return at
}

// estimate turns to the sketch.
func (p *people) estimate() {
	p.sketch = make([]uint8, registers)
	for _, person := range p.slots {
		if person != 0 {
			p.mark(person)
		}
	}
	if p.spend != nil {
		p.spend.slots += len(p.slots)
	}
	p.slots = nil
}

// mark raises the register of a person to how many zeros its other bits begin with, plus one.
func (p *people) mark(person uint64) {
	at := person >> (64 - sketchBits)
	rank := uint8(min(bits.LeadingZeros64(person<<sketchBits), 64-sketchBits) + 1) //nolint:gosec // at most 49
	p.sketch[at] = max(p.sketch[at], rank)
}

// join adds everybody of another count.
func (p *people) join(o *people) {
	if o.sketch == nil {
		for _, person := range o.slots {
			if person != 0 {
				p.add(person)
			}
		}
		return
	}
	if p.sketch == nil {
		p.estimate()
	}
	for i, rank := range o.sketch {
		p.sketch[i] = max(p.sketch[i], rank)
	}
}

// People is a number of people.
type People struct {
	Count       int64
	Approximate bool // estimated, within 2 percent
}

func (p *people) count() People {
	if p.sketch == nil {
		return People{Count: int64(p.n)}
	}
	return People{Count: int64(math.Round(estimateOf(p.sketch))), Approximate: true}
}

// estimateOf is the number of distinct values behind a HyperLogLog sketch, by the estimator of O. Ertl ("New cardinality
// estimation algorithms for HyperLogLog sketches", 2017), which needs no correction for few or many.
func estimateOf(sketch []uint8) float64 {
	const q = 64 - sketchBits
	var with [q + 2]float64
	for _, rank := range sketch {
		with[rank]++
	}
	z := registers * tau(1-with[q+1]/registers)
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + with[k])
	}
	z += registers * sigma(with[0]/registers)
	return registers * registers / (2 * math.Ln2 * z)
}

// sigma is x + x²·1 + x⁴·2 + x⁸·4 …, for the registers that nobody marked.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

// tau is (1 − x − Σ (1 − x^2⁻ᵏ)²·2⁻ᵏ)/3, for the registers that can rise no more.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}
