package serve

import (
	"net/url"
	"strings"

	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/rest"
	"github.com/postern-audit/postern/server/rest/orgevents"
)

// public says how links to the HTTP listener begin, and by which host besides its own it may be asked.
func (p *process) public() (base string, hosts []string) {
	named := p.c.HTTP.Events.PublicURL
	if u, err := url.Parse(named); err == nil && named != "" {
		return strings.TrimSuffix(named, "/"), []string{u.Hostname()}
	}
	return "http://" + p.front.http.Addr().String(), nil
}

// eventsAPI makes what SIEM pollers read; nil where it is not served.
func (p *process) eventsAPI() (rest.Events, error) {
	e, s := p.c.HTTP.Events, &p.stores
	if e.Prefix == "" || !p.has(config.ComponentAPI) {
		return nil, nil //nolint:nilnil // as documented
	}
	base, _ := p.public()
	h, err := orgevents.New(orgevents.Config{
		Prefix: e.Prefix, PublicURL: base, EventsPerMinute: e.RequestsPerMinute, StreamPerMinute: e.StreamRequestsPerMinute,
		Timeout: p.c.Deadlines.Call, Keys: p.work.apiKeys, Reader: s.archive, Opener: s.codec, Indexer: s.keyring, MAC: s.keysets.Namer(),
		OpenRecord: p.front.server.OpenRecord, Record: p.front.server.Refusals().Record, Read: p.read, Now: p.clock.Now, Log: p.log, Observe: p.metrics.Call,
	})
	return h, err
}

// read puts a read through the events API on the record.
func (p *process) read(r orgevents.Read) { p.front.server.Readings().Note(server.Reading(r)) }
