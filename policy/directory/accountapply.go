package directory

import (
	"context"
	"strconv"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

func (a *apply) claimer() *claimer {
	return &claimer{a.d.Writer, a.d.Owners, a.d.Sealer, a.d.Namer, a.d.Now}
}

// claimed are the claims that the plan adds.
func (a *apply) claimed() []claim {
	out := make([]claim, len(a.plan.AddClaims))
	for i, c := range a.plan.AddClaims {
		n := NewAccount{address: c.Address}
		if c.Address.IsZero() {
			n.id = c.Name
		}
		out[i] = a.claimer().claim(a.uid, n, audit.OriginDocument)
		out[i].path = c.Path
	}
	return out
}

// unclaimed refuses a plan that claims what another organization has, before anything is written.
func (a *apply) unclaimed(ctx context.Context) error {
	for _, part := range chunks(a.claimed()) {
		if _, lost, err := a.claimer().look(ctx, a.uid, part); err != nil || len(lost) > 0 {
			return a.lost(part, lost, err)
		}
	}
	return nil
}

// lost is the error of a document that names what others claim, with the places.
func (a *apply) lost(part []claim, lost []int, err error) error {
	if err != nil || len(lost) == 0 {
		return err
	}
	e := &errs.Error{Kind: errs.AlreadyExists, Reason: policy.ReasonAccountTaken}
	for _, i := range lost[:min(len(lost), maxViolations)] {
		p := a.doc.Problem(part[i].path, "another organization claims this account", "leave it out; that organization has to release it first")
		e.Violations = append(e.Violations, errs.Violation{Field: p.Path, Description: p.String()})
	}
	e.Public = e.Violations[0].Description
	if n := len(lost) - 1; n > 0 {
		e.Public += "; and " + strconv.Itoa(n) + " more"
	}
	return e
}

// takeClaims completes a change that claims accounts. What another organization has by now ends the apply there.
func (a *apply) takeClaims(ctx context.Context, change *policy.Change, claims []claim) error {
	if len(claims) == 0 {
		return nil
	}
	notAfter, lost, err := a.claimer().take(ctx, a.uid, claims, true)
	if err != nil || len(lost) > 0 {
		return a.lost(claims, lost, err)
	}
	for i := range claims {
		if err := a.claimer().seal(a.uid, &claims[i]); err != nil {
			return err
		}
		change.AddClaims = append(change.AddClaims, claims[i].record)
	}
	change.NotAfter = notAfter
	return nil
}
