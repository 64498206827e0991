package export

import (
	"context"
	"errors"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// beatEvery is how often whoever makes an export says so, and how far it is.
const beatEvery = 3 * time.Second

// maker makes one export.
type maker struct {
	*Worker
	job   *Job // as it was last written; of the goroutine that beats, and of run once that has ended
	dir   *workdir
	stage stage
}

// made is a whole export.
type made struct {
	Progress
	sum, manifestSum []byte
}

// errLost means that somebody else ended the export, or has taken it up.
var errLost = errors.New("export: it is somebody else's now")

// run makes the export and says what became of it.
func (m *maker) run(ctx context.Context) {
	job := *m.job // the goroutine that beats has the other one from here on
	making, cancel := context.WithCancelCause(ctx)
	beaten := make(chan struct{})
	go func() {
		defer close(beaten)
		if err := errs.Guard(func() error { return m.beat(making) }); err != nil {
			cancel(err)
		}
	}()
	var done *made
	err := errs.Guard(func() (err error) {
		done, err = m.make(making, &job)
		return err
	})
	if err != nil && context.Cause(making) != nil {
		err = context.Cause(making)
	}
	cancel(nil)
	<-beaten
	ending, end := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer end()
	if err = m.end(ending, done, err); err != nil {
		m.c.Log.WarnContext(ctx, "what became of an export could not be written down: it is taken up again", "export", m.job.ID, "error", err)
	}
}

// end writes down what became of the export, and gives the directory back.
func (m *maker) end(ctx context.Context, done *made, err error) error {
	switch {
	case err == nil:
		err := m.write(ctx, func(job *Job) *Change { return m.success(job, done) })
		if errors.Is(err, errLost) {
			return errors.Join(m.withdraw(ctx), m.dir.close())
		}
		if err != nil {
			return errors.Join(err, m.dir.close())
		}
		m.c.Jobs.wake()
		return errors.Join(m.dir.remove(), m.c.Files.Remove(ctx, m.job.prefix(), m.job.stored(), m.job.storedManifest()))
	case errors.Is(err, errLost):
		return errors.Join(m.withdraw(ctx), m.dir.close())
	case errors.Is(err, context.Canceled): // the process stops: whoever is there next goes on
		err = m.write(ctx, func(job *Job) *Change {
			after := *job
			after.State, after.Holder, after.Progress = StateQueued, "", m.stage.get()
			return &Change{After: &after, Due: m.c.Jobs.Now()}
		})
		return errors.Join(err, m.dir.close())
	}
	return errors.Join(m.pause(ctx, m.job, err), m.dir.close())
}

// withdraw takes away what this attempt has kept in storage, unless it is what the export leads to: with directories of their own, others
// that removed the export may have looked before it came.
func (m *maker) withdraw(ctx context.Context) error {
	now, err := m.c.Jobs.Store.Job(ctx, m.job.OrganizationUID, m.job.ID)
	if err != nil && !errs.Is(err, "EXPORT_NOT_FOUND") {
		return err
	}
	if err == nil && now.State == StateSucceeded && now.Attempt == m.job.Attempt {
		return nil
	}
	return m.c.Files.Remove(ctx, m.job.prefix()+"-"+itoa(m.job.Attempt)+".")
}

// success is the last change of an export that is whole.
func (m *maker) success(job *Job, done *made) *Change {
	after, c := m.c.Jobs.over(job, StateSucceeded, "")
	after.Progress, after.SHA256, after.ManifestSHA256, after.Paused = done.Progress, done.sum, done.manifestSum, 0
	e := m.c.Jobs.event(after, after.Creator, audit.TypeExportFinished)
	e.Changes = finishedChanges(after)
	c.Event = &e
	return c
}

// beat says again and again that the export is being made, and how far it is, until it is or somebody else has it.
func (m *maker) beat(ctx context.Context) error {
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	last := m.c.Jobs.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := m.write(ctx, func(job *Job) *Change {
			after := *job
			after.Progress = m.stage.get()
			if after.Sequence > job.Sequence {
				after.Paused = 0
			}
			return &Change{After: &after, Due: m.c.Jobs.Now().Add(leaseFor), Lease: LeaseTake}
		})
		now := m.c.Jobs.Now()
		switch {
		case err == nil:
			last = now
		case errors.Is(err, errLost):
			return err
		case now.Sub(last) > leaseFor-2*beatEvery: // soon somebody else may take it up
			return errors.Join(errLost, err)
		}
	}
}

// write commits a change of the export as it stands. One of ours whose answer was lost is no conflict.
func (m *maker) write(ctx context.Context, change func(*Job) *Change) error {
	for range maxTries {
		c := change(m.job)
		c.OrganizationUID, c.Before, c.Now = m.job.OrganizationUID, m.job, m.c.Jobs.Now()
		_, err := m.c.Jobs.Store.Commit(ctx, *c)
		if err == nil {
			m.job = c.After
			return nil
		}
		if errs.KindOf(err) != errs.Conflict {
			return err
		}
		now, err := m.c.Jobs.Store.Job(ctx, m.job.OrganizationUID, m.job.ID)
		if errs.Is(err, "EXPORT_NOT_FOUND") {
			return errLost
		}
		if err != nil {
			return err
		}
		if now.State != StateRunning || now.Holder != m.c.Holder || now.Attempt != m.job.Attempt {
			return errLost
		}
		m.job = now
	}
	return Moved()
}
