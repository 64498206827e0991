package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// The kinds of entries of a story.
const (
	kindFlow    = "flow"
	kindEvent   = "event"  // about the person
	kindChange  = "change" // of the organization, bearing on the person
	kindNothing = "nothing"
)

// entry is one thing that happened.
type entry struct {
	kind  string
	at    time.Time
	order int64 // of two at one moment, the smaller one comes first
	flow  *posternv1.Flow
	event *posternv1.Event
}

// story puts everything in order. Steps of a sign-in stand in it and not by themselves.
func (t *tracer) story() []entry {
	var out []entry
	for _, id := range t.flowIDs() {
		f := t.flows[id]
		out = append(out, entry{kind: kindFlow, at: f.GetStartTime().AsTime(), flow: f})
	}
	for _, e := range t.events {
		if e.GetStep() > 0 && t.flows[e.GetFlow()] != nil {
			continue
		}
		kind := kindEvent
		switch family, _, _ := strings.Cut(e.GetType(), "."); family {
		case "policy", "domain", "connection", "site", "organization":
			kind = kindChange
		}
		out = append(out, entry{kind: kind, at: e.GetTime().AsTime(), order: e.GetSequence(), event: e})
	}
	slices.SortFunc(out, func(a, b entry) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return int(a.order - b.order)
	})
	return out
}

// tell prints the story.
func (t *tracer) tell(ctx context.Context) error {
	story := t.story()
	if t.app.json() {
		return t.lines(story)
	}
	words, err := t.catalogue(ctx)
	if err != nil {
		return err
	}
	out := t.app.stdout
	where := strings.TrimPrefix(t.parent, "organizations/")
	if t.site != "" {
		where += "/" + t.site
	}
	fmt.Fprintf(out, "%s at %s on %s (%s): from %s to %s\n", printable.Escape(t.subject), printable.Escape(where), t.on, t.zone, show.Time(t.start), show.Time(t.end))
	if known := slices.Concat(t.emails, t.accounts); len(known) > 1 {
		fmt.Fprintf(out, "known as %s\n", printable.Escape(strings.Join(known, ", ")))
	}
	for i := range story {
		fmt.Fprintf(out, "\n%s\n", story[i].at.In(t.zone).Format("15:04:05.000 MST"))
		if err := t.one(&story[i], words); err != nil {
			return err
		}
	}
	if len(t.flows) == 0 {
		fmt.Fprintln(out, "\nNo sign-in of this person is on the record.")
		for _, sentence := range t.nothing.GetExplanation() {
			fmt.Fprintln(out, "  "+printable.Escape(sentence))
		}
	}
	if t.more {
		fmt.Fprintf(out, "\nOnly the first %d sign-ins are shown: postern flow list shows all.\n", maxTracedFlows)
	}
	return nil
}

// one prints one entry, with its reasons in words.
func (t *tracer) one(e *entry, words *catalogue) error {
	out := t.app.stdout
	words.begin()
	if e.flow == nil {
		title := ""
		if e.kind == kindChange {
			title = "changed by " + e.event.GetCaller()
		} else if code := e.event.GetSupportCode(); code != "" {
			title = "of " + code
		}
		fmt.Fprintln(out, printable.Escape(joined("  "+e.event.GetType(), show.How(e.event), show.Note(e.event), title)))
		for _, c := range e.event.GetChanges() {
			fmt.Fprintf(out, "    %s: %s → %s\n", printable.Escape(c.GetField()), printable.Escape(orNothing(c.GetBefore())), printable.Escape(orNothing(c.GetAfter())))
		}
		words.tell(t.app, e.event.GetType(), e.event.GetReason())
		return nil
	}
	if err := show.Flow(out, e.flow); err != nil {
		return err
	}
	for _, step := range e.flow.GetSteps() {
		words.tell(t.app, step.GetType(), step.GetReason())
	}
	for _, d := range e.flow.GetDecision().GetDemands() {
		if !d.GetMet() && d.GetReason() != "" {
			words.tell(t.app, "sign_in.denied", d.GetReason())
		}
	}
	return nil
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// joined puts what there is in a row.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "  ")
}

// catalogue says what reasons mean, by type.
type catalogue struct {
	meaning map[[2]string]string
	told    map[string]bool // of this entry
}

func (t *tracer) catalogue(ctx context.Context) (*catalogue, error) {
	ctx, cancel := context.WithTimeout(ctx, t.app.timeout)
	defer cancel()
	r, err := t.client.Events.ListEventTypes(ctx, &posternv1.ListEventTypesRequest{})
	if err != nil {
		return nil, err
	}
	c := &catalogue{meaning: map[[2]string]string{}}
	for _, kind := range r.GetEventTypes() {
		for _, reason := range kind.GetReasons() {
			c.meaning[[2]string{kind.GetType(), reason.GetReason()}] = reason.GetDescription()
		}
	}
	return c, nil
}

// begin begins another entry.
func (c *catalogue) begin() { c.told = map[string]bool{} }

// tell says in words what a reason means, once for each entry.
func (c *catalogue) tell(a *app, kind, reason string) {
	meaning := c.meaning[[2]string{kind, reason}]
	if reason == "" || meaning == "" || c.told[reason+meaning] {
		return
	}
	c.told[reason+meaning] = true
	fmt.Fprintf(a.stdout, "    %s: %s\n", printable.Escape(reason), printable.Escape(meaning))
}

// lines prints the story as JSON, one entry a line.
func (t *tracer) lines(story []entry) error {
	for i := range story {
		e := &story[i]
		var m proto.Message = e.event
		key := "event"
		if e.flow != nil {
			m, key = e.flow, kindFlow
		}
		if err := t.line(e.kind, key, e.at, m); err != nil {
			return err
		}
	}
	if len(t.flows) == 0 && t.nothing != nil {
		return t.line(kindNothing, "nothing_found", t.end.AsTime(), t.nothing)
	}
	return nil
}

func (t *tracer) line(kind, key string, at time.Time, m proto.Message) error {
	raw, err := show.JSON(m)
	if err != nil {
		return err
	}
	b, err := show.Line(map[string]any{"kind": kind, "time": at.Format(time.RFC3339Nano), key: json.RawMessage(bytes.TrimSpace(raw))})
	if err != nil {
		return err
	}
	return t.app.write(b)
}
