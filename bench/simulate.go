package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/naming"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/seal"
	"github.com/postern-audit/postern/internal/testkit/redisproc"
	"github.com/postern-audit/postern/policy/redisdirectory"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// simulateCase is the name of the case that tries a draft on an archive of many flows. It has no floor: it is told in flows a second
// and in memory.
const simulateCase = "Simulate"

// partitions is how many a new installation has.
const partitions = 64

// scan is what going through an archive came to.
type scan struct {
	Case     string  `json:"case"`
	Flows    int64   `json:"flows"`
	Changed  int64   `json:"changed"`
	People   int64   `json:"people"`
	Seconds  float64 `json:"seconds"`
	PerSec   float64 `json:"flows_per_s"`
	IdleMB   float64 `json:"idle_mb"`       // resident memory of the server before
	PeakMB   float64 `json:"peak_above_mb"` // and at most above that
	CPU      float64 `json:"cpu_us"`        // processor time of the server for each flow
	RedisCPU float64 `json:"redis_cpu_us"`
	Messages int     `json:"messages"` // of progress
}

func printScan(w io.Writer, s *scan) error {
	_, err := fmt.Fprintf(w, "\n%-10s %10s %10s %10s %8s %9s %8s %11s %7s %9s %9s\n%-10s %10d %10d %10d %8.1f %9.0f %8.0f %11.0f %7.1f %9.2f %9d\n",
		"case", "flows", "changed", "people", "seconds", "flows/s", "idle MB", "peak above", "cpu µs", "redis µs", "progress",
		s.Case, s.Flows, s.Changed, s.People, s.Seconds, s.PerSec, s.IdleMB, s.PeakMB, s.CPU, s.RedisCPU, s.Messages)
	return err
}

// measureScan fills an archive with flows and tries a draft on all of them, through a server of its own.
func measureScan(ctx context.Context, o options, binary, dir string) (_ *scan, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "redis"), 0o700); err != nil {
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
	defer func() {
		if ours != nil {
			ours.stop()
		}
	}()
	if err := prepareOrganization(ctx, ours.target); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := fillArchive(ctx, ours.target, filepath.Join(dir, "data"), o.flows); err != nil {
		return nil, fmt.Errorf("fill the archive: %w", err)
	}
	_, _ = fmt.Fprintf(o.progress, "%s: %d flows archived in %s\n", simulateCase, o.flows, time.Since(began).Round(time.Second))
	ours.stop() // what filling left in its caches is not the scan's
	if ours, err = startOurs(ctx, binary, dir, server.Addr(), "signin,api", false); err != nil {
		return nil, err
	}
	return tryDraft(ctx, o, ours)
}

// fillArchive writes flows of an organization into the archive that a server reads, as its archiver would.
func fillArchive(ctx context.Context, t *target, data string, flows int) error {
	sets, err := seal.LoadOrCreate(data)
	if err != nil {
		return err
	}
	keyring := sets.Keyring(0)
	c := codec.New(keyring)
	d, err := redisdirectory.New(redisdirectory.Config{Client: t.redis, Reader: t.redis, Partitions: partitions, Codec: c, Keys: keyring,
		Cache: redisdirectory.NewCache(keyring), Now: time.Now})
	if err != nil {
		return err
	}
	uid, err := d.Resolve(ctx, strings.TrimPrefix(organization, "organizations/"))
	if err != nil {
		return err
	}
	o, err := d.Organization(ctx, uid)
	if err != nil {
		return err
	}
	keys, err := redisx.NewKeys(partitions)
	if err != nil {
		return err
	}
	w := &filler{org: o, namer: naming.New(sets.Namer()), codec: c, partition: keys.Partition(uid), flows: flows}
	return w.run(ctx, filepath.Join(data, "archive.db"), audit.OrganizationKey{OrganizationUID: uid, Wrapped: o.Key.Wrapped})
}

// tryDraft is the measured call: everybody is asked for a second factor.
func tryDraft(ctx context.Context, o options, ours *process) (*scan, error) {
	const draft = "default: {mfa: {factors: [TOTP, SMS], evidence: ASSERTED}}"
	idle := resident(ours.cmd.Process.Pid)
	peak := watchMemory(ours.cmd.Process.Pid)
	before, err := scrape(ctx, ours.target)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	stream, err := posternv1.NewPolicyServiceClient(ours.target.conns[0]).Simulate(ctx,
		&posternv1.SimulateRequest{Name: organization + "/policy", Draft: &posternv1.SimulateRequest_Policy{Policy: draft}})
	if err != nil {
		return nil, err
	}
	s := &scan{Case: simulateCase, IdleMB: idle}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if p := m.GetProgress(); p != nil {
			s.Messages++
			_, _ = fmt.Fprintf(o.progress, "\r%s: %d of %d flows", simulateCase, p.GetDone(), p.GetTotal())
			continue
		}
		r := m.GetResult()
		s.Flows, s.Changed, s.People = r.GetFlows(), r.GetFlows()-r.GetUnchanged()-r.GetUndecided()-r.GetUnreadable(), r.GetPeople().GetCount()
	}
	s.Seconds = time.Since(began).Seconds()
	_, _ = fmt.Fprintln(o.progress)
	s.PeakMB = max(peak()-idle, 0)
	after, err := scrape(ctx, ours.target)
	if err != nil {
		return nil, err
	}
	n := float64(max(s.Flows, 1))
	s.PerSec, s.CPU, s.RedisCPU = n/s.Seconds, 1e6*(after.cpu-before.cpu)/n, 1e6*(after.redisCPU-before.redisCPU)/n
	return s, nil
}

// watchMemory looks at a process's resident memory until its answer, the most that was seen in MB, is asked for.
func watchMemory(pid int) func() float64 {
	stop, most := make(chan struct{}), make(chan float64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		seen := 0.0
		for {
			seen = max(seen, resident(pid))
			select {
			case <-tick.C:
			case <-stop:
				most <- seen
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-most
	}
}

// resident is a process's resident memory in MB, 0 where the system does not tell.
func resident(pid int) float64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return number(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB"))) / 1024
		}
	}
	return 0
}
