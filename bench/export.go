package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/testkit/redisproc"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// exported is what making one file came to.
type exported struct {
	Format  string  `json:"format"`
	Rows    int64   `json:"rows"`
	MB      float64 `json:"mb"`
	Seconds float64 `json:"seconds"` // from asking for it until it is whole, stored and on the record
	PerSec  float64 `json:"rows_per_s"`
	IdleMB  float64 `json:"idle_mb"`
	PeakMB  float64 `json:"peak_above_mb"`
	CPU     float64 `json:"cpu_us"` // processor time of the server for each row
}

// rowsOfFlow is about how many events a sign-in of the filler has.
const rowsOfFlow = 3.35

// exportMain measures exports of a whole record, each format in a server of its own.
func exportMain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("bench export", flag.ContinueOnError)
	fs.SetOutput(stderr)
	rows := fs.Int("rows", 1_000_000, "about how many events the record has")
	formats := fs.String("formats", "csv,jsonl,parquet", "which files")
	output := fs.String("output", "table", "table or json")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *rows < 10 || *rows > 100_000_000 || *output != "table" && *output != "json" {
		return errors.New("--rows takes 10 to 100000000, --output table or json")
	}
	chosen := strings.Split(*formats, ",")
	for _, f := range chosen {
		if posternv1.Export_Format_value["FORMAT_"+strings.ToUpper(f)] == 0 {
			return fmt.Errorf("--formats takes some of csv, jsonl, parquet, not %q", f)
		}
	}
	dir, err := os.MkdirTemp("", "postern-export")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	found, err := measureExports(ctx, dir, int(float64(*rows)/rowsOfFlow)+1, chosen, stderr)
	if err != nil {
		return err
	}
	if *output == "json" {
		return json.NewEncoder(stdout).Encode(found)
	}
	return printExports(stdout, found)
}

func printExports(w io.Writer, all []exported) error {
	if _, err := fmt.Fprintf(w, "%-8s %10s %8s %8s %9s %8s %11s %7s\n", "format", "rows", "MB", "seconds", "rows/s", "idle MB", "peak above", "cpu µs"); err != nil {
		return err
	}
	for _, e := range all {
		if _, err := fmt.Fprintf(w, "%-8s %10d %8.0f %8.1f %9.0f %8.0f %11.0f %7.1f\n", e.Format, e.Rows, e.MB, e.Seconds, e.PerSec, e.IdleMB, e.PeakMB, e.CPU); err != nil {
			return err
		}
	}
	return nil
}

func measureExports(ctx context.Context, dir string, flows int, formats []string, stderr io.Writer) (_ []exported, err error) {
	binary := filepath.Join(dir, "postern")
	if err := errors.Join(build(ctx, binary), os.MkdirAll(filepath.Join(dir, "redis"), 0o700)); err != nil {
		return nil, err
	}
	server, err := redisproc.Start(filepath.Join(dir, "redis")) //nolint:contextcheck // it outlives every call and is ended by Stop
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	ours, err := startOurs(ctx, binary, dir, server.Addr(), "signin,api", false)
	if err != nil {
		return nil, err
	}
	err = prepareOrganization(ctx, ours.target)
	if err == nil {
		_, _ = fmt.Fprintf(stderr, "filling the record with %d sign-ins\n", flows)
		err = fillArchive(ctx, ours.target, filepath.Join(dir, "data"), flows)
	}
	ours.stop() // what filling left in its caches is not the exports'
	if err != nil {
		return nil, err
	}
	var all []exported
	for _, f := range formats {
		_, _ = fmt.Fprintf(stderr, "exporting %s\n", f)
		if ours, err = startOurs(ctx, binary, dir, server.Addr(), "signin,api", false); err != nil {
			return nil, err
		}
		one, err := exportOnce(ctx, ours, f)
		ours.stop()
		if err != nil {
			return nil, err
		}
		all = append(all, *one)
	}
	return all, nil
}

// exportOnce is the measured work: everything there is.
func exportOnce(ctx context.Context, ours *process, f string) (*exported, error) {
	events := posternv1.NewEventServiceClient(ours.target.conns[0])
	before, err := scrape(ctx, ours.target)
	if err != nil {
		return nil, err
	}
	idle := resident(ours.cmd.Process.Pid)
	peak := watchMemory(ours.cmd.Process.Pid)
	began := time.Now()
	job, err := events.CreateExport(ctx, &posternv1.CreateExportRequest{
		Parent: organization, Format: posternv1.Export_Format(posternv1.Export_Format_value["FORMAT_"+strings.ToUpper(f)]), RequestId: "bench-" + f,
	})
	for err == nil && job.GetState() < posternv1.Export_STATE_SUCCEEDED {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(20 * time.Millisecond):
			job, err = events.GetExport(ctx, &posternv1.GetExportRequest{Name: job.GetName()})
		}
	}
	took, most := time.Since(began).Seconds(), peak()
	if err != nil {
		return nil, err
	}
	after, err := scrape(ctx, ours.target)
	if err != nil {
		return nil, err
	}
	if job.GetState() != posternv1.Export_STATE_SUCCEEDED {
		return nil, fmt.Errorf("the export is %s %s", job.GetState(), job.GetStateReason())
	}
	if err := sameCount(ctx, events, job); err != nil {
		return nil, err
	}
	rows := float64(job.GetRowCount())
	return &exported{Format: f, Rows: job.GetRowCount(), MB: float64(job.GetSizeBytes()) / 1e6, Seconds: took, PerSec: rows / took, IdleMB: idle, PeakMB: most - idle,
		CPU: (after.cpu - before.cpu) * 1e6 / rows}, nil
}

// sameCount compares an export of everything with what the record counts.
func sameCount(ctx context.Context, events posternv1.EventServiceClient, job *posternv1.Export) error {
	counted, err := events.CountEvents(ctx, &posternv1.CountEventsRequest{Parent: organization, Filter: &posternv1.EventFilter{Sandbox: posternv1.EventFilter_SANDBOX_INCLUDE}})
	if err != nil {
		return err
	}
	if n := counted.GetTotal(); n != job.GetRowCount() || !counted.GetComplete() {
		return fmt.Errorf("the export has %d rows, and the record counts %d", job.GetRowCount(), n)
	}
	return nil
}
