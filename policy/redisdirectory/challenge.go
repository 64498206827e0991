package redisdirectory

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

var (
	//go:embed check.lua
	checkText string
	//go:embed owner.lua
	ownerText string
)

var (
	_ policy.Challenges   = (*Directory)(nil)
	_ policy.DomainOwners = (*Directory)(nil)
)

// challengeKeys adds the keys of a change's challenges.
func (w *write) challengeKeys(call *redisx.Call) {
	uid := w.c.Organization.UID
	for i, ch := range w.c.Challenges {
		if i == 0 {
			call.Key(w.space.Challenges(uid), w.space.Checks())
		}
		call.Key(w.space.Challenge(uid, ch.Domain().String()))
	}
}

// challengeValues adds what becomes of them. One whose state moves carries the revision of its commit.
func (w *write) challengeValues(call *redisx.Call) error {
	for _, ch := range w.c.Challenges {
		before, after, due := "", []byte(nil), ""
		if ch.Before != nil {
			before = ch.Before.Version
		}
		if ch.After != nil {
			next := *ch.After
			next.Revision = w.revision
			var err error
			if after, err = encodeChallenge(&next); err != nil {
				return err
			}
			due = dueArg(&next)
		}
		name := ch.Domain().String()
		call.Arg(before, after, name, redisx.Member(w.c.Organization.UID, name), due)
	}
	return nil
}

func dueArg(c *policy.DomainChallenge) string {
	if c.Due.IsZero() {
		return ""
	}
	return millis(c.Due)
}

// Challenge implements policy.Challenges.
func (d *Directory) Challenge(ctx context.Context, organizationUID string, domain policy.Domain) (*policy.DomainChallenge, error) {
	v, err := d.reader.Get(ctx, d.keys.Of(organizationUID).Challenge(organizationUID, domain.String())).Result()
	switch {
	case isNil(err):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, redisx.ReadFailed(err)
	}
	c, err := decodeChallenge(v)
	return &c, err
}

// Challenges implements policy.Challenges.
func (d *Directory) Challenges(ctx context.Context, organizationUID string, after policy.Domain, limit int) ([]policy.DomainChallenge, error) {
	space := d.keys.Of(organizationUID)
	names, err := d.reader.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: space.Challenges(organizationUID), ByLex: true, Start: lexAfter(after.String()), Stop: "+", Count: int64(limit),
	}).Result()
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = space.Challenge(organizationUID, n)
	}
	var out []policy.DomainChallenge
	err = d.each(ctx, keys, func(_ int, v string) error {
		c, err := decodeChallenge(v)
		out = append(out, c)
		return err
	})
	return out, err
}

// NoteCheck implements policy.Challenges.
func (d *Directory) NoteCheck(ctx context.Context, organizationUID string, before, after *policy.DomainChallenge) error {
	if before.State != after.State || before.Version == "" {
		return errs.New(errs.Internal, "CHALLENGE_INCOMPLETE", "a change of state is a directory commit")
	}
	b, err := encodeChallenge(after)
	if err != nil {
		return err
	}
	space, name := d.keys.Of(organizationUID), after.Domain.String()
	call := redisx.NewCall(6)
	call.Key(space.Challenge(organizationUID, name), space.Checks())
	call.Arg(before.Version, b, redisx.Member(organizationUID, name), dueArg(after))
	reply, err := d.check.Run(ctx, d.client, call)
	if err == nil && reply != "OK" {
		err = errs.New(errs.Conflict, "CHALLENGE_MOVED", "the domain's verification has changed meanwhile; read it again")
	}
	return err
}

// DueChecks implements policy.Challenges.
func (d *Directory) DueChecks(ctx context.Context, partition int, now time.Time, limit int) ([]policy.DueCheck, error) {
	members, err := d.reader.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: d.keys.At(partition).Checks(), ByScore: true, Start: "-inf", Stop: strconv.FormatInt(now.UnixMilli(), 10), Count: int64(limit),
	}).Result()
	if err != nil {
		return nil, redisx.ReadFailed(err)
	}
	out := make([]policy.DueCheck, 0, len(members))
	for _, m := range members {
		uid, name, _ := strings.Cut(m, "/")
		domain, err := policy.ParseDomain(name)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "what is to be looked at cannot be read")
		}
		out = append(out, policy.DueCheck{OrganizationUID: uid, Domain: domain})
	}
	return out, nil
}

// DomainOwner implements policy.DomainOwners.
func (d *Directory) DomainOwner(ctx context.Context, domain policy.Domain) (policy.DomainOwner, error) {
	v, err := d.reader.Get(ctx, redisx.OwnerKey(domain.String())).Result()
	switch {
	case isNil(err):
		return policy.DomainOwner{}, nil
	case err != nil:
		return policy.DomainOwner{}, redisx.ReadFailed(err)
	}
	var m storev1.OwnerRecord
	if err := redisx.Unmarshal([]byte(v), &m); err != nil {
		return policy.DomainOwner{}, err
	}
	return policy.DomainOwner{OrganizationUID: m.GetOrganizationUid(), Taken: timeOf(m.GetTaken()), Confirmed: m.GetConfirmed(), Version: v}, nil
}

// SwapDomainOwner implements policy.DomainOwners.
func (d *Directory) SwapDomainOwner(ctx context.Context, domain policy.Domain, before, after policy.DomainOwner) (policy.DomainOwner, bool, error) {
	var b []byte
	if after.OrganizationUID != "" {
		m := &storev1.OwnerRecord{OrganizationUid: after.OrganizationUID, Taken: timestampOf(after.Taken), Confirmed: after.Confirmed, Nonce: make([]byte, 8)}
		_, _ = rand.Read(m.Nonce) // never fails
		var err error
		if b, err = redisx.Marshal(m); err != nil {
			return policy.DomainOwner{}, false, err
		}
	}
	call := redisx.NewCall(3)
	call.Key(redisx.OwnerKey(domain.String()))
	call.Arg(before.Version, b)
	reply, err := d.owner.Run(ctx, d.client, call)
	if err != nil || reply != "OK" {
		return policy.DomainOwner{}, false, err
	}
	after.Version = string(b)
	return after, true, nil
}

func encodeChallenge(c *policy.DomainChallenge) ([]byte, error) {
	m := &storev1.ChallengeRecord{
		Domain: c.Domain.String(), Subdomains: c.Subdomains, Token: c.Token[:], Expires: timestampOf(c.Expires), State: posternv1.Domain_State(c.State),
		Created: timestampOf(c.Created), Verified: timestampOf(c.Verified), Failing: timestampOf(c.Failing), Dnssec: c.DNSSEC,
		Checked: timestampOf(c.Checked), Outcome: c.Outcome, Detail: c.Detail, Due: timestampOf(c.Due),
		Negatives: int32(c.Negatives), FirstNegative: timestampOf(c.FirstNegative), LastNegative: timestampOf(c.LastNegative), //nolint:gosec // small
		Warnings: int32(c.Warnings), LastWarning: timestampOf(c.LastWarning), Revision: c.Revision, //nolint:gosec // small
	}
	if c.LapseAfter > 0 {
		m.LapseAfter = durationpb.New(c.LapseAfter)
	}
	return redisx.Marshal(m)
}

func decodeChallenge(v string) (policy.DomainChallenge, error) {
	var m storev1.ChallengeRecord
	if err := redisx.Unmarshal([]byte(v), &m); err != nil {
		return policy.DomainChallenge{}, err
	}
	domain, err := policy.ParseDomain(m.GetDomain())
	state := policy.DomainState(m.GetState()) //nolint:gosec // an enum of a few values
	if err != nil || len(m.GetToken()) != len(policy.ChallengeToken{}) || state.String() == "" {
		return policy.DomainChallenge{}, errs.New(errs.Internal, "RECORD_MALFORMED", "a stored challenge cannot be read")
	}
	return policy.DomainChallenge{
		Domain: domain, Subdomains: m.GetSubdomains(), Token: policy.ChallengeToken(m.GetToken()), Expires: timeOf(m.GetExpires()), State: state,
		LapseAfter: m.GetLapseAfter().AsDuration(), Created: timeOf(m.GetCreated()), Verified: timeOf(m.GetVerified()), Failing: timeOf(m.GetFailing()),
		DNSSEC: m.GetDnssec(), Checked: timeOf(m.GetChecked()), Outcome: m.GetOutcome(), Detail: m.GetDetail(), Due: timeOf(m.GetDue()),
		Negatives: int(m.GetNegatives()), FirstNegative: timeOf(m.GetFirstNegative()), LastNegative: timeOf(m.GetLastNegative()),
		Warnings: int(m.GetWarnings()), LastWarning: timeOf(m.GetLastWarning()), Revision: m.GetRevision(), Version: v,
	}, nil
}

func timestampOf(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
