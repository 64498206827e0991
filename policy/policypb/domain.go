package policypb

import (
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// FromOwnDomain converts a domain that was asked for by itself: the record that counts (nil: none) and the verification behind it
// (nil: a document lists it). A record that a document lists goes before a verification of the same name.
func FromOwnDomain(organization string, r *policy.DomainRecord, c *policy.DomainChallenge, etag string) *posternv1.Domain {
	out := &posternv1.Domain{}
	if r != nil {
		out = FromDomain(*r)
	}
	if c != nil {
		out.Domain, out.RecordName, out.RecordText = c.Domain.String(), domaincheck.Name(c.Domain), domaincheck.Text(c.Token, c.Expires)
		out.CheckTime, out.CheckOutcome, out.CheckDetail, out.NextCheckTime = fromTime(c.Checked), c.Outcome, c.Detail, fromTime(c.Due)
		out.NegativeCount, out.FailTime, out.CreateTime = int32(c.Negatives), fromTime(c.Failing), fromTime(c.Created) //nolint:gosec // small
		out.Etag = etag
		if c.LapseAfter > 0 {
			out.LapseAfter = durationpb.New(c.LapseAfter)
		}
		if r == nil {
			out.IncludeSubdomains, out.Origin, out.Revision = c.Subdomains, posternv1.Origin_ORIGIN_API, c.Revision
			out.State = posternv1.Domain_State(c.State)
			out.VerifyTime = fromTime(c.Verified)
		}
	}
	out.Name = "organizations/" + organization + "/domains/" + out.GetDomain()
	return out
}
