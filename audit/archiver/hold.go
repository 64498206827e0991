package archiver

import (
	"context"
	"maps"
	"slices"

	"github.com/postern-audit/postern/audit"
)

// hold renews the lease when it is time, and takes an epoch for every partition newly held. A partition lost to another
// archiver stays lost until the lease gives it again.
func (a *Archiver) hold(ctx context.Context) (reason string, err error) {
	now := a.cfg.Now()
	if a.leased.IsZero() || now.Sub(a.leased) >= leaseEvery {
		if err := a.lease(ctx); err != nil {
			return FailedLease, err
		}
		a.leased = now
	}
	for _, p := range a.granted {
		if _, taken := a.epochs[p]; taken || a.fenced[p] {
			continue
		}
		epoch, err := a.cfg.Archive.Take(ctx, p, a.cfg.Holder)
		if err != nil {
			return FailedArchive, err
		}
		a.epochs[p] = epoch
	}
	return "", nil
}

// lease asks which partitions are ours now and lets go of the others.
func (a *Archiver) lease(ctx context.Context) error {
	granted := a.cfg.Partitions
	if a.cfg.Lease != nil {
		var err error
		if granted, err = a.cfg.Lease.Hold(ctx, a.cfg.Partitions); err != nil {
			return err
		}
	}
	a.granted = slices.Clone(granted)
	clear(a.fenced)
	maps.DeleteFunc(a.epochs, func(p int, _ audit.Epoch) bool { return !slices.Contains(a.granted, p) })
	return nil
}

// held lists the partitions taken, in order.
func (a *Archiver) held() []int { return slices.Sorted(maps.Keys(a.epochs)) }

// lost lets go of a partition that another archiver has taken.
func (a *Archiver) lost(partition int) {
	delete(a.epochs, partition)
	a.fenced[partition] = true
	a.cfg.Metrics.Failed(FailedFenced)
	a.cfg.Log.Info("another archiver took the partition", "partition", partition)
}
