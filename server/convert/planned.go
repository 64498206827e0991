package convert

import (
	applying "github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/document"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Warnings converts what is probably not meant.
func Warnings(list document.Problems) []*posternv1.PolicyWarning {
	out := make([]*posternv1.PolicyWarning, len(list))
	for i, p := range list {
		out[i] = &posternv1.PolicyWarning{Rule: p.Rule, Code: p.Code, Text: p.Text, Fix: p.Fix, Path: p.Path,
			Line: int32(p.Line), Column: int32(p.Column)} //nolint:gosec // places within 1 MiB
	}
	return out
}

// Planned converts what an apply would do.
func Planned(list []applying.Planned) []*posternv1.PlannedChange {
	out := make([]*posternv1.PlannedChange, len(list))
	for i := range list {
		p := &list[i]
		m := &posternv1.PlannedChange{Type: string(p.Type), Names: p.Names,
			Target: &posternv1.Target{Type: p.Target.Type, Id: p.Target.ID, Uid: p.Target.UID, Count: p.Target.Count}}
		for _, c := range p.Changes {
			m.Changes = append(m.Changes, &posternv1.Change{Field: c.Field, Before: c.Before, After: c.After})
		}
		out[i] = m
	}
	return out
}
