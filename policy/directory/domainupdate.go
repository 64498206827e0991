package directory

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// DomainUpdate is what an organization chooses anew about a domain; nil stays as it is.
type DomainUpdate struct {
	DomainInput
	Subdomains *bool
	LapseAfter *time.Duration // zero: never
}

// Update changes what an organization chose about a domain that was created here. When nothing differs, nothing is written.
func (d *Domains) Update(ctx context.Context, caller string, in DomainUpdate) (Domain, error) {
	call := d.call(caller, methodUpdateDomain, in.DomainInput)
	call.key = d.Namer.ApplyKey(caller, methodUpdateDomain, in.Organization, in.RequestID, fields(append(in.canonical(), chosen(in.Subdomains), chosen(in.LapseAfter))...))
	return call.run(ctx, func(ctx context.Context, o *policy.Organization, now Domain) (*policy.Change, error) {
		if err := call.based(&now, in.Etag); err != nil {
			return nil, err
		}
		before := now.Challenge
		after, err := domaincheck.Update(*before, in.Subdomains, in.LapseAfter)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the core
		}
		changes := choices(before, &after)
		if len(changes) == 0 {
			return nil, nil //nolint:nilnil // nothing to change
		}
		record := after.Record()
		forced, err := call.guard(ctx, o, &now, &record)
		if err != nil {
			return nil, err
		}
		c := call.change(o, before, &after, audit.TypeDomainUpdated, nil)
		c.Events[0].Changes = slices.Concat(changes, forced) // the state stays
		return c, nil
	})
}

func chosen[T bool | time.Duration](v *T) string {
	if v == nil {
		return ""
	}
	switch v := any(*v).(type) {
	case bool:
		return strconv.FormatBool(v)
	case time.Duration:
		return v.String()
	}
	return ""
}

// choices are what an event says of a change.
func choices(before, after *policy.DomainChallenge) []audit.Change {
	var out []audit.Change
	if before.Subdomains != after.Subdomains {
		out = append(out, audit.Change{Field: "include_subdomains", Before: strconv.FormatBool(before.Subdomains), After: strconv.FormatBool(after.Subdomains)})
	}
	if before.LapseAfter != after.LapseAfter {
		out = append(out, audit.Change{Field: "lapse_after", Before: span(before.LapseAfter), After: span(after.LapseAfter)})
	}
	return out
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return document.FormatDuration(d)
}
