package stored

import (
	"crypto/sha256"

	"github.com/postern-audit/postern/audit"
)

const longestKey = 256

// Key is how the key of a domain or claim stands in the history: as it is, or by its hash where an index could not hold it. It is longer
// than a key that stands there itself then, so that the two never meet.
func Key(k audit.DirectoryKey) []byte {
	if len(k) <= longestKey {
		return []byte(k)
	}
	sum := sha256.Sum256([]byte(k))
	return append(make([]byte, longestKey+1-len(sum)), sum[:]...)
}
