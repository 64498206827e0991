package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) trace() *cobra.Command {
	var (
		t       tracer
		on      localDay
		site    string
		org     string
		account bool
	)
	cmd := &cobra.Command{
		Use:   "trace SUBJECT --site SITE --on DATE",
		Short: "The story of one person's day",
		Long: `The story of one person's day at a site, or with --org at all sites of an organization, in order: each sign-in with its steps,
what the policy demanded and what was not met, and how it ended; sessions and tokens after it; what administrators did about the person;
and what changed in the policy, the site, connections and the person's domain on that day. Where there is no sign-in, it says what there is
to know about why.

SUBJECT is an e-mail address or, without an @, the login service's account id. From what sign-ins proved, the story goes on with the other
of the two. Asking leaves log.searched events, as every look into the record.`,
		Example: `  postern trace guest@gmail.com --site acme/wiki --on 2026-03-29 --tz Europe/Berlin
  postern trace acct-mia --org acme --on 2026-03-29
  postern trace guest@gmail.com --site acme/wiki --on 2026-03-29 --output json | jq -r .kind`,
		Args: exactly("SUBJECT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if t.parent, t.site, err = traced(org, site); err != nil {
				return err
			}
			if on.on == "" {
				return usagef("--on is needed: the day, such as 2026-03-29")
			}
			if t.start, t.end, err = on.times(); err != nil {
				return err
			}
			if t.zone, err = on.location(); err != nil {
				return err
			}
			if t.on, t.subject = on.on, args[0]; args[0] == "" {
				return usagef("SUBJECT must not be empty")
			}
			if account || !strings.Contains(t.subject, "@") {
				t.accounts = []string{t.subject}
			} else {
				t.emails = []string{t.subject}
			}
			return a.connect(func(c *client.Client) error {
				t.app, t.client = a, c
				if err := t.gather(cmd.Context()); err != nil {
					return err
				}
				return t.tell(cmd.Context())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&site, "site", "", "site, ORGANIZATION/SITE, or with --org its id")
	f.StringVar(&org, "org", "", "organization: all its sites, unless --site names one")
	f.BoolVar(&account, "account", false, "SUBJECT is an account id, though it has an @ in it")
	f.StringVar(&on.on, "on", "", "the day: 2026-03-29, in the time zone of --tz")
	f.StringVar(&on.zone, "tz", "", "time zone of --on, for example Europe/Berlin (default UTC)")
	return cmd
}

// traced reads where a trace is about: the name of the organization, and a site's id or "".
func traced(org, site string) (parent, id string, err error) {
	switch {
	case org == "" && site == "":
		return "", "", usagef("give --site ORGANIZATION/SITE, or --org")
	case org != "":
		if parent, err = resource(org, ""); err != nil || site == "" {
			return parent, "", err
		}
		if !strings.Contains(site, "/") {
			return parent, site, nil
		}
	}
	name, err := resource(site, "sites")
	if err != nil {
		return "", "", err
	}
	owner, id, ok := strings.Cut(name, "/sites/")
	if !ok || parent != "" && owner != parent {
		return "", "", usagef("--site %q is no site of --org", site)
	}
	return owner, id, nil
}

// Bounds of a trace: somebody whose day is longer is better looked at with the lists.
const (
	maxTracedFlows = 200
	maxKnownAs     = 10
	flowsOfACall   = 50
)

// tracer gathers one person's day.
type tracer struct {
	app    *app
	client *client.Client

	parent, site, subject, on string
	zone                      *time.Location
	start, end                *timestamppb.Timestamp
	emails, accounts          []string // what the person is known as

	flows   map[string]*posternv1.Flow
	events  map[string]*posternv1.Event
	nothing *posternv1.NothingFound
	more    bool // there are sign-ins that were left out
}

// gather asks for everything there is.
func (t *tracer) gather(ctx context.Context) error {
	t.flows, t.events = map[string]*posternv1.Flow{}, map[string]*posternv1.Event{}
	asked := map[string]bool{}
	for more := true; more; { // what a sign-in proves the person is known as is asked for as well
		more = false
		for i, list := range [][]string{t.emails, t.accounts} {
			for _, who := range list {
				key := string(rune('0'+i)) + who
				if asked[key] || len(asked) >= maxKnownAs {
					continue
				}
				asked[key], more = true, true
				if err := t.about(ctx, who, i == 1); err != nil {
					return err
				}
			}
		}
		t.learn()
	}
	if err := t.details(ctx); err != nil {
		return err
	}
	if err := t.following(ctx); err != nil {
		return err
	}
	return t.changes(ctx)
}

// about asks for what the record has of one address or account.
func (t *tracer) about(ctx context.Context, who string, account bool) error {
	filter := &posternv1.FlowFilter{StartTime: t.start, EndTime: t.end}
	match := &posternv1.EventMatch{}
	if account {
		filter.AccountIds, match.AccountIds = []string{who}, []string{who}
	} else {
		filter.Emails, match.Emails = []string{who}, []string{who}
	}
	if t.site != "" {
		filter.Sites = []string{t.site}
	}
	flows, err := pages(ctx, t.app, 0, func(ctx context.Context, size int32, token string) ([]*posternv1.Flow, string, error) {
		r, err := t.client.Flows.ListFlows(ctx, &posternv1.ListFlowsRequest{Parent: t.parent, Filter: filter, PageSize: size, PageToken: token})
		if t.nothing == nil {
			t.nothing = r.GetNothingFound()
		}
		return r.GetFlows(), r.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	for _, f := range flows {
		t.flows[f.GetId()] = f
	}
	return t.find(ctx, match)
}

// find asks for events of the day, and keeps those of the site and of no site.
func (t *tracer) find(ctx context.Context, match *posternv1.EventMatch) error {
	events, err := pages(ctx, t.app, 0, func(ctx context.Context, size int32, token string) ([]*posternv1.Event, string, error) {
		r, err := t.client.Events.ListEvents(ctx, &posternv1.ListEventsRequest{Parent: t.parent, PageSize: size, PageToken: token,
			Filter: &posternv1.EventFilter{StartTime: t.start, EndTime: t.end, Include: match}, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST})
		return r.GetEvents(), r.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		if t.site == "" || e.GetSite() == "" || e.GetSite() == t.site {
			t.events[e.GetId()] = e
		}
	}
	return nil
}

// learn adds what sign-ins proved the person to be known as besides: those in which the address or account was proven that is known.
// In others it was only typed, maybe by somebody else.
func (t *tracer) learn() {
	for _, f := range t.flows {
		p := f.GetPersonal()
		email, account := p.GetEmail(), p.GetAccountId()
		if email == "" || account == "" || !p.GetEmailVerified() {
			continue
		}
		knownEmail := slices.ContainsFunc(t.emails, func(s string) bool { return strings.EqualFold(s, email) })
		switch knownAccount := slices.Contains(t.accounts, account); {
		case knownEmail && !knownAccount:
			t.accounts = append(t.accounts, account)
		case knownAccount && !knownEmail:
			t.emails = append(t.emails, email)
		}
	}
	slices.Sort(t.emails)
	slices.Sort(t.accounts)
}

// details asks for every sign-in in full: those of the day, and those that something of the day belongs to.
func (t *tracer) details(ctx context.Context) error {
	for _, e := range t.events {
		if id := e.GetFlow(); id != "" && t.flows[id] == nil {
			t.flows[id] = &posternv1.Flow{Name: t.parent + "/flows/" + id, Id: id, StartTime: e.GetTime()}
		}
	}
	ids := t.flowIDs()
	if t.more = len(ids) > maxTracedFlows; t.more {
		for _, id := range ids[maxTracedFlows:] {
			delete(t.flows, id)
		}
		ids = ids[:maxTracedFlows]
	}
	for _, id := range ids {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, t.app.timeout)
			defer cancel()
			f, err := t.client.Flows.GetFlow(ctx, &posternv1.GetFlowRequest{Name: t.parent + "/flows/" + id})
			switch {
			case status.Code(err) == codes.NotFound && t.flows[id].GetSite() == "":
				delete(t.flows, id) // a part of it is on the record, without it
				return nil
			case status.Code(err) == codes.NotFound:
				return nil
			case err != nil:
				return err
			}
			t.flows[id] = f
			return nil
		}()
		if err != nil {
			return err
		}
	}
	return nil
}

// flowIDs are the sign-ins, the first one in front.
func (t *tracer) flowIDs() []string {
	ids := make([]string, 0, len(t.flows))
	for id := range t.flows {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if c := t.flows[a].GetStartTime().AsTime().Compare(t.flows[b].GetStartTime().AsTime()); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return ids
}

// following asks for sessions and tokens that came of the sign-ins.
func (t *tracer) following(ctx context.Context) error {
	for ids := range slices.Chunk(t.flowIDs(), flowsOfACall) {
		if err := t.find(ctx, &posternv1.EventMatch{Flows: ids}); err != nil {
			return err
		}
	}
	return nil
}

// changes asks for what changed on that day, and keeps what bears on the person.
func (t *tracer) changes(ctx context.Context) error {
	before := make(map[string]bool, len(t.events))
	for id := range t.events {
		before[id] = true
	}
	err := t.find(ctx, &posternv1.EventMatch{Types: []string{
		"policy.*", "domain.*", "connection.*", "site.created", "site.updated", "site.deleted", "account.claimed", "account.released",
		"organization.created", "organization.updated", "organization.deleted", "organization.set_back",
	}})
	if err != nil {
		return err
	}
	for id, e := range t.events {
		if !before[id] && !t.bears(e) {
			delete(t.events, id)
		}
	}
	return nil
}

// bears reports whether a change may have made a difference to the person.
func (t *tracer) bears(e *posternv1.Event) bool {
	family, _, _ := strings.Cut(e.GetType(), ".")
	items := append([]string{e.GetTarget().GetId()}, e.GetPersonal().GetItems()...)
	switch family {
	case "site":
		return t.site == "" || e.GetSite() == t.site || slices.Contains(items, t.site)
	case "domain":
		return len(t.emails) == 0 || slices.ContainsFunc(items, t.inDomain)
	case "account":
		return slices.ContainsFunc(items, func(s string) bool { return slices.Contains(t.emails, s) || slices.Contains(t.accounts, s) })
	}
	return true
}

// inDomain reports whether an address of the person lies in a domain or below it.
func (t *tracer) inDomain(domain string) bool {
	return domain != "" && slices.ContainsFunc(t.emails, func(email string) bool {
		_, host, _ := strings.Cut(strings.ToLower(email), "@")
		return host == domain || strings.HasSuffix(host, "."+domain)
	})
}
