package orgevents

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// row is one event as pollers read it.
type row struct {
	Type       string     `json:"type"`
	ID         string     `json:"id"`
	Attributes attributes `json:"attributes"`
	Links      selfLink   `json:"links"`
	Message    message    `json:"message"`
}

type attributes struct {
	Time        string    `json:"time"`
	ProcessedAt string    `json:"processedAt,omitempty"`
	Action      string    `json:"action"`
	Actor       actor     `json:"actor"`
	Context     []item    `json:"context"`
	Container   []item    `json:"container"`
	Location    *location `json:"location,omitempty"`
}

type actor struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
	Auth  *auth  `json:"auth,omitempty"`
}

type auth struct {
	AuthType string `json:"authType"`
	TokenID  string `json:"tokenId,omitempty"`
}

type item struct {
	ID         string         `json:"id"`
	Type       string         `json:"type"`
	Attributes map[string]any `json:"attributes"`
}

type location struct {
	IP string `json:"ip"`
}

type selfLink struct {
	Self string `json:"self"`
}

type message struct {
	Content string `json:"content"`
	Format  string `json:"format"`
}

// timeForm is how every time is written: milliseconds, always, in UTC.
const timeForm = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(timeForm) }

// row writes one event. Only the stream says when it was processed.
func (h *Handler) row(q *request, e *audit.Event, streamed bool) (row, error) {
	if err := h.c.Opener.Open(e); err != nil {
		return row{}, err //nolint:wrapcheck // an errs.Error of the codec
	}
	n := namingOf(e.Type)
	out := row{
		Type: "events", ID: e.ID, Links: selfLink{h.base(q) + "/events/" + e.ID}, Message: message{sentence(n, e), "simple"},
		Attributes: attributes{
			Time: stamp(e.Time), Action: n.action, Actor: actorOf(e), Context: contextOf(e), Container: containerOf(e), Location: locationOf(e),
		},
	}
	if streamed {
		out.Attributes.ProcessedAt = stamp(e.RecordedTime)
	}
	return out, nil
}

// sentence says what happened, without anybody's name.
func sentence(n naming, e *audit.Event) string {
	s := n.title
	if e.Site != "" {
		s += " at site " + e.Site
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// What stands before the actor's id, so that consumers take people for people: they do when it holds a colon.
const (
	accountPrefix = "account:"
	addressPrefix = "email:"
	unknownPrefix = "unknown:"
	nobody        = "postern"
)

// actorOf is whose doing it was: the subject of a sign-in, the caller of an administrative call.
func actorOf(e *audit.Event) actor {
	info, known := audit.Lookup(e.Type)
	switch {
	case known && info.Category == audit.CategoryAdministration:
		a := actor{ID: e.Caller, Name: e.Caller}
		if e.Caller == "" {
			a.ID, a.Name = nobody, nobody
		}
		if key, ok := strings.CutPrefix(e.Caller, "apikey:"); ok {
			a.Auth = &auth{AuthType: "api-token", TokenID: key}
		}
		return a
	case e.Flow == "" && e.Session == "" && e.Personal.AccountID == "" && e.Personal.Email == "":
		return actor{ID: nobody, Name: nobody}
	}
	a := subjectOf(e)
	if info.Family == audit.FamilyToken {
		a.Auth = &auth{AuthType: "api-token", TokenID: e.Session}
	}
	return a
}

// subjectOf is the person an event is about.
func subjectOf(e *audit.Event) actor {
	p := &e.Personal
	a := actor{Name: p.DisplayName, Email: p.Email}
	if a.Email == "" {
		a.Email = p.TypedAddress
	}
	switch {
	case p.AccountID != "":
		a.ID = accountPrefix + p.AccountID
	case a.Email != "":
		a.ID = addressPrefix + a.Email
	case e.Flow != "":
		a.ID = unknownPrefix + e.Flow
	default:
		a.ID = unknownPrefix + e.Session
	}
	for _, name := range []string{a.Email, a.ID} {
		if a.Name == "" {
			a.Name = name
		}
	}
	return a
}

// locationOf is where it came from: an address that is one, or nothing.
func locationOf(e *audit.Event) *location {
	ip, err := netip.ParseAddr(e.Personal.IP)
	if err != nil {
		return nil
	}
	return &location{ip.WithZone("").String()}
}

// containerOf is where it happened.
func containerOf(e *audit.Event) []item {
	out := []item{{e.Organization, "orgs", map[string]any{"name": e.Organization, "uid": e.OrganizationUID}}}
	if e.Site != "" {
		out = append(out, item{e.Site, "sites", map[string]any{"name": e.Site, "siteName": e.Site, "uid": e.SiteUID}})
	}
	return out
}
