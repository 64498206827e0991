package orgevents

import (
	"strings"

	"github.com/postern-audit/postern/server/names"
)

// kind is what a path leads to.
type kind uint8

const (
	nothing kind = iota
	events
	stream
	event
	actions
	document
)

// way is a path taken apart.
type way struct {
	kind         kind
	organization string // id
	event        string
}

// wayOf reads a path as it was sent. Whatever is written in another way than the API's own (escapes, empty or dotted segments, a
// slash too many) leads nowhere.
func wayOf(path, prefix string) way {
	rest, ok := strings.CutPrefix(path, prefix+"/")
	if !ok {
		return way{}
	}
	if rest == "openapi.json" {
		return way{kind: document}
	}
	organization, tail, _ := strings.Cut(rest, "/")
	if !names.IsID(organization) {
		return way{}
	}
	w := way{organization: organization}
	switch id, ok := strings.CutPrefix(tail, "events/"); {
	case tail == "events":
		w.kind = events
	case tail == "events-stream":
		w.kind = stream
	case tail == "event-actions":
		w.kind = actions
	case ok && isUUID(id):
		w.kind, w.event = event, id
	}
	return w
}

// method names a way on the record and in metrics: a closed set.
func (w way) method() string {
	switch w.kind {
	case events:
		return "orgevents/events"
	case stream:
		return "orgevents/events-stream"
	case event:
		return "orgevents/event"
	case actions:
		return "orgevents/event-actions"
	case document:
		return "orgevents/openapi"
	case nothing:
	}
	return "orgevents/unknown"
}

// isUUID reports whether s is a UUID in its 36 characters, lower case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
