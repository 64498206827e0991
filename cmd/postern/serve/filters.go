package serve

import (
	"context"

	"github.com/postern-audit/postern/savedfilter"
	"github.com/postern-audit/postern/savedfilter/redisfilters"
	"github.com/postern-audit/postern/server/convert"
)

// openSavedFilters makes the use cases around saved filters.
func (p *process) openSavedFilters() error {
	s := &p.stores
	store, err := redisfilters.New(redisfilters.Config{Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec, Sealer: s.keyring})
	if err != nil {
		return err
	}
	p.work.filters = &savedfilter.Filters{Store: wakingFilters{store, p.work.wake}, Namer: s.namer, NewID: newID, Now: p.clock.Now, Describe: convert.DescribeSaved}
	return nil
}

// wakingFilters wakes the archiver after every change.
type wakingFilters struct {
	savedfilter.Store
	wake func()
}

// Commit implements savedfilter.Store.
func (f wakingFilters) Commit(ctx context.Context, c savedfilter.Change) (bool, error) {
	defer f.wake()
	return f.Store.Commit(ctx, c)
}
