package server

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// Retentions says how long organizations' records are shown. audit.Keeper implements it.
type Retentions interface {
	Retention(ctx context.Context, organizationUID string) (audit.Retention, error)
}

// LiveTallies reads the counters of sites' hours that are not archived yet.
type LiveTallies interface {
	// Tallies returns those there are.
	Tallies(ctx context.Context, organizationUID string, siteUIDs []string, hours []time.Time) ([]authflow.DueTally, error)
}

// asked is what a list that turned out empty was asked for.
type asked struct {
	organizationUID string
	start, end      time.Time // as in audit.Query
	sites           []string
	email, account  string // of the one person it was asked about
	signIns         bool   // whether sign-ins could have been found
}

// person takes over who was asked about, when it is one.
func (a *asked) person(emails, accounts []string) {
	switch {
	case len(emails) == 1 && len(accounts) == 0:
		a.email = emails[0]
	case len(accounts) == 1 && len(emails) == 0:
		a.account = accounts[0]
	}
}

// askedOf reads what a list of events was asked for.
func askedOf(q *audit.Query, m *posternv1.EventMatch) asked {
	a := asked{organizationUID: q.OrganizationUID, start: q.Start, end: q.End, sites: q.Sites}
	a.person(m.GetEmails(), m.GetAccountIds())
	a.signIns = len(q.Types) == 0 || slices.ContainsFunc(audit.Types(), func(t audit.TypeInfo) bool {
		return t.Category != audit.CategoryAdministration &&
			slices.ContainsFunc(q.Types, func(asked string) bool { return audit.MatchesType(asked, t.Type) })
	})
	return a
}

// askedOfFlows reads what a list of flows was asked for.
func askedOfFlows(q *audit.FlowQuery, f *posternv1.FlowFilter) asked {
	a := asked{organizationUID: q.OrganizationUID, start: q.Start, end: q.End, sites: q.Sites, signIns: true}
	a.person(slices.Concat(f.GetEmails(), f.GetInclude().GetEmails()), slices.Concat(f.GetAccountIds(), f.GetInclude().GetAccountIds()))
	return a
}

// askedOfPeople reads what a list of people was asked for.
func askedOfPeople(q *audit.SubjectQuery, f *posternv1.SubjectFilter) asked {
	a := asked{organizationUID: q.OrganizationUID, start: q.SeenSince, end: q.SeenBefore, signIns: true}
	if q.Site != "" {
		a.sites = []string{q.Site}
	}
	a.person(f.GetEmails(), f.GetAccountIds())
	return a
}

// emptiness is the answer about an empty list in the making.
type emptiness struct {
	*query
	asked
	now       time.Time
	then      time.Time // the end of the time asked about, now at the latest
	until     time.Time // the archive has everything before
	present   *policy.Organization
	past      *policy.Organization // at then; nil when it is now or not known
	retention audit.Retention
	out       *posternv1.NothingFound
	unknown   []string // what could not be found out
}

// nothing says what there is to know about why a list is empty. What cannot be found out is left out: an empty list is an answer
// also while half of what could explain it is away.
func (q *query) nothing(ctx context.Context, a asked) *posternv1.NothingFound {
	e := &emptiness{query: q, asked: a, now: q.now().UTC(), out: &posternv1.NothingFound{}}
	e.then = e.now
	if !a.end.IsZero() && a.end.Before(e.now) {
		e.then = a.end.Add(-time.Millisecond)
	}
	e.part(ctx, "how far the archive is", e.archived)
	e.part(ctx, "what retention says", e.edges)
	e.part(ctx, "what the organization is now", e.directory)
	e.part(ctx, "what it was then", e.history)
	e.places()
	if a.signIns {
		e.part(ctx, "how many sign-ins there were", e.tallies)
	}
	e.part(ctx, "who the person is now", e.classNow)
	e.classes(ctx)
	e.out.Explanation = e.words()
	return e.out
}

func (e *emptiness) part(ctx context.Context, what string, find func(context.Context) error) {
	if err := find(ctx); err != nil {
		e.unknown = append(e.unknown, what)
		e.log.LogAttrs(ctx, slog.LevelWarn, "empty list not explained in full", slog.String("part", what), slog.String("cause", err.Error()))
	}
}

func (e *emptiness) archived(ctx context.Context) error {
	until, err := e.archivedUntil(ctx, e.organizationUID)
	if err == nil && until != nil {
		e.until, e.out.ArchivedUntil = until.AsTime(), until
	}
	return err
}

// categories are those of retention, in the order of its settings.
func categories() []audit.Category {
	return []audit.Category{audit.CategorySignIn, audit.CategoryAdministration, audit.CategoryActivity}
}

func (e *emptiness) edges(ctx context.Context) (err error) {
	if e.retention, err = e.Retentions.Retention(ctx, e.organizationUID); err != nil {
		return err //nolint:wrapcheck // an errs.Error of the archive
	}
	if e.out.Hold = e.retention.Hold; e.out.Hold {
		return nil
	}
	for _, c := range categories() {
		e.out.RetentionEdges = append(e.out.RetentionEdges, &posternv1.RetentionEdge{
			Category: string(c), Days: int32(e.retention.Days(c)), Edge: convert.Timestamp(e.retention.Edge(c, e.now)), //nolint:gosec // at most 3650
		})
	}
	return nil
}

// directory reads the organization as it is. The reserved one has none.
func (e *emptiness) directory(ctx context.Context) error {
	o, err := e.access.directory.Organization(ctx, e.organizationUID)
	if errs.KindOf(err) == errs.NotFound && e.organizationUID == audit.SystemUID {
		return nil
	}
	if err != nil {
		return err //nolint:wrapcheck // an errs.Error of the directory
	}
	e.present, e.out.Privacy = o, privacyOf(o.Privacy)
	if e.then.Equal(e.now) {
		e.out.OrganizationThen = posternv1.Existence_EXISTENCE_EXISTED
	}
	return nil
}

// history reads the organization as it was at the end of the time asked about.
func (e *emptiness) history(ctx context.Context) error {
	if e.then.Equal(e.now) || e.present == nil {
		return nil
	}
	m, err := e.Past.At(ctx, e.organizationUID, e.then)
	switch {
	case err == nil:
		e.past, e.out.OrganizationThen = m.Organization, posternv1.Existence_EXISTENCE_EXISTED
	case errs.Is(err, audit.HistoryUnknown):
		if created := e.present.Created; !created.IsZero() && created.After(e.then) {
			e.out.OrganizationThen = posternv1.Existence_EXISTENCE_ABSENT
		}
	case !errs.Is(err, audit.HistoryNotArchived):
		return err //nolint:wrapcheck // an errs.Error of the past
	}
	return nil
}

// places says which of the sites there are and were.
func (e *emptiness) places() {
	for _, id := range e.sites {
		s := &posternv1.SiteThen{Site: id, Then: existence(e.past, id), Now: existence(e.present, id)}
		switch {
		case e.then.Equal(e.now):
			s.Then = s.Now
		case e.out.GetOrganizationThen() == posternv1.Existence_EXISTENCE_ABSENT:
			s.Then = posternv1.Existence_EXISTENCE_ABSENT
		}
		if site := siteOf(e.present, id); site != nil {
			s.Privacy = privacyOf(site.Privacy.Over(e.present.Privacy))
		}
		e.out.Sites = append(e.out.Sites, s)
	}
}

func existence(o *policy.Organization, site string) posternv1.Existence {
	switch {
	case o == nil:
		return posternv1.Existence_EXISTENCE_UNSPECIFIED
	case siteOf(o, site) == nil:
		return posternv1.Existence_EXISTENCE_ABSENT
	}
	return posternv1.Existence_EXISTENCE_EXISTED
}

func siteOf(o *policy.Organization, id string) *policy.Site {
	if o == nil {
		return nil
	}
	i := slices.IndexFunc(o.Sites, func(s policy.Site) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return &o.Sites[i]
}

// privacyOf is nil when everything is kept.
func privacyOf(p audit.Privacy) *posternv1.Privacy {
	if p.Full() {
		return nil
	}
	return &posternv1.Privacy{
		Email: posternv1.Privacy_Email(p.Email), Ip: posternv1.Privacy_Ip(p.IP), UserContent: posternv1.Privacy_UserContent(p.UserContent),
	}
}
