package keeping

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

const (
	every = time.Hour // between looks at every organization
	page  = 500       // organizations listed at a time
	tries = 5         // how often one organization is carried again because it changed meanwhile
)

// Directory is the part of policy.Directory that is asked.
type Directory interface {
	Organization(ctx context.Context, uid string) (*policy.Organization, error)
	Cached(ctx context.Context, uid string) (*policy.Organization, error)
	Organizations(ctx context.Context, after string, limit int) ([]policy.Organization, error)
}

// Archive is what ends the record.
type Archive interface {
	audit.Keeper
	audit.Shelves
}

// Config is what a Keeping works with. Every field is needed.
type Config struct {
	Directory Directory
	Archive   Archive
	Log       *slog.Logger
}

// Keeping carries retentions. Make it with New, let Run work. Safe for concurrent use.
type Keeping struct {
	cfg  Config
	wake chan struct{}
	mu   sync.Mutex
	due  map[string]bool // organizations that changed, by uid
}

// New returns a Keeping. It does nothing until it is asked.
func New(cfg Config) (*Keeping, error) {
	if cfg.Directory == nil || cfg.Archive == nil || cfg.Log == nil {
		return nil, errors.New("keeping: Directory, Archive and Log are needed")
	}
	return &Keeping{cfg: cfg, wake: make(chan struct{}, 1), due: map[string]bool{}}, nil
}

// Changed says that an organization was changed. It never blocks.
func (k *Keeping) Changed(organizationUID string) {
	k.mu.Lock()
	k.due[organizationUID] = true
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run carries every organization's retention at once and then every hour, and that of each one that changed as soon as it is told,
// until ctx ends; that is no error. Trouble is logged and met again with the next look. A panic is an error that ends it.
func (k *Keeping) Run(ctx context.Context) error {
	return errs.Guard(func() error {
		t := time.NewTicker(every)
		defer t.Stop()
		k.told(ctx, k.All(ctx))
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
				k.told(ctx, k.All(ctx))
			case <-k.wake:
				k.changed(ctx)
			}
		}
	})
}

// changed carries what was said to have changed. What fails is tried with the next look at every organization.
func (k *Keeping) changed(ctx context.Context) {
	k.mu.Lock()
	due := k.due
	k.due = map[string]bool{}
	k.mu.Unlock()
	for uid := range due {
		k.told(ctx, k.One(ctx, uid))
	}
}

func (k *Keeping) told(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		k.cfg.Log.WarnContext(ctx, "how long a record is kept could not be brought to the archive: it is tried again within the hour", "error", err)
	}
}

// All carries the retention of every organization there is. Trouble with one leaves the others; the first is returned.
func (k *Keeping) All(ctx context.Context) error {
	var first error
	for after := ""; ; {
		list, err := k.cfg.Directory.Organizations(ctx, after, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := k.One(ctx, list[i].UID); err != nil && first == nil {
				first = err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if len(list) < page {
			return first
		}
		after = list[len(list)-1].ID
	}
}

// One carries the retention of one organization. It looks again afterwards: of several that carry at the same time the last one has
// carried what stands. The retention of an organization that was deleted stays as it was then.
func (k *Keeping) One(ctx context.Context, uid string) error {
	for range tries {
		want, known, err := k.wanted(ctx, uid)
		if err != nil || !known {
			return err
		}
		has, err := k.cfg.Archive.Retention(ctx, uid)
		if err != nil || has == want {
			return err
		}
		if err := k.cfg.Archive.SetRetention(ctx, uid, want); err != nil {
			return err
		}
		k.cfg.Log.InfoContext(ctx, "how long a record is kept has changed", "organization_uid", uid, "sign_in_days", want.SignIn,
			"administration_days", want.Administration, "activity_days", want.Activity, "hold", want.Hold)
	}
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the retention of an organization keeps changing")
}

// wanted is the retention the directory says; not known of an organization the directory has nothing of.
func (k *Keeping) wanted(ctx context.Context, uid string) (r audit.Retention, known bool, err error) {
	o, err := k.cfg.Directory.Organization(ctx, uid)
	if errs.KindOf(err) == errs.NotFound {
		o, err = k.cfg.Directory.Cached(ctx, uid) // what is kept of a deleted one
	}
	switch {
	case errs.KindOf(err) == errs.NotFound || err == nil && o == nil:
		return r, false, nil
	case err != nil:
		return r, false, err
	}
	return o.Retention.Days(), true, nil
}

// Keeper is the archive for whoever prunes it: before a shelf goes, what is wanted of the organizations with something on it is
// carried. When that cannot be found out, the shelf stays.
func (k *Keeping) Keeper() audit.Keeper { return careful{Archive: k.cfg.Archive, k: k} }

type careful struct {
	Archive
	k *Keeping
}

// Drop implements audit.Keeper.
func (c careful) Drop(ctx context.Context, s audit.Shelf, now time.Time) ([]audit.Pruned, bool, error) {
	shelves, err := c.Shelves(ctx)
	if err != nil {
		return nil, false, err
	}
	for i := range shelves {
		if shelves[i].Shelf != s {
			continue
		}
		for _, content := range shelves[i].Content {
			if err := c.k.One(ctx, content.OrganizationUID); err != nil {
				return nil, false, err
			}
		}
	}
	return c.Archive.Drop(ctx, s, now)
}

// Reclaim implements audit.Reclaimer where the archive does; else there is nothing to give back.
func (c careful) Reclaim(ctx context.Context) (more bool, err error) {
	if r, ok := c.Archive.(audit.Reclaimer); ok {
		return r.Reclaim(ctx)
	}
	return false, nil
}
