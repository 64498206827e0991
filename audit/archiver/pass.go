package archiver

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// load is one partition's part of a trip.
type load struct {
	audit.Batch
	ended      []audit.EndedFlow
	unreadable []string // outbox ids
}

// pass makes one trip over all partitions held. Trouble with one partition does not keep the others waiting; the first
// trouble met is returned.
func (a *Archiver) pass(ctx context.Context) (n int, reason string, err error) {
	trouble := func(why string, e error) {
		if err == nil && e != nil {
			reason, err = why, e
		}
	}
	trouble(a.hold(ctx))
	held := a.held()
	if len(held) == 0 {
		return 0, reason, err
	}
	raw, readErr := a.cfg.Source.Read(ctx, held, a.read, maxBytes/len(held))
	trouble(FailedSource, readErr)
	var loads []load
	for _, p := range slices.Sorted(maps.Keys(raw)) {
		if _, ok := a.epochs[p]; !ok || len(raw[p]) == 0 {
			continue
		}
		n += len(raw[p])
		l, e := a.decode(ctx, p, raw[p])
		if trouble(FailedSource, e); e != nil {
			continue
		}
		e = a.native(&l)
		if trouble(FailedRegion, e); len(l.Entries) > 0 {
			loads = append(loads, l)
		}
	}
	for _, group := range a.groups(loads) {
		trouble(a.store(ctx, group))
		if ctx.Err() != nil {
			break
		}
	}
	return n, reason, err
}

// native cuts a load in front of the first event of a site whose record is bound to another region.
func (a *Archiver) native(l *load) error {
	for i := range l.Entries {
		e := &l.Entries[i].Event
		if e.Region == "" || e.Region == a.cfg.Region {
			continue
		}
		err := errs.Newf(errs.FailedPrecondition, "REGION_MISMATCH", "event %s of organization %s is of a site bound to region %q, and this archive is of region %q",
			e.ID, e.OrganizationUID, e.Region, a.cfg.Region)
		l.Entries = l.Entries[:i]
		l.unreadable = slices.DeleteFunc(l.unreadable, func(id string) bool {
			return !slices.ContainsFunc(l.Entries, func(kept audit.Entry) bool { return kept.OutboxID == id })
		})
		l.ended = slices.DeleteFunc(l.ended, func(f audit.EndedFlow) bool {
			return !slices.ContainsFunc(l.Entries, func(kept audit.Entry) bool {
				return kept.Event.OrganizationUID == f.OrganizationUID && kept.Event.Flow == f.Flow && audit.EndingOf(kept.Event.Type) != audit.EndingNone
			})
		})
		return err
	}
	return nil
}

// groups packs loads into transactions of at most maxBatch entries, or one by one when the archive takes only one.
func (a *Archiver) groups(loads []load) [][]load {
	_, together := a.cfg.Archive.(audit.BatchArchive)
	var out [][]load
	size := 0
	for i := range loads {
		if len(out) == 0 || !together || size+len(loads[i].Entries) > maxBatch {
			out, size = append(out, nil), 0
		}
		out[len(out)-1] = append(out[len(out)-1], loads[i])
		size += len(loads[i].Entries)
	}
	return out
}

// store archives a group and then lets its entries go.
func (a *Archiver) store(ctx context.Context, group []load) (reason string, err error) {
	batches := make([]audit.Batch, len(group))
	for i := range group {
		batches[i] = group[i].Batch
	}
	stored, err := a.put(ctx, batches)
	if err != nil {
		return FailedArchive, err
	}
	for i := range group {
		if stored[i].Fenced {
			a.lost(group[i].Partition)
			continue
		}
		a.stored(&group[i], stored[i])
		entries := group[i].Entries
		if e := a.cfg.Source.Done(ctx, group[i].Partition, entries[len(entries)-1].OutboxID, group[i].ended); e != nil && err == nil {
			reason, err = FailedSource, e // read again and found to be stored; the others need not wait
		}
	}
	return reason, err
}

// stored tells whoever wants to know that a load is durable.
func (a *Archiver) stored(l *load, done audit.Appended) {
	for _, k := range l.Keys {
		a.known[k.OrganizationUID] = true
	}
	for i := range l.Entries { // of what was there already too: whoever stored it may not have come as far as to tell
		if e := &l.Entries[i].Event; e.Directory != nil && e.Directory.Organization != nil && a.cfg.Written != nil {
			a.cfg.Written(e.OrganizationUID)
		}
	}
	if done.Inserted == 0 {
		return
	}
	a.cfg.Metrics.Archived(done.Inserted)
	for _, id := range l.unreadable {
		a.cfg.Metrics.Failed(FailedUnreadable)
		a.cfg.Log.Error("an outbox entry cannot be read; its bytes are kept as an event of type unreadable", "partition", l.Partition, "entry", id)
	}
	if done.Forked > 0 {
		a.cfg.Log.Error("a flow has two events for one step; they are marked as forked", "partition", l.Partition, "events", done.Forked)
	}
	seen := map[string]bool{}
	for i := range l.Entries {
		if uid := l.Entries[i].Event.OrganizationUID; !seen[uid] {
			seen[uid] = true
			a.subs.signal(uid)
		}
	}
}

// put stores batches. What the archive cannot store, now or ever, is found by halves and kept as unreadable bytes instead:
// one entry never stops its partition.
func (a *Archiver) put(ctx context.Context, batches []audit.Batch) ([]audit.Appended, error) {
	done, err := a.append(ctx, batches)
	if err == nil || errs.KindOf(err) != errs.Invalid {
		return done, err
	}
	if len(batches) > 1 {
		half := len(batches) / 2
		first, err := a.put(ctx, batches[:half])
		if err != nil {
			return nil, err
		}
		second, err := a.put(ctx, batches[half:])
		return append(first, second...), err
	}
	b := batches[0]
	if len(b.Entries) == 1 {
		e := &b.Entries[0]
		if e.Event.Type == audit.TypeUnreadable {
			return nil, err // not even as bytes: nothing left to try but later
		}
		kept := audit.Entry{OutboxID: e.OutboxID, RecordedTime: e.RecordedTime, Raw: e.Raw,
			Event: audit.NewUnreadable(b.Partition, e.OutboxID, e.Raw, e.RecordedTime)}
		a.cfg.Metrics.Failed(FailedUnreadable)
		a.cfg.Log.ErrorContext(ctx, "the archive cannot store an event; its bytes are kept as an event of type unreadable",
			"partition", b.Partition, "entry", e.OutboxID, "error", err)
		b.Entries = []audit.Entry{kept}
		return a.put(ctx, []audit.Batch{b})
	}
	return a.putHalves(ctx, b)
}

// putHalves stores one batch in two transactions, in order.
func (a *Archiver) putHalves(ctx context.Context, b audit.Batch) ([]audit.Appended, error) {
	half := len(b.Entries) / 2
	var sum audit.Appended
	for _, part := range [][]audit.Entry{b.Entries[:half], b.Entries[half:]} {
		c := b
		c.Entries = part
		done, err := a.put(ctx, []audit.Batch{c})
		if err != nil || done[0].Fenced {
			return done, err
		}
		sum.Inserted += done[0].Inserted
		sum.Duplicates += done[0].Duplicates
		sum.Forked += done[0].Forked
	}
	return []audit.Appended{sum}, nil
}

// append stores batches in one transaction where the archive can.
func (a *Archiver) append(ctx context.Context, batches []audit.Batch) ([]audit.Appended, error) {
	if all, ok := a.cfg.Archive.(audit.BatchArchive); ok {
		return all.AppendAll(ctx, batches)
	}
	done := make([]audit.Appended, len(batches))
	for i := range batches {
		one, err := a.cfg.Archive.Append(ctx, batches[i])
		if errors.Is(err, audit.ErrFenced) {
			one, err = audit.Appended{Fenced: true}, nil
		}
		if err != nil {
			return nil, err
		}
		done[i] = one
	}
	return done, nil
}
