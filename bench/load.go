package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// target is one side: ours or the floor.
type target struct {
	name    string
	conns   []*grpc.ClientConn
	metrics string // URL of /metrics
	redis   redis.UniversalClient
	ids     atomic.Uint64
}

func dial(name, socket, metrics, redisAddr string) (*target, error) {
	client, err := redisClient(redisAddr)
	if err != nil {
		return nil, err
	}
	t := &target{name: name, metrics: metrics, redis: client}
	for range 4 {
		c, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		t.conns = append(t.conns, c)
	}
	return t, nil
}

func (t *target) close() {
	for _, c := range t.conns {
		_ = c.Close()
	}
	_ = t.redis.Close()
}

func (t *target) requestID(prefix string) string { return fmt.Sprintf("%s-%d", prefix, t.ids.Add(1)) }

func (t *target) signIn(caller int) posternv1.SignInServiceClient {
	return posternv1.NewSignInServiceClient(t.conns[caller%len(t.conns)])
}

// operation is one timed call (or, for whole flows, one timed sign-in). prepare makes what it needs, untimed.
type operation struct {
	name    string
	calls   float64 // gRPC calls per operation, to give round trips and allocations per call
	prepare func(ctx context.Context, t *target, callers, perCaller int) ([][]string, error)
	each    int // operations one prepared item is good for
	// archiver says that a second process archives what is committed, on the same processors, while this is measured.
	archiver bool
	evidence string // kind of evidence that is checked
	do       func(ctx context.Context, t *target, caller int, item string) error
}

// sample is what one slice measured.
type sample struct {
	count int
	took  time.Duration
	lat   []time.Duration
	counters
}

func (s *sample) add(o sample) {
	s.count += o.count
	s.took += o.took
	s.lat = append(s.lat, o.lat...)
	s.trips += o.trips
	s.mallocs += o.mallocs
	s.cpu += o.cpu
	s.redisCPU += o.redisCPU
}

func (s *sample) percentile(p float64) float64 {
	if len(s.lat) == 0 {
		return 0
	}
	slices.Sort(s.lat)
	return float64(s.lat[min(len(s.lat)-1, int(p*float64(len(s.lat))))].Nanoseconds()) / 1000
}

// slice runs op for about d with so many callers in a closed loop.
func slice(ctx context.Context, t *target, op operation, callers, expect int, d time.Duration) (sample, error) {
	var items [][]string
	if op.prepare != nil {
		var err error
		if items, err = op.prepare(ctx, t, callers, expect/callers/op.each+2); err != nil {
			return sample{}, fmt.Errorf("%s: prepare %s: %w", t.name, op.name, err)
		}
	}
	before, err := scrape(ctx, t)
	if err != nil {
		return sample{}, err
	}
	var (
		wg    sync.WaitGroup
		lats  = make([][]time.Duration, callers)
		errs  = make([]error, callers)
		start = time.Now()
		end   = start.Add(d)
	)
	for c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			lat := make([]time.Duration, 0, 1024)
			for i := 0; time.Now().Before(end); i++ {
				item := ""
				if op.prepare != nil {
					if i/op.each >= len(items[c]) {
						break // ran out of prepared flows: the slice is shorter, not wrong
					}
					item = items[c][i/op.each]
				}
				began := time.Now()
				if errs[c] = op.do(ctx, t, c, item); errs[c] != nil {
					return
				}
				lat = append(lat, time.Since(began))
			}
			lats[c] = lat
		}()
	}
	wg.Wait()
	s := sample{took: time.Since(start)}
	for c := range callers {
		if errs[c] != nil {
			return s, fmt.Errorf("%s: %s: %w", t.name, op.name, errs[c])
		}
		s.count += len(lats[c])
		s.lat = append(s.lat, lats[c]...)
	}
	after, err := scrape(ctx, t)
	if err != nil {
		return s, err
	}
	s.counters = counters{trips: after.trips - before.trips, mallocs: after.mallocs - before.mallocs,
		cpu: after.cpu - before.cpu, redisCPU: after.redisCPU - before.redisCPU}
	return s, nil
}
