package directory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// ReasonLockOut refuses a change that denies every external user at a site which is open now.
const ReasonLockOut = "LOCK_OUT"

// guard refuses a plan that closes a site to every external user, unless that is forced; then the event of the change says so. Only
// sites that stand and are open count: what nobody could enter before locks nobody out.
func (a *apply) guard() error {
	closed := a.closes()
	if len(closed) == 0 {
		return nil
	}
	if !a.in.Force {
		c := closed[0]
		text := "every external user would be denied at site " + c.Site + c.When(a.now) + ": " + c.Why
		if len(closed) > 1 {
			text += "; and at " + strconv.Itoa(len(closed)-1) + " more sites"
		}
		return errs.New(errs.FailedPrecondition, ReasonLockOut, text+". Force the change if that is meant")
	}
	a.force(closed)
	return nil
}

// closes lists the sites that the plan closes, or closes earlier than they would be anyway.
func (a *apply) closes() []policy.Closure {
	now := a.current
	if now == nil || !a.plan.WritePolicy || now.Disabled || now.Unreadable && !now.AllowUnreadable {
		return nil
	}
	was := map[string]policy.Closure{}
	for _, c := range now.Closed(a.now) {
		was[c.Site] = c
	}
	return slices.DeleteFunc(a.plan.Organization.Closed(a.now), func(c policy.Closure) bool {
		i := slices.IndexFunc(now.Sites, func(s policy.Site) bool { return s.ID == c.Site })
		before, closed := was[c.Site]
		return i < 0 || now.Sites[i].Disabled || closed && !c.From.Before(before.From)
	})
}

// shownSites is how many sites an event names.
const shownSites = 5

// force notes on the event of the change that closes sites that it was forced.
func (a *apply) force(closed []policy.Closure) {
	var names []string
	for _, c := range closed[:min(len(closed), shownSites)] {
		names = append(names, c.Site+c.When(a.now))
	}
	text := "forced: every external user is denied at " + strings.Join(names, ", ")
	if n := len(closed) - shownSites; n > 0 {
		text += " and " + strconv.Itoa(n) + " more sites"
	}
	i := slices.IndexFunc(a.plan.Objects, func(o document.ObjectChange) bool { return o.Type == audit.TypePolicyUpdated })
	o := &a.plan.Objects[max(i, 0)]
	o.Changes = append([]audit.Change{{Field: "lock_out", After: text}}, o.Changes...)
}
