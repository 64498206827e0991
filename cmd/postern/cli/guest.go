package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) guest() *cobra.Command {
	return group(&cobra.Command{Use: "guest", Short: "The people on record: who has been there, and what they did"}, a.guestList(), a.guestShow())
}

// guestFilter is the filter of a list of people.
type guestFilter struct {
	accounts, emails, classes  []string
	since, before, noMFA, site string
}

// request returns what the arguments and flags ask for.
func (g *guestFilter) request(a *app, organization string) (*posternv1.ListSubjectsRequest, error) {
	parent, err := resource(organization, "")
	if err != nil {
		return nil, err
	}
	if g.site != "" {
		parent += "/sites/" + g.site
	}
	f := &posternv1.SubjectFilter{AccountIds: g.accounts, Emails: g.emails}
	if f.Classes, err = classes("class", g.classes); err != nil {
		return nil, err
	}
	if f.SeenSince, err = moment("seen-since", g.since, a.now()); err != nil {
		return nil, err
	}
	if f.SeenBefore, err = moment("seen-before", g.before, a.now()); err != nil {
		return nil, err
	}
	f.NoMfaSince, err = moment("no-mfa-since", g.noMFA, a.now())
	return &posternv1.ListSubjectsRequest{Parent: parent, Filter: f}, err
}

func (a *app) guestList() *cobra.Command {
	var (
		g     guestFilter
		limit int
		file  string
	)
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Who is on record, the last seen first",
		Long: `Who is on record at an organization, or at one of its sites, the last seen first: for access reviews. A person is on it from the
first sign-in that proved who it is until nobody has seen them for as long as sign-ins are kept.

--csv writes a file for spreadsheets instead (RFC 4180, UTF-8; "-" is standard output), of all people unless --limit says otherwise.
Cells that a spreadsheet would take for a formula begin with an apostrophe.`,
		Example: `  postern guest list acme
  postern guest list acme --site wiki --class external --no-mfa-since 90d
  postern guest list acme --seen-before 120d --csv guests.csv
  postern guest list acme --email ann@partner.example --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := g.request(a, args[0])
			if err != nil {
				return err
			}
			if file != "" {
				if !cmd.Flags().Changed("limit") {
					limit = 0
				}
				return a.connect(func(c *client.Client) error { return a.guestFile(cmd.Context(), c, r, limit, file) })
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, a.guestPages(c, r))
				if err != nil {
					return err
				}
				return list(a, all, show.GuestHeader(), show.GuestRow)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&g.site, "site", "", "at this site only")
	f.StringSliceVar(&g.classes, "class", nil, "external, managed or claimed; may be repeated")
	f.StringVar(&g.since, "seen-since", "", "last seen then or later: 2026-11-20T08:00:00Z, or 24h or 7d back from now")
	f.StringVar(&g.before, "seen-before", "", "last seen before then, likewise")
	f.StringVar(&g.noMFA, "no-mfa-since", "", "without a second factor that counted since then, likewise")
	f.StringSliceVar(&g.accounts, "account", nil, "account id; may be repeated")
	f.StringSliceVar(&g.emails, "email", nil, "address the person proved; may be repeated")
	f.StringVar(&file, "csv", "", "write CSV to this file; - is standard output")
	f.IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	return cmd
}

// guestPages lists people page by page.
func (a *app) guestPages(c *client.Client, r *posternv1.ListSubjectsRequest) func(context.Context, int32, string) ([]*posternv1.Person, string, error) {
	return func(ctx context.Context, size int32, token string) ([]*posternv1.Person, string, error) {
		r.PageSize, r.PageToken = size, token
		page, err := c.Events.ListSubjects(ctx, r)
		a.explainNothing(page.GetNothingFound())
		return page.GetSubjects(), page.GetNextPageToken(), err
	}
}

// guestFile writes people to a file, which is there whole or not at all.
func (a *app) guestFile(ctx context.Context, c *client.Client, r *posternv1.ListSubjectsRequest, limit int, path string) error {
	if path == "-" {
		return a.guestCSV(ctx, c, r, limit, a.stdout)
	}
	part, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = a.guestCSV(ctx, c, r, limit, part)
	if kept := errors.Join(part.Sync(), part.Close()); err == nil {
		err = kept
	}
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		_ = os.Remove(part.Name()) // what failed is the news
	}
	return err
}

func (a *app) guestCSV(ctx context.Context, c *client.Client, r *posternv1.ListSubjectsRequest, limit int, w io.Writer) error {
	var out *show.CSV
	next := a.guestPages(c, r)
	_, err := pages(ctx, a, limit, func(ctx context.Context, size int32, token string) ([]struct{}, string, error) {
		people, token, err := next(ctx, size, token)
		if err == nil && out == nil {
			out, err = show.NewCSV(w, show.GuestColumns())
		}
		if err != nil {
			return nil, "", err
		}
		for _, p := range people {
			if err := out.Row(show.GuestCSV(p)); err != nil {
				return nil, "", err
			}
		}
		return make([]struct{}, len(people)), token, nil
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func (a *app) guestShow() *cobra.Command {
	var (
		g              guestFilter
		account, email string
		limit          int
	)
	cmd := &cobra.Command{
		Use:   "show ORGANIZATION",
		Short: "One person: what the record says of them, and what happened, newest first",
		Long: `One person: what the record says of them, at each site, and their timeline, newest first: sign-ins step by step, sessions and tokens,
and what administrators did about the account. Attempts that only claimed the account are on it as well.

With --output json the person is the first line, the events follow.`,
		Example: `  postern guest show acme --email ann@partner.example
  postern guest show acme --account 4711 --limit 0 --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (account == "") == (email == "") {
				return usagef("give --account or --email")
			}
			if g.accounts = nil; account != "" {
				g.accounts = []string{account}
			} else {
				g.emails = []string{email}
			}
			r, err := g.request(a, args[0])
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				people, err := pages(cmd.Context(), a, 0, a.guestPages(c, r))
				switch {
				case err != nil:
					return err
				case len(people) == 0:
					return errors.New("nobody like that is on the record: neither proven there, nor seen within what is kept")
				case len(people) > 1 && !a.json():
					if err := a.guestNote(len(people)); err != nil {
						return err
					}
				}
				for _, p := range people {
					if err := a.guestStory(cmd.Context(), c, r.GetParent(), account, p, limit); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&account, "account", "", "account id")
	f.StringVar(&email, "email", "", "address the person proved")
	f.IntVar(&limit, "limit", 50, "how many events at most; 0 means all")
	return cmd
}
