package redisx

// Lanes is how many calls go by themselves.
const Lanes = lanes

// Waiting is how many calls wait for a trip.
func (s *Shared) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// Taken is how many lanes are.
func (s *Shared) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under
}
