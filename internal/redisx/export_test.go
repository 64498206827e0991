package redisx

// Bounds that tests fill up.
const (
	MaxTrips   = maxTrips
	MaxWaiting = maxWaiting
)

// Waiting is how many commands of a partition wait for a trip.
func (s *Shared) Waiting(partition int) int {
	g := s.groups[partition%len(s.groups)]
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// Trips is how many trips of a partition are under way.
func (s *Shared) Trips(partition int) int {
	g := s.groups[partition%len(s.groups)]
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trips
}
