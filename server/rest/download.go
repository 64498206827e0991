package rest

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/postern-audit/postern/audit/export"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/interceptor"
	"github.com/postern-audit/postern/server/names"
	"github.com/postern-audit/postern/server/status"
)

// DownloadPath is where files of exports are fetched, and DownloadQuery what links end with, in front of the link itself.
const (
	DownloadPath  = "/v1/exports/download"
	DownloadQuery = DownloadPath + "?link="
)

// Exports hands out files of exports.
type Exports interface {
	// Fetch opens what a link leads to. With an error comes the id of the link's organization, where the link proves one.
	Fetch(ctx context.Context, link string) (*export.Fetched, string, error)
}

const (
	downloadMethod = "HTTP/DownloadExport"
	maxDownloads   = 32
	fetchWithin    = 15 * time.Second // until the file is open
	writeWithin    = time.Minute      // one piece of it, to a reader that is slow
)

// download answers with a file, or a range of it. The link is all that a caller needs, and needs to keep to itself.
func (g *Gateway) download(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	r.Header.Del("Authorization")
	defer g.recovered(ctx, w, r)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(cacheControl, noStore)
	h.Set("Referrer-Policy", "no-referrer")
	if !g.hosts[hostOf(r.Host)] {
		g.refuseDownload(ctx, w, "", errs.New(errs.PermissionDenied, "HOST_NOT_ALLOWED", "the Host header does not name this listener"))
		return
	}
	defer g.downloads.Add(-1)
	if g.downloads.Add(1) > maxDownloads {
		g.refuseDownload(ctx, w, "", errs.New(errs.ResourceExhausted, "OVERLOADED", "this process serves as many files as it can"))
		return
	}
	link, err := linkOf(r)
	if err != nil {
		g.refuseDownload(ctx, w, "", err)
		return
	}
	fetched, organization, err := g.fetch(ctx, link)
	if err != nil {
		g.refuseDownload(ctx, w, organization, err)
		return
	}
	defer func() { _ = fetched.Content.Close() }() // it was only read
	name, kind, sum := fetched.Job.FileName(), kindOf(fetched.Job.Format), fetched.Job.SHA256
	if fetched.Part == export.PartManifest {
		name, kind, sum = name+".manifest.json", jsonType, fetched.Job.ManifestSHA256
	}
	h.Set(contentType, kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("ETag", etagOf(sum))
	p, err := newPatient(w)
	if err != nil {
		g.refuseDownload(ctx, w, organization, errs.Wrap(err, errs.Internal, "DOWNLOAD", "the file cannot be written"))
		return
	}
	defer p.done()
	http.ServeContent(p, r, "", time.Time{}, fetched.Content)
}

func (g *Gateway) fetch(ctx context.Context, link string) (*export.Fetched, string, error) {
	late := errors.New("late")
	opening, cancel := context.WithCancelCause(ctx) // what was opened is read for longer
	timer := time.AfterFunc(fetchWithin, func() { cancel(late) })
	defer timer.Stop()
	fetched, organization, err := g.config.Exports.Fetch(opening, link)
	if err != nil && errors.Is(context.Cause(opening), late) {
		err = errs.Wrap(err, errs.Unavailable, "EXPORT_STORAGE_UNAVAILABLE", "the file cannot be read at the moment")
	}
	if err != nil {
		cancel(nil)
	}
	return fetched, organization, err
}

// linkOf returns the link of a request that has nothing else.
func linkOf(r *http.Request) (string, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.ContentLength != 0 {
		return "", errs.New(errs.Invalid, "REQUEST_MALFORMED", "send GET without a body")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(values) != 1 || len(values["link"]) != 1 {
		return "", errs.New(errs.Invalid, "REQUEST_MALFORMED", "send the link as it was answered")
	}
	return values.Get("link"), nil
}

func kindOf(f export.Format) string {
	switch f {
	case export.FormatCSV:
		return "text/csv; charset=utf-8"
	case export.FormatJSONL:
		return "application/jsonl"
	case export.FormatParquet, export.FormatUnspecified:
	}
	return "application/vnd.apache.parquet"
}

// etagOf names one content of a file.
func etagOf(sum []byte) string { return `"` + hex.EncodeToString(sum) + `"` }

// refuseDownload answers a request for a file that it does not get, and records it.
func (g *Gateway) refuseDownload(ctx context.Context, w http.ResponseWriter, organization string, err error) {
	e := status.Normal(err)
	callID := interceptor.NewCallID()
	refusal := interceptor.Refusal{Method: downloadMethod, Code: status.Code(e.Kind), Reason: e.Reason, CallID: callID, Organization: organization}
	if err := g.config.Record(ctx, refusal); err != nil {
		g.config.Log.LogAttrs(ctx, slog.LevelError, "refusal not recorded", slog.String("call_id", callID), slog.String("cause", err.Error()))
	}
	level := slog.LevelDebug
	if e.Kind == errs.Internal || e.Kind == errs.Unavailable {
		level = slog.LevelWarn
	}
	g.config.Log.LogAttrs(ctx, level, "download refused", slog.String("call_id", callID), slog.String("organization", names.FormatOrganization(organization)),
		slog.String("cause", err.Error()))
	g.write(ctx, w, codeOf(status.Code(e.Kind)), status.Error(e, callID))
}

// patient lets each piece of an answer take its time, however long the whole takes.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
	late    *time.Timer
}

func newPatient(w http.ResponseWriter) (*patient, error) {
	p := &patient{ResponseWriter: w, control: http.NewResponseController(w)}
	if err := p.control.SetWriteDeadline(time.Time{}); err != nil { // the server's own is for answers that are written at once
		return nil, err
	}
	p.late = time.AfterFunc(writeWithin, func() { _ = p.control.SetWriteDeadline(time.Unix(1, 0)) }) // long ago: the write ends
	return p, nil
}

// done lets what net/http still holds of the answer take as long as a piece: it is written after this returns.
func (p *patient) done() {
	if p.late.Stop() {
		_ = p.control.SetWriteDeadline(time.Now().Add(writeWithin)) //nolint:forbidigo // it could be set before; sockets go by this clock
	}
}

// Write implements io.Writer. There is no ReadFrom: the whole file would be one piece.
func (p *patient) Write(b []byte) (int, error) {
	p.late.Reset(writeWithin)
	return p.ResponseWriter.Write(b) //nolint:wrapcheck // net/http reads it
}
