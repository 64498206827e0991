package archiver

import "sync"

// subscribers are the channels to signal, by organization.
type subscribers struct {
	mu sync.Mutex
	by map[string]map[chan struct{}]struct{}
}

func (s *subscribers) add(organizationUID string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]map[chan struct{}]struct{}{}
	}
	if s.by[organizationUID] == nil {
		s.by[organizationUID] = map[chan struct{}]struct{}{}
	}
	s.by[organizationUID][ch] = struct{}{}
	return ch, func() { s.remove(organizationUID, ch) }
}

func (s *subscribers) remove(organizationUID string, ch chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.by[organizationUID], ch)
	if len(s.by[organizationUID]) == 0 {
		delete(s.by, organizationUID)
	}
}

// signal makes every channel of the organization readable. A signal that waits already is enough.
func (s *subscribers) signal(organizationUID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.by[organizationUID] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
