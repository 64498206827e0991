package redisdirectory

import (
	"context"
	"strconv"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// maxHistory bounds the bytes of an organization's policy revisions: with large policies fewer than policy.KeptRevisions are kept.
const maxHistory = 32 << 20

// history is what a change that revises the policy leaves behind. event is the event that Revises names, as it is stored.
func (w *write) history(event []byte) ([]byte, error) {
	rules, err := proto.MarshalOptions{Deterministic: true}.Marshal(policypb.FromPolicyOf(w.c.Organization))
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "RECORD_TEXT", "a field of the policy is not valid UTF-8")
	}
	return redisx.Marshal(&storev1.PolicyRevisionRecord{Revision: w.revision, Policy: rules, Event: event})
}

// PolicyRevision implements policy.History.
func (d *Directory) PolicyRevision(ctx context.Context, uid string, at int64) (*policy.Revision, error) {
	o, err := d.Organization(ctx, uid) // its key is known from here on
	if err != nil {
		return nil, err
	}
	if at > o.Revision {
		return nil, noRevision()
	}
	found, err := d.revisions(ctx, uid, strconv.FormatInt(at, 10), 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noRevision()
	}
	r, m, err := d.opened(found[0])
	if err != nil {
		return nil, err
	}
	var p posternv1.Policy
	if err := proto.Unmarshal(m.GetPolicy(), &p); err != nil {
		return nil, errs.Wrap(err, errs.Internal, policypb.ReasonUnreadable, "a policy revision cannot be read")
	}
	if r.Policy, r.AllowUnreadable, err = policypb.ToPolicy(&p); err != nil {
		return nil, err
	}
	if r.ProofsNotBefore, err = policypb.ToProofsNotBefore(&p); err != nil {
		return nil, err
	}
	r.SuspendedUntil, err = policypb.ToSuspendedUntil(&p)
	return &r, err
}

func noRevision() error {
	return errs.New(errs.NotFound, policy.ReasonRevisionNotFound, "no policy revision of this organization is kept with that number, or for that long")
}

// PolicyRevisions implements policy.History.
func (d *Directory) PolicyRevisions(ctx context.Context, uid string, before int64, limit int) ([]policy.Revision, error) {
	if _, err := d.Organization(ctx, uid); err != nil { // its key is known from here on
		return nil, err
	}
	from := "+inf"
	if before > 0 {
		from = "(" + strconv.FormatInt(before, 10)
	}
	found, err := d.revisions(ctx, uid, from, limit)
	if err != nil {
		return nil, err
	}
	out := make([]policy.Revision, 0, len(found))
	for _, v := range found {
		r, _, err := d.opened(v)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// revisions reads records from a score on, downwards. What is dropped between the two reads is left out.
func (d *Directory) revisions(ctx context.Context, uid, from string, limit int) ([]string, error) {
	space := d.keys.Of(uid)
	var out []string
	for len(out) < limit {
		names, err := d.reader.ZRevRangeByScore(ctx, space.PolicyRevisions(uid),
			&redis.ZRangeBy{Min: "-inf", Max: from, Count: int64(min(limit-len(out), revisionsPerRead))}).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		if len(names) == 0 {
			return out, nil
		}
		values, err := d.reader.HMGet(ctx, space.PolicyHistory(uid), names...).Result()
		if err != nil {
			return nil, redisx.ReadFailed(err)
		}
		for _, v := range values {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
		from = "(" + names[len(names)-1]
	}
	return out, nil
}

// revisionsPerRead bounds what one answer holds: a record may have half a megabyte.
const revisionsPerRead = 20

// opened reads a record with its event; the policy is left to who needs it.
func (d *Directory) opened(v string) (policy.Revision, *storev1.PolicyRevisionRecord, error) {
	var m storev1.PolicyRevisionRecord
	if err := redisx.Unmarshal([]byte(v), &m); err != nil {
		return policy.Revision{}, nil, err
	}
	e, err := d.codec.Decode(m.GetEvent())
	if err != nil {
		return policy.Revision{}, nil, err //nolint:wrapcheck // an errs.Error of the codec
	}
	if err := d.codec.Open(&e); err != nil {
		return policy.Revision{}, nil, err //nolint:wrapcheck // as above
	}
	return policy.Revision{Number: m.GetRevision(), Event: e}, &m, nil
}
