package directory

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// ReasonLockOut refuses a change that locks people out.
const ReasonLockOut = "LOCK_OUT"

// fieldLockOut is the field of a change by which an event says that it was forced although it locks people out.
const fieldLockOut = "lock_out"

// Guard refuses changes that lock people out. Every field is needed.
type Guard struct {
	Writer policy.DirectoryWriter
	Namer  policy.Namer
	Now    func() time.Time
}

// Threat is a change as the guard looks at it.
type Threat struct {
	Before *policy.Organization
	After  *policy.Organization // nil: as before
	// What comes and goes beside the policy record. DropDomains are such as count until then.
	AddDomains  []policy.DomainRecord
	DropDomains []policy.Domain
	AddClaims   []policy.ClaimRecord
	DropClaims  []policy.AccountKey
	Admin       policy.Address // whose way in must not be lost; zero: nobody's in particular
	Force       bool
}

// Check answers LOCK_OUT when a change denies at a site that is open: every external user, from now on or from a later moment on; the
// people of a domain that goes, who are external then; or the admin, who could get in before. Only sites that stand and are
// enabled count: what nobody could enter before locks nobody out. A change that is forced passes, and what is answered then belongs on its
// event; nil: there was nothing to force.
func (g Guard) Check(ctx context.Context, t Threat) ([]audit.Change, error) {
	if t.Before == nil || t.Before.Disabled || t.Before.Unreadable && !t.Before.AllowUnreadable {
		return nil, nil
	}
	if t.After == nil {
		t.After = t.Before
	}
	found, err := g.lost(ctx, &t)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	now := g.Now()
	if !t.Force {
		return nil, errs.New(errs.FailedPrecondition, ReasonLockOut, found[0].refusal(now)+". Force the change if that is meant")
	}
	texts := make([]string, len(found))
	for i := range found {
		texts[i] = found[i].noted(now)
	}
	return []audit.Change{{Field: fieldLockOut, After: "forced: " + strings.Join(texts, "; ")}}, nil
}

// loss is some people who are locked out, with the sites.
type loss struct {
	who   string
	sites []policy.Closure
}

// refusal says what would happen.
func (l *loss) refusal(now time.Time) string {
	c := l.sites[0]
	text := l.who + " would be denied at site " + c.Site + c.When(now)
	if c.Why != "" {
		text += ": " + c.Why
	}
	if len(l.sites) > 1 {
		text += "; and at " + strconv.Itoa(len(l.sites)-1) + " more sites"
	}
	return text
}

// shownSites is how many sites an event names.
const shownSites = 5

// noted says what happens, for the record.
func (l *loss) noted(now time.Time) string {
	names := make([]string, 0, shownSites)
	for _, c := range l.sites[:min(len(l.sites), shownSites)] {
		names = append(names, c.Site+c.When(now))
	}
	text := l.who + " is denied at " + strings.Join(names, ", ")
	if n := len(l.sites) - shownSites; n > 0 {
		text += " and " + strconv.Itoa(n) + " more sites"
	}
	return text
}

func (g Guard) lost(ctx context.Context, t *Threat) ([]loss, error) {
	now := g.Now()
	closed := t.After.Closed(now)
	var out []loss
	if sites := closes(t, closed, now); len(sites) > 0 {
		out = append(out, loss{"every external user", sites})
	}
	if sites := standingSites(t, closed); len(sites) > 0 && len(t.DropDomains) > 0 {
		out = append(out, loss{"everybody of " + t.DropDomains[0].String() + more(len(t.DropDomains)-1), sites})
	}
	if t.Admin.IsZero() {
		return out, nil
	}
	was, is, err := g.admin(ctx, t)
	if err != nil {
		return nil, err
	}
	var sites []policy.Closure
	for _, l := range policy.Loses(t.Before, t.After, was, is, now) {
		sites = append(sites, policy.Closure{Site: l.Site, From: l.From})
	}
	if len(sites) > 0 {
		out = append(out, loss{"the person whose address was given", sites})
	}
	return out, nil
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + strconv.Itoa(n) + " more domains"
}

// closes lists the sites that a change closes, or closes earlier than they would be anyway.
func closes(t *Threat, closed []policy.Closure, now time.Time) []policy.Closure {
	was := map[string]policy.Closure{}
	for _, c := range t.Before.Closed(now) {
		was[c.Site] = c
	}
	return slices.DeleteFunc(standingSites(t, closed), func(c policy.Closure) bool {
		before, closed := was[c.Site]
		return closed && !c.From.Before(before.From)
	})
}

// standingSites are those of closed sites that stood before and were enabled.
func standingSites(t *Threat, closed []policy.Closure) []policy.Closure {
	return slices.DeleteFunc(slices.Clone(closed), func(c policy.Closure) bool {
		i := slices.IndexFunc(t.Before.Sites, func(s policy.Site) bool { return s.ID == c.Site })
		return i < 0 || t.Before.Sites[i].Disabled
	})
}

// admin is the admin before and after a change.
func (g Guard) admin(ctx context.Context, t *Threat) (was, is policy.Person, err error) {
	uid := t.Before.UID
	was = policy.Person{Address: t.Admin, AddressKey: g.Namer.AddressKey(uid, t.Admin)}
	var names []policy.Domain
	for d := t.Admin.Domain(); !d.IsZero(); d = d.Parent() {
		names = append(names, d)
	}
	records, err := g.Writer.ListsDomains(ctx, uid, names)
	if err != nil {
		return was, is, err
	}
	claims, err := g.Writer.ListsClaims(ctx, uid, []policy.AccountKey{was.AddressKey})
	if err != nil {
		return was, is, err
	}
	stands := make([]policy.DomainRecord, 0, len(records))
	for _, r := range records {
		stands = append(stands, r)
	}
	was.Records.Domain = policy.MostSpecific(stands, t.Admin.Domain())
	if c, claimed := claims[was.AddressKey]; claimed {
		was.Records.AddressClaim = &c
	}
	is = was
	left := slices.DeleteFunc(slices.Clone(stands), func(r policy.DomainRecord) bool {
		return slices.Contains(t.DropDomains, r.Domain) ||
			slices.ContainsFunc(t.AddDomains, func(n policy.DomainRecord) bool { return n.Domain == r.Domain })
	})
	is.Records.Domain = policy.MostSpecific(append(left, t.AddDomains...), t.Admin.Domain())
	if slices.Contains(t.DropClaims, was.AddressKey) {
		is.Records.AddressClaim = nil
	}
	for i := range t.AddClaims {
		if t.AddClaims[i].Key == was.AddressKey {
			is.Records.AddressClaim = &t.AddClaims[i]
		}
	}
	return was, is, nil
}
