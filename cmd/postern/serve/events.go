package serve

import (
	"net/url"

	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/rest"
	"github.com/postern-audit/postern/server/rest/orgevents"
)

// eventsAPI makes what SIEM pollers read, and says by which host they may ask for it; nil where it is not served.
func (p *process) eventsAPI() (rest.Events, []string, error) {
	e, s := p.c.HTTP.Events, &p.stores
	if e.Prefix == "" || !p.has(config.ComponentAPI) {
		return nil, nil, nil
	}
	public, hosts := "http://"+p.front.http.Addr().String(), []string(nil)
	if u, err := url.Parse(e.PublicURL); err == nil && e.PublicURL != "" {
		public, hosts = e.PublicURL, []string{u.Hostname()}
	}
	h, err := orgevents.New(orgevents.Config{
		Prefix: e.Prefix, PublicURL: public, EventsPerMinute: e.RequestsPerMinute, StreamPerMinute: e.StreamRequestsPerMinute,
		Timeout: p.c.Deadlines.Call, Keys: p.work.apiKeys, Reader: s.archive, Opener: s.codec, Indexer: s.keyring, MAC: s.keysets.Namer(),
		OpenRecord: p.front.server.OpenRecord, Record: p.front.server.Refusals().Record, Read: p.read, Now: p.clock.Now, Log: p.log, Observe: p.metrics.Call,
	})
	return h, hosts, err
}

// read puts a read through the events API on the record.
func (p *process) read(r orgevents.Read) { p.front.server.Readings().Note(server.Reading(r)) }
