package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/show"
)

func (a *app) archive() *cobra.Command {
	return group(&cobra.Command{Use: "archive", Short: "The archive itself, without a sidecar: its state, schema, copies and verification"},
		a.archiveStatus(), a.archiveMigrate(), a.archiveCopy(), a.archiveVerify())
}

const archiveSettings = `The archive is that of the settings (--config, POSTERN_…, --set). A sidecar may be running on it.`

// fit sorts what went wrong with an archive for the exit code.
func fit(err error) error {
	var wrong *serve.ConfigError
	switch kind := errs.KindOf(err); {
	case err == nil:
		return nil
	case errors.As(err, &wrong), errors.Is(err, postgres.ErrOptions), errs.Is(err, "ARCHIVE_NEWER"):
		return configError{err}
	case kind == errs.Unavailable, kind == errs.DeadlineExceeded:
		return &serve.DependencyError{What: "archive", Err: err}
	}
	return err
}

// openArchive opens the archive of the settings and brings its schema up to date. It never makes a SQLite file.
func (a *app) openArchive(ctx context.Context, c config.Config) (serve.Archive, error) {
	if c.Archive.URL == "" {
		if _, err := os.Stat(c.ArchivePath()); err != nil {
			return nil, &serve.DependencyError{What: "archive", Err: err}
		}
	}
	archive, err := serve.OpenArchive(ctx, c, a.now)
	return archive, fit(err)
}

// connectPostgres reaches the database of the settings as it is.
func (a *app) connectPostgres(ctx context.Context, c config.Archive) (*postgres.Archive, error) {
	o, err := serve.PostgresOptions(c, a.now)
	if err != nil {
		return nil, fit(err)
	}
	p, err := postgres.Connect(ctx, o)
	return p, fit(err)
}

// archiveState is what status shows.
type archiveState struct {
	Engine        string       `json:"engine"`
	Place         string       `json:"place"`
	Server        string       `json:"server,omitempty"`
	Schema        int64        `json:"schema,omitempty"`
	SchemaWanted  int64        `json:"schema_wanted,omitempty"`
	Bytes         int64        `json:"bytes"`
	Installation  string       `json:"installation,omitempty"`
	Organizations int          `json:"organizations"`
	Events        int64        `json:"events"`
	Flows         int64        `json:"flows"`
	Oldest        *time.Time   `json:"oldest,omitempty"`
	Newest        *time.Time   `json:"newest,omitempty"`
	NewestAge     string       `json:"newest_age,omitempty"`
	Untold        int          `json:"dropped_and_not_yet_told"`
	Problems      []string     `json:"problems,omitempty"`
	Shelves       []shelfState `json:"shelves"`
}

type shelfState struct {
	Name          string    `json:"name"`
	Days          int       `json:"days"`
	Start         time.Time `json:"start"`
	End           time.Time `json:"end"`
	Organizations int       `json:"organizations"`
	Events        int64     `json:"events"`
	Flows         int64     `json:"flows"`
	Bytes         int64     `json:"bytes,omitempty"`
}

func (a *app) archiveStatus() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What the archive holds and how it is: engine, schema, size, shelves, oldest and newest event",
		Long: `What the archive holds and how it is: engine, schema, size, oldest and newest event, what PostgreSQL is not set up to keep, and the
shelves: what is kept for the same number of days, by window of time, dropped as a whole. ` + archiveSettings + `

How far a running archiver is behind is in /readyz and in the metrics; here the age of the newest event is the nearest there is.`,
		Example: "  postern archive status\n  postern archive status --config /etc/postern.yaml --output json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			state, err := a.archiveState(cmd.Context(), c)
			if err != nil {
				return err
			}
			if a.json() {
				return a.line(state)
			}
			return a.showState(state)
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}

func (a *app) archiveState(ctx context.Context, c config.Config) (*archiveState, error) {
	state := &archiveState{Engine: "SQLite", Place: c.ArchivePlace()}
	if c.Archive.URL == "" {
		archive, err := a.openArchive(ctx, c)
		if err != nil {
			return nil, err
		}
		defer archive.Close() //nolint:errcheck // it was only read
		for _, suffix := range []string{"", "-wal"} {
			if info, err := os.Stat(c.ArchivePath() + suffix); err == nil {
				state.Bytes += info.Size()
			}
		}
		return state, state.read(ctx, archive, nil, a.now())
	}
	state.Engine = "PostgreSQL"
	p, err := a.connectPostgres(ctx, c.Archive)
	if err != nil {
		return nil, err
	}
	defer p.Close() //nolint:errcheck // it was only read
	if state.Schema, state.SchemaWanted, err = p.SchemaVersions(ctx); err != nil {
		return nil, fit(err)
	}
	problems, err := p.Check(ctx)
	if err != nil {
		return nil, fit(err)
	}
	for _, problem := range problems {
		state.Problems = append(state.Problems, string(problem.Code)+": "+problem.Detail)
	}
	if state.Schema < state.SchemaWanted {
		state.Problems = append(state.Problems, fmt.Sprintf("SCHEMA: version %d; `postern archive migrate` or the next start brings it to %d", state.Schema, state.SchemaWanted))
	}
	if state.Schema != state.SchemaWanted { // an older one may lack the tables, a newer one is not known
		return state, nil
	}
	sizes, err := p.Status(ctx)
	if err != nil {
		return nil, fit(err)
	}
	state.Server, state.Bytes = sizes.Server, sizes.Size
	return state, state.read(ctx, p, sizes.Shelves, a.now())
}

// read fills in what every engine tells in the same way.
func (s *archiveState) read(ctx context.Context, archive serve.Archive, sizes map[audit.Shelf]int64, now time.Time) error {
	i, err := archive.Installation(ctx)
	if err != nil {
		return fit(err)
	}
	if i != nil {
		s.Installation = i.ID
	}
	shelves, err := archive.Shelves(ctx)
	if err != nil {
		return fit(err)
	}
	organizations := map[string]bool{}
	for i := range shelves {
		s.shelf(&shelves[i], organizations, sizes[shelves[i].Shelf])
	}
	s.Organizations = len(organizations)
	if s.Newest != nil {
		s.NewestAge = now.Sub(*s.Newest).Round(time.Second).String()
	}
	const enough = 1 << 20
	untold, err := archive.Untold(ctx, enough)
	s.Untold = len(untold)
	return fit(err)
}

func (s *archiveState) shelf(on *audit.ShelfState, organizations map[string]bool, size int64) {
	row := shelfState{Name: on.String(), Days: on.Keep, Start: on.Start, End: on.End, Bytes: size}
	here := map[string]bool{}
	for _, c := range on.Content {
		here[c.OrganizationUID], organizations[c.OrganizationUID] = true, true
		row.Events, row.Flows = row.Events+c.Events, row.Flows+c.Flows
		if c.Events == 0 {
			continue
		}
		if s.Oldest == nil || c.FirstTime.Before(*s.Oldest) {
			s.Oldest = &c.FirstTime
		}
		if s.Newest == nil || c.LastTime.After(*s.Newest) {
			s.Newest = &c.LastTime
		}
	}
	row.Organizations = len(here)
	s.Events, s.Flows, s.Shelves = s.Events+row.Events, s.Flows+row.Flows, append(s.Shelves, row)
}

func (a *app) showState(s *archiveState) error {
	rows := [][]string{{"engine", s.Engine}, {"place", s.Place}}
	add := func(field, value string) {
		if value != "" {
			rows = append(rows, []string{field, value})
		}
	}
	add("server", s.Server)
	if s.SchemaWanted > 0 {
		add("schema", fmt.Sprintf("%d of %d", s.Schema, s.SchemaWanted))
	}
	add("size", bytesText(s.Bytes))
	add("installation", s.Installation)
	add("organizations", strconv.Itoa(s.Organizations))
	add("events", strconv.FormatInt(s.Events, 10))
	add("flows", strconv.FormatInt(s.Flows, 10))
	if s.Oldest != nil {
		add("oldest event", s.Oldest.Format(time.RFC3339))
		add("newest event", s.Newest.Format(time.RFC3339)+", "+s.NewestAge+" ago")
	}
	if s.Untold > 0 {
		add("dropped, not yet told", strconv.Itoa(s.Untold))
	}
	for _, p := range s.Problems {
		add("problem", p)
	}
	if err := show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows); err != nil {
		return err
	}
	if len(s.Shelves) == 0 {
		return nil
	}
	rows = nil
	for _, x := range s.Shelves {
		size := "-"
		if x.Bytes > 0 {
			size = bytesText(x.Bytes)
		}
		rows = append(rows, []string{x.Name, x.Start.Format(time.DateOnly), x.End.Format(time.DateOnly), strconv.Itoa(x.Organizations),
			strconv.FormatInt(x.Events, 10), strconv.FormatInt(x.Flows, 10), size})
	}
	return show.Table(a.stdout, []string{"SHELF", "FROM", "UNTIL", "ORGANIZATIONS", "EVENTS", "FLOWS", "SIZE"}, rows)
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}
