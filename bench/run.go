package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/testkit/redisproc"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

type options struct {
	quick    bool
	slice    time.Duration
	rounds   int
	only     string
	callers  []int
	aof      []string
	flows    int // on record, for Simulate
	progress io.Writer
}

// measure measures what was chosen, the calls first.
func measure(ctx context.Context, o options) (*results, error) {
	dir, err := os.MkdirTemp("", "postern-bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "postern")
	if err := build(ctx, binary); err != nil {
		return nil, err
	}
	found := &results{Rows: []row{}}
	if o.only != simulateCase {
		if found.Rows, err = measureCalls(ctx, o, binary, dir); err != nil {
			return nil, err
		}
	}
	if strings.Contains(simulateCase, o.only) {
		if found.Scan, err = measureScan(ctx, o, binary, filepath.Join(dir, "scan")); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// measureCalls measures every case beside its floor.
func measureCalls(ctx context.Context, o options, binary, dir string) ([]row, error) {
	idps, err := startProviders()
	if err != nil {
		return nil, err
	}
	defer idps.close()
	checks, err := idps.verifyAll(ctx, o)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, aof := range o.aof {
		r, err := measureMode(ctx, o, aof, binary, filepath.Join(dir, aof), idps)
		if err != nil {
			return nil, fmt.Errorf("aof %s: %w", aof, err)
		}
		rows = append(rows, r...)
	}
	for i := range rows {
		if v, ok := checks[rows[i].Case]; ok {
			rows[i].VerifyCPU, rows[i].LibraryCPU, rows[i].VerifyRatio = v.ours, v.library, v.ours/v.library
		}
	}
	return rows, nil
}

// chosen are the cases to measure. A quick run has those with evidence, which is slow to make, in the mode that Postern demands alone.
func (o options) chosen(idps *providers, aof string) []operation {
	var ops []operation
	for _, op := range append(operations(), idps.operations()...) {
		second := op.evidence != "" && o.quick && aof != "always" && slices.Contains(o.aof, "always")
		if strings.Contains(op.name, o.only) && !second {
			ops = append(ops, op)
		}
	}
	return ops
}

// measureMode starts a redis-server, this sidecar and the floor, and measures every case in turns.
func measureMode(ctx context.Context, o options, aof, binary, dir string, idps *providers) (_ []row, err error) {
	var opts []redisproc.Option
	switch aof {
	case "everysec":
		opts = append(opts, redisproc.FsyncEverySecond())
	case "always":
	default:
		return nil, errors.New("the mode is everysec or always")
	}
	if err := os.MkdirAll(filepath.Join(dir, "redis"), 0o700); err != nil {
		return nil, err
	}
	server, err := redisproc.Start(filepath.Join(dir, "redis"), opts...) //nolint:contextcheck // it outlives every call and is ended by Stop
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()

	ours, err := startOurs(ctx, binary, dir, server.Addr(), "signin,api", aof == "everysec")
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	if err := prepareOrganization(ctx, ours.target); err != nil {
		return nil, err
	}
	outbox, err := sampleBytes(ctx, ours.target, server.Addr(), dir)
	if err != nil {
		return nil, err
	}
	ops := o.chosen(idps, aof)
	outboxes := []string{outbox}
	if slices.ContainsFunc(ops, func(op operation) bool { return op.evidence != "" }) {
		if outbox, err = idps.settle(ctx, ours.target, server.Addr()); err != nil {
			return nil, err
		}
		outboxes = append(outboxes, outbox)
	}
	trimming, err := trim(ctx, server.Addr(), outboxes...)
	if err != nil {
		return nil, err
	}
	defer trimming.stop()
	floor, err := startFloor(ctx, dir, server.Addr())
	if err != nil {
		return nil, err
	}
	defer floor.stop()

	var rows []row
	for _, op := range ops {
		var archiver *process
		if op.archiver {
			trimming.pause(true)
			if archiver, err = startOurs(ctx, binary, dir, server.Addr(), "archiver", aof == "everysec"); err != nil {
				return nil, err
			}
		}
		for _, callers := range o.callers {
			if op.evidence != "" && callers > fewCallers {
				continue
			}
			_, _ = fmt.Fprintf(o.progress, "%s, aof %s, %d callers …\n", op.name, aof, callers)
			r, err := compare(ctx, o, op, ours.target, floor.target, callers)
			if err != nil {
				return nil, err
			}
			r.AOF = aof
			rows = append(rows, r)
		}
		if archiver != nil {
			archiver.stop()
			trimming.pause(false)
		}
	}
	return rows, nil
}

// compare measures both sides in slices that take turns.
func compare(ctx context.Context, o options, op operation, ours, floor *target, callers int) (row, error) {
	var mine, theirs sample
	expect := 2000
	if op.evidence != "" {
		expect = firstGuess
	}
	floorExpect := expect
	for round := range o.rounds + 1 {
		d := o.slice
		if round == 0 {
			d = o.slice / 5 // warm-up: not counted, but tells how many flows to prepare
		}
		for _, side := range []struct {
			t *target
			s *sample
			e *int
		}{{floor, &theirs, &floorExpect}, {ours, &mine, &expect}} {
			s, err := slice(ctx, side.t, op, callers, *side.e, d)
			if err != nil {
				return row{}, err
			}
			if round == 0 {
				*side.e = int(1.6 * float64(s.count) / s.took.Seconds() * o.slice.Seconds())
				continue
			}
			side.s.add(s)
		}
	}
	r := row{Case: op.name, Callers: callers,
		PerSecond: float64(mine.count) / mine.took.Seconds(), FloorPerSec: float64(theirs.count) / theirs.took.Seconds(),
		P50: mine.percentile(0.5), FloorP50: theirs.percentile(0.5), P99: mine.percentile(0.99), FloorP99: theirs.percentile(0.99),
		RoundTrips: mine.trips / float64(mine.count) / op.calls,
		Allocs:     mine.mallocs / float64(mine.count) / op.calls, FloorAllocs: theirs.mallocs / float64(theirs.count) / op.calls,
		CPU: 1e6 * mine.cpu / float64(mine.count) / op.calls, FloorCPU: 1e6 * theirs.cpu / float64(theirs.count) / op.calls,
		RedisCPU: 1e6 * mine.redisCPU / float64(mine.count) / op.calls, FloorRedisCPU: 1e6 * theirs.redisCPU / float64(theirs.count) / op.calls,
	}
	r.Ratio, r.P50Ratio = r.PerSecond/r.FloorPerSec, r.P50/r.FloorP50
	return r, nil
}

func prepareOrganization(ctx context.Context, t *target) error {
	_, err := posternv1.NewDirectoryServiceClient(t.conns[0]).ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{
		Name: "organizations/bench", Document: document, RequestId: "bench-1", Reason: "benchmark"})
	return err
}

// sampleBytes makes one bound flow with a typical number of steps and keeps its state, its last event and the last answer for the floor.
func sampleBytes(ctx context.Context, t *target, addr, dir string) (outbox string, err error) {
	flows, err := boundFlows(ctx, t, 1, 1)
	if err != nil {
		return "", err
	}
	flow := flows[0][0]
	client, err := redisClient(addr)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	var answer *posternv1.FlowAnswer
	for range 3 {
		if answer, err = challenge(ctx, t, 0, flow); err != nil {
			return "", err
		}
	}
	if err := keep(filepath.Join(dir, "answer"), answer); err != nil {
		return "", err
	}
	handles, err := sessions(ctx, t, 1, 1)
	if err != nil {
		return "", err
	}
	access, err := askAccess(ctx, t, 0, handles[0][0])
	if err != nil {
		return "", err
	}
	if err := keep(filepath.Join(dir, "access"), access); err != nil {
		return "", err
	}
	key, outbox, err := whereIs(ctx, client, flow)
	if err != nil {
		return "", err
	}
	state, err := client.HGet(ctx, key, "s").Result()
	if err != nil {
		return "", fmt.Errorf("read the sample state: %w", err)
	}
	entries, err := client.XRevRangeN(ctx, outbox, "+", "-", 1).Result()
	if err != nil || len(entries) != 1 {
		return "", fmt.Errorf("read the sample event: %w (%d entries)", err, len(entries))
	}
	event, _ := entries[0].Values["e"].(string)
	if err := os.WriteFile(filepath.Join(dir, "state"), []byte(state), 0o600); err != nil {
		return "", err
	}
	return outbox, os.WriteFile(filepath.Join(dir, "event"), []byte(event), 0o600)
}

// whereIs finds a flow's key and the outbox its events go to.
func whereIs(ctx context.Context, client redis.UniversalClient, flow string) (key, outbox string, err error) {
	keys, err := client.Keys(ctx, "postern:{*}:flow:"+flow[strings.LastIndexByte(flow, '/')+1:]).Result()
	if err != nil || len(keys) != 1 {
		return "", "", fmt.Errorf("find the sample flow: %w (%d keys)", err, len(keys))
	}
	space, _, _ := strings.Cut(keys[0], ":flow:")
	return keys[0], space + ":outbox", nil
}

// keep writes one of our answers down for the floor.
func keep(path string, answer proto.Message) error {
	b, err := proto.Marshal(answer)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

// kept reads an answer that keep wrote.
func kept(path string, answer proto.Message) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return proto.Unmarshal(b, answer)
}
