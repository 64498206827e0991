package serve

import (
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
	p.work.filters = &savedfilter.Filters{Store: markedFilters{store, s.flows.Outbox(), p.work.wake}, Namer: s.namer, NewID: newID, Now: p.clock.Now, Describe: convert.DescribeSaved}
	return nil
}
