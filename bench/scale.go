package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postern-audit/postern/internal/testkit/redisproc"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// size is how much there is in an installation.
type size struct {
	Organizations int `json:"organizations"`
	Domains       int `json:"domains"`  // in all
	Accounts      int `json:"accounts"` // claimed by the first organization
}

// world is an installation of some size: a redis-server and a sidecar of its own.
type world struct {
	size
	redis *redisproc.Process
	ours  *process

	Filled  float64 `json:"organizations_per_s"`
	Import  float64 `json:"import_per_s"`
	Idle    float64 `json:"idle_mb"`     // resident memory of the sidecar before anything was in it
	Peak    float64 `json:"imported_mb"` // after the import
	Settled float64 `json:"measured_mb"` // after sign-ins at every organization
}

// scaleRow compares one case in a large installation with the same in a small one.
type scaleRow struct {
	Case        string  `json:"case"`
	Callers     int     `json:"callers"`
	PerSecond   float64 `json:"per_s"`
	SmallPerSec float64 `json:"small_per_s"`
	P50         float64 `json:"p50_us"`
	SmallP50    float64 `json:"small_p50_us"`
	P50Ratio    float64 `json:"p50_ratio"`
	P99         float64 `json:"p99_us"`
	SmallP99    float64 `json:"small_p99_us"`
	RoundTrips  float64 `json:"round_trips"`
	CPU         float64 `json:"cpu_us"`
	SmallCPU    float64 `json:"small_cpu_us"`
	RedisCPU    float64 `json:"redis_cpu_us"`
	SmallRedis  float64 `json:"small_redis_cpu_us"`
}

// scaleMain is `bench directory`: what a sign-in costs in an installation with many organizations, domains and claimed accounts,
// beside what it costs in a small one, in slices that take turns.
func scaleMain(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("bench directory", flag.ContinueOnError)
	fs.SetOutput(stderr)
	large := size{}
	fs.IntVar(&large.Organizations, "organizations", 10_000, "organizations of the large installation")
	fs.IntVar(&large.Domains, "domains", 1_000_000, "its domains, spread over the organizations")
	fs.IntVar(&large.Accounts, "accounts", 1_000_000, "accounts that its first organization claims")
	turn := fs.Duration("slice", time.Second, "how long one side runs before it is the other's turn")
	output := fs.String("output", "table", "table or json")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if large.Organizations < 10 || large.Domains < large.Organizations || large.Accounts < 1 || *output != "table" && *output != "json" {
		return errors.New("at least 10 organizations with a domain each and an account; --output takes table or json")
	}
	dir, err := os.MkdirTemp("", "postern-scale")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "postern")
	if err := build(ctx, binary); err != nil {
		return err
	}
	small, err := newWorld(ctx, binary, filepath.Join(dir, "small"), size{Organizations: 10, Domains: 1000, Accounts: 1000}, stderr)
	if err != nil {
		return err
	}
	defer small.close()
	big, err := newWorld(ctx, binary, filepath.Join(dir, "large"), large, stderr)
	if err != nil {
		return err
	}
	defer big.close()
	var rows []scaleRow
	for _, callers := range []int{1, 16} {
		for _, everywhere := range []bool{false, true} {
			r, err := scaleCompare(ctx, small, big, everywhere, callers, *turn)
			if err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	for _, w := range []*world{small, big} {
		if w.Settled, err = w.resident(); err != nil {
			return err
		}
	}
	if *output == "json" {
		return json.NewEncoder(stdout).Encode(map[string]any{"small": small, "large": big, "rows": rows})
	}
	return printScale(stdout, small, big, rows)
}

// newWorld starts an installation and fills it through its own API.
func newWorld(ctx context.Context, binary, dir string, s size, progress io.Writer) (_ *world, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "redis"), 0o700); err != nil {
		return nil, err
	}
	w := &world{size: s}
	if w.redis, err = redisproc.Start(filepath.Join(dir, "redis"), redisproc.FsyncEverySecond()); err != nil { //nolint:contextcheck // it outlives every call
		return nil, err
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.ours, err = startOurs(ctx, binary, dir, w.redis.Addr(), "signin,api", true); err != nil {
		return nil, err
	}
	if w.Idle, err = w.resident(); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(progress, "%d organizations with %d domains …\n", s.Organizations, s.Domains)
	began := time.Now()
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	w.Filled = float64(s.Organizations) / time.Since(began).Seconds()
	_, _ = fmt.Fprintf(progress, "%d claimed accounts …\n", s.Accounts)
	began = time.Now()
	if err := w.claim(ctx); err != nil {
		return nil, err
	}
	w.Import = float64(s.Accounts) / time.Since(began).Seconds()
	w.Peak, err = w.resident()
	return w, err
}

func (w *world) close() {
	if w.ours != nil {
		w.ours.stop()
	}
	if w.redis != nil {
		_ = w.redis.Stop()
	}
}

// resident is how much memory the sidecar has, in MB.
func (w *world) resident() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.ours.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return number(strings.TrimSuffix(strings.TrimSpace(rest), " kB")) / 1024, nil
		}
	}
	return 0, errors.New("the system does not say how much memory a process has")
}

func scaleOrganization(i int) string { return fmt.Sprintf("organizations/o%06d", i) }

// fill makes the organizations, each with a site and its share of the domains.
func (w *world) fill(ctx context.Context) error {
	var next atomic.Int64
	_, err := concurrently(8, func(c int) ([]string, error) {
		directory := posternv1.NewDirectoryServiceClient(w.ours.target.conns[c%len(w.ours.target.conns)])
		for {
			i := int(next.Add(1)) - 1
			if i >= w.Organizations {
				return nil, nil
			}
			name := scaleOrganization(i)
			if _, err := directory.ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{Name: name, RequestId: "fill", Document: w.document(i)}); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	})
	return err
}

func (w *world) document(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "organization: o%06d\nsites: [{id: door}]\npolicy:\n  rules:\n    - {id: guests, demands: {methods: [password]}}\ndomains:\n", i)
	for d := i; d < w.Domains; d += w.Organizations {
		fmt.Fprintf(&b, "  - scale-%d-postern.com\n", d)
	}
	return b.String()
}

// claim imports the accounts of the first organization.
func (w *world) claim(ctx context.Context) error {
	stream, err := posternv1.NewDirectoryServiceClient(w.ours.target.conns[0]).ImportAccounts(ctx)
	if err != nil {
		return err
	}
	r := &posternv1.ImportAccountsRequest{Begin: &posternv1.ImportAccountsRequest_Begin{Parent: scaleOrganization(0), RequestId: "claim"}}
	for row := 0; ; {
		if err := stream.Send(r); err != nil {
			return err
		}
		a, err := stream.Recv()
		if err != nil {
			return err
		}
		if row = int(a.GetNextRow()); row >= w.Accounts {
			return stream.CloseSend()
		}
		r = &posternv1.ImportAccountsRequest{FirstRow: int64(row)}
		for n := row; n < min(row+500, w.Accounts); n++ {
			r.Accounts = append(r.Accounts, &posternv1.Account{AccountId: fmt.Sprintf("staff-%d", n)})
		}
	}
}

// opening is StartFlow with the step that binds a guest, at the first organization or at any.
func (w *world) opening(everywhere bool) operation {
	return operation{name: "StartFlow", calls: 1, do: func(ctx context.Context, t *target, caller int, _ string) error {
		n, at := t.ids.Add(1), 0
		if everywhere {
			at = rand.IntN(w.Organizations) //nolint:gosec // which organization is no secret
		}
		r := startRequest(t, n)
		r.Parent = scaleOrganization(at) + "/sites/door"
		r.Steps = []*posternv1.StepReport{passwordVerified(fmt.Sprintf("account-%d", n%50000))}
		_, err := t.signIn(caller).StartFlow(ctx, r)
		return err
	}}
}

const scaleRounds = 8

func scaleCompare(ctx context.Context, small, large *world, everywhere bool, callers int, turn time.Duration) (scaleRow, error) {
	var s, l sample
	for round := range scaleRounds + 1 {
		for _, side := range []struct {
			w   *world
			sum *sample
		}{{small, &s}, {large, &l}} {
			got, err := slice(ctx, side.w.ours.target, side.w.opening(everywhere), callers, 0, turn)
			if err != nil {
				return scaleRow{}, err
			}
			if round > 0 { // the first warms up
				side.sum.add(got)
			}
		}
	}
	r := scaleRow{Case: "StartFlow at one organization", Callers: callers,
		PerSecond: float64(l.count) / l.took.Seconds(), SmallPerSec: float64(s.count) / s.took.Seconds(),
		P50: l.percentile(0.5), SmallP50: s.percentile(0.5), P99: l.percentile(0.99), SmallP99: s.percentile(0.99),
		RoundTrips: l.trips / float64(l.count), CPU: 1e6 * l.cpu / float64(l.count), SmallCPU: 1e6 * s.cpu / float64(s.count),
		RedisCPU: 1e6 * l.redisCPU / float64(l.count), SmallRedis: 1e6 * s.redisCPU / float64(s.count)}
	if everywhere {
		r.Case = "StartFlow at any organization"
	}
	r.P50Ratio = r.P50 / r.SmallP50
	return r, nil
}

func printScale(out io.Writer, small, large *world, rows []scaleRow) error {
	var b strings.Builder
	for _, w := range []*world{small, large} {
		fmt.Fprintf(&b, "%d organizations, %d domains, %d claimed accounts: %.0f organizations/s, %.0f accounts/s; memory %.0f MB idle, %.0f MB filled, %.0f MB after sign-ins\n",
			w.Organizations, w.Domains, w.Accounts, w.Filled, w.Import, w.Idle, w.Peak, w.Settled)
	}
	fmt.Fprintf(&b, "\n%-30s %7s %8s %8s %8s %8s %6s %8s %8s %6s %7s %7s %8s %8s\n", "case", "callers", "per s", "small", "p50 µs", "small", "ratio", "p99 µs", "small",
		"trips", "cpu µs", "small", "redis µs", "small")
	for _, r := range rows {
		fmt.Fprintf(&b, "%-30s %7d %8.0f %8.0f %8.0f %8.0f %6.2f %8.0f %8.0f %6.2f %7.0f %7.0f %8.0f %8.0f\n", r.Case, r.Callers, r.PerSecond, r.SmallPerSec, r.P50, r.SmallP50,
			r.P50Ratio, r.P99, r.SmallP99, r.RoundTrips, r.CPU, r.SmallCPU, r.RedisCPU, r.SmallRedis)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
