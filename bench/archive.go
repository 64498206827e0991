package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/internal/testkit/pgproc"
)

// smallRecord is how many events the record has that the large one is compared with.
const smallRecord = 100_000

// recordArchive is an archive with everything that is measured of it.
type recordArchive interface {
	audit.Archive
	audit.BatchArchive
	audit.Reader
}

// record is one archive that was filled and asked.
type record struct {
	Events    int     `json:"events"`
	PerSecond float64 `json:"events_per_s"`
	CPU       float64 `json:"cpu_us_per_event"` // of this process: with SQLite all there is
	Bytes     float64 `json:"bytes_per_event"`

	archive recordArchive
	made    *generator
	end     func() error
}

// archiveRow compares a question to the large record with the same to the small one.
type archiveRow struct {
	Case     string  `json:"case"`
	P50      float64 `json:"p50_us"`
	SmallP50 float64 `json:"small_p50_us"`
	Ratio    float64 `json:"ratio"`
	CPU      float64 `json:"cpu_us"`
	SmallCPU float64 `json:"small_cpu_us"`
	CPURatio float64 `json:"cpu_ratio"`
}

// archiveResult is what `bench archive` tells.
type archiveResult struct {
	Engine string       `json:"engine"`
	Tiny   int          `json:"tiny_organizations,omitempty"`
	Small  record       `json:"small"`
	Large  record       `json:"large"`
	Rows   []archiveRow `json:"rows"`
}

// archiveMain is `bench archive`: how fast a record of 200 days takes events, and how long it takes to answer when it is large beside
// when it is small.
func archiveMain(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench archive", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rows := flags.Int("rows", 1_000_000, "events of the large record")
	engine := flags.String("engine", "sqlite", "sqlite or postgres")
	tiny := flags.Int("tiny", 0, "so many organizations with few events each, instead of one large and ten small ones; only filled")
	output := flags.String("output", "table", "table or json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rows < 1000 || *tiny < 0 || (*engine != "sqlite" && *engine != "postgres") || (*output != "table" && *output != "json") {
		return errors.New("at least 1000 rows; --engine takes sqlite or postgres, --output takes table or json")
	}
	dir, err := os.MkdirTemp("", "postern-archive")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := archiveResult{Engine: *engine, Tiny: *tiny}
	if *tiny == 0 && *rows > smallRecord {
		if out.Small, err = fillRecord(ctx, *engine, filepath.Join(dir, "small"), smallRecord, 0, stderr); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, out.Small.end()) }()
	}
	if out.Large, err = fillRecord(ctx, *engine, filepath.Join(dir, "large"), *rows, *tiny, stderr); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Large.end()) }()
	if *tiny == 0 {
		if out.Rows, err = askBoth(ctx, &out.Small, &out.Large); err != nil {
			return err
		}
	}
	if *output == "json" {
		return json.NewEncoder(stdout).Encode(out)
	}
	return out.print(stdout)
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (r *archiveResult) print(w io.Writer) error {
	for _, x := range []record{r.Small, r.Large} {
		if x.Events == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s: %d events taken at %.0f a second, %.0f µs of processor time and %.0f bytes each\n", r.Engine, x.Events, x.PerSecond, x.CPU, x.Bytes); err != nil {
			return err
		}
	}
	if len(r.Rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "%-24s %9s %9s %6s %9s %9s %6s\n", "p50", "µs", "small", "ratio", "cpu µs", "small", "ratio"); err != nil {
		return err
	}
	for _, x := range r.Rows {
		if _, err := fmt.Fprintf(w, "%-24s %9.0f %9.0f %6.2f %9.0f %9.0f %6.2f\n", x.Case, x.P50, x.SmallP50, x.Ratio, x.CPU, x.SmallCPU, x.CPURatio); err != nil {
			return err
		}
	}
	return nil
}

// fillRecord fills an archive of its own, which is the caller's to end.
func fillRecord(ctx context.Context, engine, dir string, rows, tiny int, progress io.Writer) (out record, err error) {
	a, size, end, err := openRecord(ctx, engine, dir)
	if err != nil {
		return out, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	g := newGenerator(rows, tiny)
	spent, used, err := g.fill(ctx, a, progress)
	if err != nil {
		return out, err
	}
	bytes, err := size(ctx)
	if err != nil {
		return out, err
	}
	return record{Events: g.made, PerSecond: float64(g.made) / spent.Seconds(), CPU: micro(used) / float64(g.made), Bytes: float64(bytes) / float64(g.made),
		archive: a, made: g, end: end}, nil
}

// openRecord opens an empty archive at the end of the generated record.
func openRecord(ctx context.Context, engine, dir string) (a recordArchive, size func(context.Context) (int64, error), end func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the server's own user has to get there
		return nil, nil, nil, err
	}
	now := func() time.Time { return recordEnd }
	if engine == "sqlite" {
		s, err := sqlite.Open(ctx, filepath.Join(dir, "archive.db"), now)
		if err != nil {
			return nil, nil, nil, err
		}
		return s, func(context.Context) (int64, error) { return treeSize(dir) }, s.Close, nil
	}
	server, err := pgproc.Start(filepath.Join(dir, "postgres")) //nolint:contextcheck // it outlives every call and is ended by Stop
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := postgres.Open(ctx, postgres.Options{URL: server.URL("postgres"), Now: now})
	if err != nil {
		return nil, nil, nil, errors.Join(err, server.Stop())
	}
	size = func(ctx context.Context) (int64, error) { return databaseSize(ctx, server.URL("postgres")) }
	return p, size, func() error { return errors.Join(p.Close(), server.Stop()) }, nil
}

func treeSize(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// databaseSize asks the server, after it has tidied up as it would by and by.
func databaseSize(ctx context.Context, url string) (size int64, err error) {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if _, err := c.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return 0, err
	}
	return size, c.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&size)
}
