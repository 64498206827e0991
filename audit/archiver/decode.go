package archiver

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// decode makes a load of one partition's raw entries, with the keys of organizations new to this archiver. An error means
// that a key could not be looked up: the partition has to wait.
func (a *Archiver) decode(ctx context.Context, partition int, raw []audit.RawEntry) (load, error) {
	l := load{Batch: audit.Batch{Partition: partition, Epoch: a.epochs[partition], Entries: make([]audit.Entry, len(raw))}}
	asked := map[string]bool{} // organization uid → its key is known or in this load
	for i, r := range raw {
		recorded := recordedTime(r.ID)
		e, err := a.cfg.Codec.Decode(r.Data)
		if err != nil || e.ID == "" || e.OrganizationUID == "" || e.Type == "" {
			e = audit.NewUnreadable(partition, r.ID, r.Data, recorded)
			l.unreadable = append(l.unreadable, r.ID)
			if err := a.place(ctx, &e, r.Data, &l, asked); err != nil {
				return l, err
			}
		}
		e.RecordedTime = recorded
		l.Entries[i] = audit.Entry{OutboxID: r.ID, RecordedTime: recorded, Event: e, Raw: r.Data}
		if e.Flow != "" && audit.EndingOf(e.Type) != audit.EndingNone {
			l.ended = append(l.ended, audit.EndedFlow{OrganizationUID: e.OrganizationUID, Flow: e.Flow})
		}
		found, err := a.key(ctx, e.OrganizationUID, &l, asked)
		if err != nil {
			return l, err
		}
		if e.Type == audit.TypeOrganizationKeyDestroyed { // the archive's copy goes with the event that says so
			l.Keys = append(l.Keys, audit.DestroyedKey(e.OrganizationUID))
		}
		if !found {
			a.complain(e.OrganizationUID)
		}
	}
	return l, nil
}

// place gives an unreadable entry to its organization when the bytes still name one that exists. Only an organization with a
// key exists: garbage must not invent one.
func (a *Archiver) place(ctx context.Context, e *audit.Event, data []byte, l *load, asked map[string]bool) error {
	named := eventOf(data)
	uid := named.GetOrganizationUid()
	if uid == "" || len(uid) > 64 {
		return nil
	}
	found, err := a.key(ctx, uid, l, asked)
	if found {
		e.OrganizationUID, e.Organization = uid, named.GetOrganization()
	}
	return err
}

// eventOf reads what it can of a record that cannot be decoded as a whole; nil when that is nothing.
func eventOf(data []byte) *posternv1.Event {
	var record storev1.EventRecord
	if len(data) > 1 && proto.Unmarshal(data[1:], &record) == nil {
		return record.GetEvent()
	}
	return nil
}

// key makes sure that the organization's key is in the archive or in this load; false when the organization has none.
func (a *Archiver) key(ctx context.Context, uid string, l *load, asked map[string]bool) (bool, error) {
	if a.known[uid] {
		return true, nil
	}
	if found, ok := asked[uid]; ok {
		return found, nil
	}
	k, err := a.cfg.Source.WrappedKey(ctx, uid)
	if err != nil && errs.KindOf(err) != errs.NotFound {
		return false, err
	}
	found := err == nil && len(k.Wrapped) > 0
	asked[uid] = found
	if !found {
		return false, nil
	}
	l.Keys = append(l.Keys, k)
	if a.cfg.Keys != nil && !a.cfg.Keys.Has(uid) {
		if err := a.cfg.Keys.Add(k); err != nil {
			a.cfg.Metrics.Failed(FailedKey)
			a.cfg.Log.ErrorContext(ctx, "an organization's key cannot be used", "organization_uid", uid, "error", err)
		}
	}
	return true, nil
}

// complain says once that an organization has events but no key. They are archived all the same: what they hold in the clear
// is the record, and a key that turns up later follows.
func (a *Archiver) complain(uid string) {
	if a.keyless[uid] || uid == audit.SystemUID {
		return
	}
	a.keyless[uid] = true
	a.cfg.Metrics.Failed(FailedKey)
	a.cfg.Log.Error("an organization with events has no key", "organization_uid", uid)
}

// recordedTime reads the milliseconds of a stream id; zero when there are none.
func recordedTime(id string) time.Time {
	text, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
