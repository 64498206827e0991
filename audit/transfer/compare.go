package transfer

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
)

const maxDifferences = 100

// differ notes a difference, as long as somebody could read them all.
func (c *copying) differ(format string, args ...any) {
	if len(c.report.Differences) < maxDifferences {
		c.report.Differences = append(c.report.Differences, fmt.Sprintf(format, args...))
	}
}

// compare reads both archives from one end to the other.
func (c *copying) compare(ctx context.Context, standings []audit.Standing) error {
	for i := range standings {
		if err := c.compareRecord(ctx, &standings[i]); err != nil {
			return err
		}
		if err := c.compareHistory(ctx, &standings[i]); err != nil {
			return err
		}
		if err := c.comparePeople(ctx, &standings[i]); err != nil {
			return err
		}
	}
	return c.compareShelves(ctx)
}

// compareRecord holds one organization's events, flows and pruned ranges against each other.
func (c *copying) compareRecord(ctx context.Context, s *audit.Standing) error {
	after := int64(0)
	for {
		a, err := c.from.Dump(ctx, s.OrganizationUID, after, page)
		if err != nil {
			return err
		}
		b, err := c.to.Dump(ctx, s.OrganizationUID, after, page)
		if err != nil {
			return err
		}
		if len(a) == 0 && len(b) == 0 {
			break
		}
		if !c.sameEvents(s.Organization, a, b) {
			return nil // what follows would differ in every row
		}
		if err := c.sameFlows(ctx, s, a); err != nil {
			return err
		}
		after = a[len(a)-1].Sequence
		c.report.Compared += int64(len(a))
		c.tell("compare", s.Organization, after, s.Last)
	}
	a, err := c.from.Pruned(ctx, s.OrganizationUID)
	if err != nil {
		return err
	}
	b, err := c.to.Pruned(ctx, s.OrganizationUID)
	if err == nil && !reflect.DeepEqual(a, b) {
		c.differ("%s: the source has dropped %d shelves of it, the target knows of %d", s.Organization, len(a), len(b))
	}
	return err
}

// sameEvents compares row by row; false when they part.
func (c *copying) sameEvents(organization string, a, b []audit.StoredEvent) bool {
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(b):
			c.differ("%s: the target ends before sequence %d", organization, a[i].Sequence)
			return false
		case i >= len(a):
			c.differ("%s: the source ends before sequence %d of the target", organization, b[i].Sequence)
			return false
		case a[i].Sequence != b[i].Sequence:
			c.differ("%s: sequence %d in the source, %d in the target; a shelf was dropped on one side", organization, a[i].Sequence, b[i].Sequence)
			return false
		}
		if what := difference(&a[i], &b[i]); what != "" {
			c.differ("%s: sequence %d: another %s", organization, a[i].Sequence, what)
		}
	}
	return true
}

// difference names what is not the same in two rows.
func difference(a, b *audit.StoredEvent) string {
	switch {
	case a.ID != b.ID:
		return "id"
	case !bytes.Equal(a.Body, b.Body):
		return "body"
	case !a.RecordedTime.Equal(b.RecordedTime):
		return "recorded time"
	case a.Forked != b.Forked:
		return "mark of a second event for one step"
	case a.Shelf.Keep != b.Shelf.Keep:
		return "number of days it is kept"
	case !reflect.DeepEqual(a.Sealed, b.Sealed):
		return "sealed part"
	case !reflect.DeepEqual(a.Indexes, b.Indexes):
		return "set of blind indexes"
	}
	return ""
}

func (c *copying) sameFlows(ctx context.Context, s *audit.Standing, events []audit.StoredEvent) error {
	a, err := c.flowsOf(ctx, s.OrganizationUID, events)
	if err != nil || len(a) == 0 {
		return err
	}
	ids := make([]string, len(a))
	for i := range a {
		ids[i] = a[i].ID
	}
	b, err := c.to.DumpFlows(ctx, s.OrganizationUID, ids)
	if err != nil {
		return err
	}
	byID := func(x, y audit.StoredFlow) int { return strings.Compare(x.ID, y.ID) }
	slices.SortFunc(a, byID)
	slices.SortFunc(b, byID)
	for i := range a {
		n, ok := slices.BinarySearchFunc(b, a[i], byID)
		if !ok {
			c.differ("%s: the target has no row of flow %s", s.Organization, a[i].ID)
		} else if !sameFlow(a[i], b[n]) {
			c.differ("%s: another row of flow %s", s.Organization, a[i].ID)
		}
	}
	return nil
}

// sameFlow compares rows wherever they lie: an archive that was taken over from an early version has shelves of other windows.
func sameFlow(a, b audit.StoredFlow) bool {
	a.Shelf, b.Shelf = audit.Shelf{Keep: a.Shelf.Keep}, audit.Shelf{Keep: b.Shelf.Keep}
	return reflect.DeepEqual(a, b)
}

// compareShelves holds what the shelves of both count against each other.
func (c *copying) compareShelves(ctx context.Context) error {
	a, err := contents(ctx, c.from)
	if err != nil {
		return err
	}
	b, err := contents(ctx, c.to)
	if err != nil {
		return err
	}
	for name, want := range a {
		if got := b[name]; !reflect.DeepEqual(want, got) {
			c.differ("%s: the source has %+v, the target %+v", name, want, got)
		}
		delete(b, name)
	}
	for name := range b {
		c.differ("%s: the target has something there, the source nothing", name)
	}
	return nil
}

// contents sums up what lies on shelves, by days, organization and category.
func contents(ctx context.Context, s audit.Shelves) (map[string]audit.PrunedPart, error) {
	shelves, err := s.Shelves(ctx)
	out := map[string]audit.PrunedPart{}
	for i := range shelves {
		for _, c := range shelves[i].Content {
			name := fmt.Sprintf("shelves of %d days, %s, %s", shelves[i].Keep, c.OrganizationUID, c.Category)
			out[name] = sum(out[name], c.PrunedPart)
		}
	}
	return out, err
}

func sum(a, b audit.PrunedPart) audit.PrunedPart {
	switch {
	case a.Category == "":
		return b
	case b.Events > 0 && a.Events > 0:
		a.FirstSequence, a.LastSequence = min(a.FirstSequence, b.FirstSequence), max(a.LastSequence, b.LastSequence)
		if b.FirstTime.Before(a.FirstTime) {
			a.FirstTime = b.FirstTime
		}
		if b.LastTime.After(a.LastTime) {
			a.LastTime = b.LastTime
		}
	case b.Events > 0:
		a.FirstSequence, a.LastSequence, a.FirstTime, a.LastTime = b.FirstSequence, b.LastSequence, b.FirstTime, b.LastTime
	}
	a.Events, a.Flows = a.Events+b.Events, a.Flows+b.Flows
	return a
}
