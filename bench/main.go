// Command bench measures this sidecar and its floor in one run and prints ratios.
//
// The floor is what no sidecar of this shape can beat: the same grpc-go and go-redis options, no interceptors, and one EVALSHA
// that does one HSET of the same state bytes and one XADD of the same event bytes. Both run as processes of their own on the
// same redis-server, in short slices that take turns, so that a drifting machine moves both. Absolute figures say something
// about the machine; the ratios say something about Postern.
//
// It must never assert anything. Read run.go for the order of things, floor.go for the floor.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(args) > 0 && args[0] == "floor" {
		if err := floorMain(ctx, args[1:]); err != nil {
			_, _ = fmt.Fprintln(stderr, "floor:", err)
			return 1
		}
		return 0
	}
	if len(args) > 0 && args[0] == "directory" {
		if err := scaleMain(ctx, args[1:], stdout, stderr); err != nil {
			_, _ = fmt.Fprintln(stderr, "bench directory:", err)
			return 1
		}
		return 0
	}
	if len(args) > 0 && args[0] == "export" {
		if err := exportMain(ctx, args[1:], stdout, stderr); err != nil {
			_, _ = fmt.Fprintln(stderr, "bench export:", err)
			return 1
		}
		return 0
	}
	if len(args) > 0 && args[0] == "archive" {
		if err := archiveMain(ctx, args[1:], stdout, stderr); err != nil {
			_, _ = fmt.Fprintln(stderr, "bench archive:", err)
			return 1
		}
		return 0
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	quick := fs.Bool("quick", false, "short slices: under a minute in all")
	slice := fs.Duration("slice", 0, "how long one side runs before it is the other's turn; 0: 1.5 s, with --quick 150 ms")
	output := fs.String("output", "table", "table or json")
	only := fs.String("case", "", "only cases whose name contains this")
	callers := fs.String("callers", "", "numbers of concurrent callers; 1,16,64 when not given, with --quick 1,64")
	modes := fs.String("aof", "everysec,always", "Redis append-only modes")
	flows := fs.Int("rows", 0, "flows on record that Simulate goes through; 0: 1,000,000, with --quick 10,000")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	o := options{quick: *quick, slice: 1500 * time.Millisecond, rounds: 3, only: *only, aof: strings.Split(*modes, ","), progress: stderr}
	if *quick {
		o.slice, o.rounds = 150*time.Millisecond, 1
	}
	if o.flows = *flows; o.flows == 0 {
		o.flows = 1_000_000
		if *quick {
			o.flows = 10_000
		}
	}
	if o.flows < 1 || o.flows > 50_000_000 {
		_, _ = fmt.Fprintln(stderr, "bench: --rows takes numbers from 1 to 50000000")
		return 2
	}
	if *callers == "" {
		*callers = "1,16,64"
		if *quick {
			*callers = "1,64"
		}
	}
	if *slice > 0 {
		o.slice = *slice
	}
	for _, c := range strings.Split(*callers, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 || n > 1024 {
			_, _ = fmt.Fprintln(stderr, "bench: --callers takes numbers from 1 to 1024")
			return 2
		}
		o.callers = append(o.callers, n)
	}
	if *output != "table" && *output != "json" {
		_, _ = fmt.Fprintln(stderr, "bench: --output takes table or json")
		return 2
	}
	found, err := measure(ctx, o)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	if *output == "json" {
		err = json.NewEncoder(stdout).Encode(found)
	} else {
		err = found.print(stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// row is one line of the result.
type row struct {
	Case        string  `json:"case"`
	AOF         string  `json:"aof"`
	Callers     int     `json:"callers"`
	PerSecond   float64 `json:"per_s"`
	FloorPerSec float64 `json:"floor_per_s"`
	Ratio       float64 `json:"ratio"`
	P50         float64 `json:"p50_us"`
	FloorP50    float64 `json:"floor_p50_us"`
	P50Ratio    float64 `json:"p50_ratio"`
	P99         float64 `json:"p99_us"`
	FloorP99    float64 `json:"floor_p99_us"`
	RoundTrips  float64 `json:"round_trips"`
	Allocs      float64 `json:"allocs"`
	FloorAllocs float64 `json:"floor_allocs"`

	// Processor time for each call, of the server and of Redis: what a busy neighbour disturbs least.
	CPU           float64 `json:"cpu_us"`
	FloorCPU      float64 `json:"floor_cpu_us"`
	RedisCPU      float64 `json:"redis_cpu_us"`
	FloorRedisCPU float64 `json:"floor_redis_cpu_us"`

	// Of cases with evidence: processor time of checking it alone, and of the bare library's call on the same evidence.
	VerifyCPU   float64 `json:"verify_cpu_us,omitempty"`
	LibraryCPU  float64 `json:"library_cpu_us,omitempty"`
	VerifyRatio float64 `json:"verify_ratio,omitempty"`
}

// results are everything that was measured.
type results struct {
	Rows []row `json:"rows"`
	Scan *scan `json:"scan,omitempty"`
}

func (r *results) print(w io.Writer) error {
	if len(r.Rows) > 0 {
		if err := printTable(w, r.Rows); err != nil {
			return err
		}
	}
	if r.Scan == nil {
		return nil
	}
	return printScan(w, r.Scan)
}

func printTable(w io.Writer, rows []row) error {
	if _, err := fmt.Fprintf(w, "%-24s %-8s %7s %9s %9s %6s %8s %8s %6s %8s %8s %6s %7s %7s %7s %6s %8s %6s %9s %8s %6s\n", "case", "aof", "callers", "per s", "floor/s", "ratio",
		"p50 µs", "floor", "ratio", "p99 µs", "floor", "trips", "allocs", "floor", "cpu µs", "floor",
		"redis µs", "floor", "verify µs", "library", "ratio"); err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%-24s %-8s %7d %9.0f %9.0f %6.2f %8.0f %8.0f %6.2f %8.0f %8.0f %6.2f %7.0f %7.0f %7.0f %6.0f %8.0f %6.0f %s\n", r.Case, r.AOF, r.Callers,
			r.PerSecond, r.FloorPerSec, r.Ratio, r.P50, r.FloorP50, r.P50Ratio, r.P99, r.FloorP99, r.RoundTrips, r.Allocs, r.FloorAllocs,
			r.CPU, r.FloorCPU, r.RedisCPU, r.FloorRedisCPU, r.verified()); err != nil {
			return err
		}
	}
	return nil
}

// verified is the last columns; cases without evidence have none.
func (r row) verified() string {
	if r.VerifyRatio == 0 {
		return fmt.Sprintf("%9s %8s %6s", "-", "-", "-")
	}
	return fmt.Sprintf("%9.0f %8.0f %6.2f", r.VerifyCPU, r.LibraryCPU, r.VerifyRatio)
}
