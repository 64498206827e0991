package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/audit/export/format"
	"github.com/postern-audit/postern/audit/export/redisjobs"
	"github.com/postern-audit/postern/internal/blob"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy/policypb"
	"github.com/postern-audit/postern/policy/redisdirectory"
	"github.com/postern-audit/postern/server/convert"
	"github.com/postern-audit/postern/server/rest"
)

// exports are what makes files of the record in this process.
type exports struct {
	jobs   *export.Jobs
	files  export.Files
	worker *export.Worker
}

// Purposes of keyed names. Stored: never change one.
const (
	purposeExportCall = "export call"
	purposeExportLink = "export link"
)

// exportNames names calls and links.
type exportNames struct{ n *seal.Namer }

// ExportRequest implements export.Namer.
func (e exportNames) ExportRequest(caller, method, parent, requestID string, canonical []byte) export.Request {
	return export.Request{
		Key: e.n.NameStrings(purposeExportCall, caller, method, parent, requestID), Digest: e.n.Name(purposeExportCall+" asks", canonical),
	}
}

// ExportLink implements export.Namer.
func (e exportNames) ExportLink(parts ...[]byte) [32]byte {
	return e.n.Name(purposeExportLink, parts...)
}

// openExports makes the use cases and the worker; nothing runs yet.
func (p *process) openExports() error {
	if !p.has(config.ComponentAPI) {
		return nil
	}
	s, x := &p.stores, &p.work.exports
	store, err := redisjobs.New(redisjobs.Config{Client: s.scripts, Reader: s.reader, Partitions: p.c.Partitions, Codec: s.codec})
	if err != nil {
		return err
	}
	if x.files, err = p.openFiles(); err != nil {
		return &ConfigError{fmt.Errorf("export: %w", err)}
	}
	x.jobs = &export.Jobs{
		Store: markedExports{store, s.flows.Outbox()}, Reader: s.archive, Namer: exportNames{s.keysets.Namer()}, Sealer: s.keyring, NewID: newID, Random: random, Now: p.clock.Now, Keep: p.c.Export.Keep, Region: p.exportRegion, Ready: p.organizationKey,
	}
	x.worker, err = export.NewWorker(export.WorkerConfig{
		Jobs: x.jobs, Files: x.files, Directory: filepath.Join(p.c.ExportPath(), "making"), Query: p.exportQuery, Open: s.codec.Open,
		Encoder: format.New, Schema: format.Schema, Holder: p.holder, Making: moreCollecting(), Log: p.log, Broken: func(err error) { p.fail("exports", err) },
		Manifest: export.Manifest{Version: p.version, History: s.archive, Policy: pastPolicy, Filter: format.FilterJSON, Event: format.EventJSON},
	})
	if err != nil {
		return err
	}
	x.jobs.Wake = func() {
		x.worker.Wake()
		p.work.wake()
	}
	return nil
}

// openFiles makes what keeps finished files.
func (p *process) openFiles() (export.Files, error) {
	s := p.c.Export.S3
	if err := os.MkdirAll(p.c.ExportPath(), 0o700); err != nil {
		return nil, err
	}
	if s.Endpoint == "" {
		return blob.NewDisk(filepath.Join(p.c.ExportPath(), "files"))
	}
	key, err := firstLine(s.SecretKeyFile)
	if err != nil {
		return nil, fmt.Errorf("s3.secret_key_file: %w", err)
	}
	return blob.NewS3(blob.S3Options{
		Endpoint: s.Endpoint, Bucket: s.Bucket, Prefix: s.Prefix, Region: s.Region, AccessKey: s.AccessKey, SecretKey: secret.NewString(key), CAFile: s.CAFile,
	})
}

// organizationKey makes an organization's key usable in this process.
func (p *process) organizationKey(ctx context.Context, uid string) error {
	if p.stores.keyring.Has(uid) {
		return nil
	}
	o, err := p.stores.directory.Cached(ctx, uid)
	if err != nil || p.stores.keyring.Has(uid) || len(o.Key.Wrapped) == 0 {
		return err
	}
	return p.stores.keyring.Add(o.Key)
}

func (p *process) exportQuery(filter []byte, uid string) (audit.Query, error) {
	f, err := convert.ReadExportFilter(filter)
	if err != nil {
		return audit.Query{}, err
	}
	return convert.Events(f, uid, p.stores.keyring)
}

// exportRegion refuses to take the record of a site of another region out here.
func (p *process) exportRegion(ctx context.Context, uid string, filter []byte) error {
	if uid == audit.SystemUID {
		return nil
	}
	f, err := convert.ReadExportFilter(filter)
	if err != nil {
		return err
	}
	o, err := p.stores.directory.Organization(ctx, uid)
	if err != nil {
		return err
	}
	chosen, left := f.GetInclude().GetSites(), f.GetExclude().GetSites()
	for i := range o.Sites {
		s := &o.Sites[i]
		if len(chosen) > 0 && !slices.Contains(chosen, s.ID) || slices.Contains(left, s.ID) {
			continue
		}
		if err := s.InRegion(p.c.Archive.Region); err != nil {
			return err
		}
	}
	return nil
}

// pastPolicy shows the policy of an archived record.
func pastPolicy(record []byte, revision int64) ([]byte, error) {
	o, err := redisdirectory.PastOrganization(record, revision)
	if err != nil {
		return nil, err
	}
	if o.Unreadable {
		return []byte("null"), nil
	}
	return protojson.Marshal(policypb.FromPolicyOf(o))
}

// moreCollecting collects the heap as Go does by itself while an export is made, which leaves much behind: memory then counts for more than
// time. What GOGC sets stays.
func moreCollecting() func(making int) {
	const standard = 100
	ours := false
	return func(making int) {
		switch {
		case making > 0 && !ours:
			if before := debug.SetGCPercent(standard); before != collectAt {
				debug.SetGCPercent(before)
				return
			}
			ours = true
		case making == 0 && ours:
			debug.SetGCPercent(collectAt)
			ours = false
		}
	}
}

// startExports lets the worker run.
func (p *process) startExports() {
	p.work.exports.worker.Start()
	p.closers.add("exports", func(context.Context) error {
		p.work.exports.worker.Stop()
		return nil
	})
}

// exportFiles gives HTTP the files; nil where there are none.
func (p *process) exportFiles() rest.Exports {
	if x := &p.work.exports; x.jobs != nil {
		return x
	}
	return nil
}

// Fetch implements rest.Exports.
func (x *exports) Fetch(ctx context.Context, link string) (*export.Fetched, string, error) {
	return x.jobs.Fetch(ctx, x.files, link)
}

// exportURL begins links to files; "" without HTTP.
func (p *process) exportURL() string {
	if p.c.HTTP.Address == "" {
		return ""
	}
	base, _ := p.public()
	return base + rest.DownloadQuery
}
