package demo

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// id is the bare flow id.
func (p *played) id() string { return p.flow[strings.LastIndexByte(p.flow, '/')+1:] }

// compare holds the record against the stories.
func compare(flows []*played, events []*posternv1.Event) error {
	var problems []error
	for i, e := range events {
		if e.GetSequence() != int64(i+1) {
			problems = append(problems, fmt.Errorf("event %d of the record has sequence %d: there is a gap or a repetition", i+1, e.GetSequence()))
			break
		}
	}
	byFlow := group(events)
	for _, p := range flows {
		got := make([]string, len(byFlow[p.id()]))
		for i, e := range byFlow[p.id()] {
			got[i] = line(e)
		}
		if !slices.Equal(got, p.story.record) {
			problems = append(problems, fmt.Errorf("%s: the record is\n    %s\n  and should be\n    %s",
				p.story.title, strings.Join(got, "\n    "), strings.Join(p.story.record, "\n    ")))
		}
		if err := ends(p, byFlow[p.id()]); err != nil {
			problems = append(problems, err)
		}
		delete(byFlow, p.id())
	}
	for id, left := range byFlow {
		if id != "" {
			problems = append(problems, fmt.Errorf("flow %s is in the record with %d events, and no story made it", id, len(left)))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("the record is not what the stories say:\n  %w", errors.Join(problems...))
	}
	return nil
}

// ends holds the ending of a flow against its story.
func ends(p *played, events []*posternv1.Event) error {
	last := ending(events)
	if !p.story.recorded() || last == nil {
		return nil
	}
	steps := 0
	for _, e := range events {
		if e.GetStep() > 0 {
			steps++
		}
	}
	if last.GetEnding() != p.story.ending || last.GetDecision().GetRule() != p.story.rule || len(last.GetSteps()) != steps-1 && len(last.GetSteps()) != steps {
		return fmt.Errorf("%s: it ended %s by rule %q with a list of %d steps, and should have ended %s by rule %q after %d steps",
			p.story.title, last.GetEnding(), last.GetDecision().GetRule(), len(last.GetSteps()), p.story.ending, p.story.rule, steps)
	}
	return nil
}

// group sorts events by flow, in the order of the record.
func group(events []*posternv1.Event) map[string][]*posternv1.Event {
	by := map[string][]*posternv1.Event{}
	for _, e := range events {
		by[e.GetFlow()] = append(by[e.GetFlow()], e)
	}
	return by
}

// line is what the stories say about an event: its type, then method, connection, factor and reason as far as they tell more,
// and whether it counts and was late.
func line(e *posternv1.Event) string {
	parts := []string{e.GetType()}
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if !strings.HasPrefix(e.GetType(), "sign_in.") {
		if !strings.HasPrefix(e.GetType(), e.GetMethod()+".") {
			add(e.GetMethod())
		}
		add(e.GetConnection())
		add(e.GetFactor())
	}
	add(e.GetReason())
	if e.Counts != nil && !e.GetCounts() {
		add("uncounted")
	}
	if e.GetLate() {
		add("late")
	}
	return strings.Join(parts, " ")
}
