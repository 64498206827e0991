package redisx_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/faultproxy"
	"github.com/postern-audit/postern/internal/testkit/redistest"
)

// node is a server for a cluster. Its bus has a port of its own: the usual one, 10,000 above, may not exist.
func node(t *testing.T, more ...redistest.Option) *redistest.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, bus, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return redistest.Start(t, append(more, redistest.Set("cluster-enabled", "yes"), redistest.Set("cluster-port", bus),
		redistest.Set("cluster-node-timeout", "60000"))...)
}

// cluster is two nodes with half of the slots each, and a client that knows them.
func cluster(t *testing.T) (nodes [2]*redistest.Server, c redis.UniversalClient) {
	t.Helper()
	const slots = 16384
	ctx := t.Context()
	for i := range nodes {
		nodes[i] = node(t)
		if err := nodes[i].Client().ClusterAddSlotsRange(ctx, i*slots/2, (i+1)*slots/2-1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	config, err := nodes[1].Client().ConfigGet(ctx, "cluster-port").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(nodes[1].Addr())
	if err := nodes[0].Client().Do(ctx, "cluster", "meet", "127.0.0.1", port, config["cluster-port"]).Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		admin := n.Client()
		until(t, "a cluster of two", func() bool {
			info := admin.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_size:2") && strings.Contains(info, "cluster_state:ok")
		})
	}
	c, err = redisx.NewScripts(redisx.Options{Mode: redisx.Cluster, Addresses: []string{nodes[0].Addr(), nodes[1].Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return nodes, c
}

// of returns a key of a partition, its slot and the node that has it.
func of(t *testing.T, nodes [2]*redistest.Server, partition int) (key string, slot int64, at int) {
	t.Helper()
	key = fmt.Sprintf("{%02d}:k", partition)
	slot, err := nodes[0].Client().ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return key, slot, int(slot / 8192)
}

func TestRidersFollowAPartitionThatMoves(t *testing.T) {
	for name, move := range map[string]func(ctx context.Context, slot int64, ids [2]string, from, to *redis.Client) error{
		"moved": func(ctx context.Context, slot int64, ids [2]string, from, to *redis.Client) error {
			if err := to.Do(ctx, "cluster", "setslot", slot, "node", ids[1]).Err(); err != nil {
				return err
			}
			return from.Do(ctx, "cluster", "setslot", slot, "node", ids[1]).Err()
		},
		"moving": func(ctx context.Context, slot int64, ids [2]string, from, to *redis.Client) error {
			if err := to.Do(ctx, "cluster", "setslot", slot, "importing", ids[0]).Err(); err != nil {
				return err
			}
			return from.Do(ctx, "cluster", "setslot", slot, "migrating", ids[1]).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, c := cluster(t)
			key, slot, at := of(t, nodes, 0)
			from, to := nodes[at].Client(), nodes[1-at].Client()
			shared, g := redisx.NewShared(c, 64), gated(c)
			var n notes
			var wait sync.WaitGroup
			send := func(i int) { n.add(t, strconv.Itoa(i), note(t.Context(), shared.For(0), key, strconv.Itoa(i))) }
			busy(t, g, &wait, send)
			for i := range 30 {
				wait.Go(func() { send(redisx.MaxTrips + i) })
			}
			until(t, "a full queue", func() bool { return shared.Waiting(0) == 30 })
			ids := [2]string{from.ClusterMyID(t.Context()).Val(), to.ClusterMyID(t.Context()).Val()}
			if err := move(t.Context(), slot, ids, from, to); err != nil {
				t.Fatal(err)
			}
			close(g.first)
			close(g.then)
			wait.Wait()
			if said := n.hold(t, c, key); said[""] != redisx.MaxTrips+30 {
				t.Errorf("%v", said)
			}
		})
	}
}

func TestANodeThatIsAwayHoldsUpNoOthers(t *testing.T) {
	const waiting = 20
	nodes, c := cluster(t)
	shared := redisx.NewShared(c, 64)
	var keys [2]string
	var partitions [2]int
	for p := range 64 {
		key, _, at := of(t, nodes, p)
		keys[at], partitions[at] = key, p
	}
	for at, key := range keys {
		if err := note(t.Context(), shared.For(partitions[at]), "before"+key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	nodes[1].Pause()
	var stuck, served notes
	var away, wait sync.WaitGroup
	send := func(i int) {
		away.Go(func() {
			stuck.add(t, strconv.Itoa(i), note(t.Context(), shared.For(partitions[1]), keys[1], strconv.Itoa(i)))
		})
	}
	for i := range redisx.MaxTrips {
		send(i)
		until(t, "one more trip", func() bool { return shared.Trips(partitions[1]) == i+1 && shared.Waiting(partitions[1]) == 0 })
	}
	for i := range waiting {
		send(redisx.MaxTrips + i)
	}
	until(t, "a full queue", func() bool { return shared.Waiting(partitions[1]) == waiting })
	for i := range 60 {
		name := strconv.Itoa(i)
		wait.Go(func() { served.add(t, name, note(t.Context(), shared.For(partitions[0]), keys[0], name)) })
	}
	wait.Wait()
	if shared.Waiting(partitions[1]) != waiting {
		t.Error("others waited for the node that is away")
	}
	nodes[1].Resume()
	away.Wait()
	if said := served.hold(t, c, keys[0]); said[""] != 60 {
		t.Errorf("%v", said)
	}
	stuck.hold(t, c, keys[1])
}

// A cluster client sends again what it has no answer to. Those that were answered on the same trip would run twice with it.
func TestWhatRodeTogetherIsNotSentTwice(t *testing.T) {
	var s *redistest.Server
	p := faultproxy.New(t, func() (net.Conn, error) { return net.Dial("tcp", s.Addr()) })
	_, port, _ := net.SplitHostPort(p.Addr())
	s = node(t, redistest.Set("cluster-announce-ip", "127.0.0.1"), redistest.Set("cluster-announce-port", port))
	admin := s.Client()
	if err := admin.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "a cluster of one", func() bool { return strings.Contains(admin.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	ready(t, s)
	c, err := redisx.NewScripts(redisx.Options{Mode: redisx.Cluster, Addresses: []string{p.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	shared, g := redisx.NewShared(c, 1), gated(c)
	var n notes
	wait := queued(t, shared, g, &n, 30, func(i int, err error) {
		if !errs.Is(err, redisx.OutcomeUnknown) {
			t.Errorf("%d: %v", i, err)
		}
	})
	close(g.first)
	until(t, "their trips", func() bool { return shared.Waiting(0) == 0 && n.len() == redisx.MaxTrips })
	p.LoseReplies(true)
	close(g.then)
	wait.Wait()
	n.hold(t, admin, "k")
	if ran := admin.HLen(t.Context(), "k").Val(); ran != redisx.MaxTrips+30 {
		t.Errorf("%d ran", ran)
	}
}
