package policypb

import (
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/policy"
)

// MaxRecord bounds the policy record of an organization in bytes: it is cached whole by every process.
const MaxRecord = 256 << 10

// RecordSize is how many bytes an organization's policy record takes at most.
func RecordSize(o *policy.Organization) int {
	const frame = 16 // format byte, tags and lengths of the two parts
	n := frame + proto.Size(FromOrganization(o)) + proto.Size(FromPolicyOf(o))
	for _, s := range FromSecrets(o) {
		n += frame + proto.Size(s)
	}
	return n
}
