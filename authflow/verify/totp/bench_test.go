package totp

import (
	"bytes"
	"testing"
	"time"
)

// Right, wrong and unknown take the same time; compare the lines of one algorithm.
func BenchmarkCheck(b *testing.B) {
	for _, alg := range []Algorithm{SHA1, SHA256, SHA512} {
		p := Default()
		p.Algorithm = alg
		key := bytes.Repeat([]byte{7}, sizes[alg])
		now := time.Unix(1_700_000_000, 0)
		right := codeOf(b, key, p, p.Step(now))
		wrong := string([]byte{(right[0]-'0'+1)%10 + '0'}) + right[1:]
		for _, c := range []struct {
			name   string
			secret []byte
			code   string
		}{{"right", key, right}, {"wrong", key, wrong}, {"unknown", nil, wrong}} {
			b.Run(alg.String()+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					Check(c.secret, p, c.code, -1, now)
				}
			})
		}
	}
}
