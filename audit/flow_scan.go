package audit

import (
	"context"
	"time"
)

// FlowScan chooses ended flows to go through, in the order of their starts.
type FlowScan struct {
	OrganizationUID string
	// Keyset position: flows that started after AfterTime, or at it with a greater id. Zero starts at the oldest.
	AfterTime  time.Time
	AfterID    string
	Limit      int
	Start, End time.Time // on FlowRow.Started; zero is open; End is exclusive
	Sites      []string  // site ids; none: all
}

// FlowRecord is an ended flow and what happened in it.
type FlowRecord struct {
	FlowRow
	Events []Event // all that name the flow, in sequence order, as stored: Personal sealed
}

// StepRef names a step of a flow.
type StepRef struct {
	Flow string
	Step int
}

// FlowScanner is what archives offer to whoever goes through many flows with their events. Each call is one short look at the
// record; what is archived between two calls with a start before the place that was reached is not seen.
type FlowScanner interface {
	// ScanFlows returns up to s.Limit flows with an ending, oldest start first, each with its events.
	ScanFlows(ctx context.Context, s FlowScan) ([]FlowRecord, error)
	// CountFlows returns how many flows with an ending ScanFlows would return from s's place on, 0 when that would take long to
	// say. It is good for showing progress.
	CountFlows(ctx context.Context, s FlowScan) (int64, error)
	// Steps returns the events of an organization at these steps, in no order. What is not there is left out, forked events too.
	Steps(ctx context.Context, organizationUID string, steps []StepRef) ([]Event, error)
}
