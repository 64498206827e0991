package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/audit/transfer"
	"github.com/postern-audit/postern/audit/verify"
	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
)

func (a *app) archiveMigrate() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the archive's schema up to this version; every start does so by itself",
		Long: `Bring the archive's schema up to this version. Every start does so by itself; this is for those whose sidecar works with a role
that may not change the schema. There is no way back: older versions refuse a newer schema. ` + archiveSettings,
		Example: "  postern archive migrate --config /etc/postern.yaml\n  postern archive migrate --set archive.url=postgres://postern_owner@db/postern",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			if c.Archive.URL == "" { // opening it is all there is to do
				archive, err := a.openArchive(cmd.Context(), c)
				if err != nil {
					return err
				}
				fmt.Fprintln(a.stdout, "The schema is up to date.")
				return archive.Close()
			}
			p, err := a.connectPostgres(cmd.Context(), c.Archive)
			if err != nil {
				return err
			}
			defer p.Close() //nolint:errcheck // it answers nil
			before, want, err := p.SchemaVersions(cmd.Context())
			if err == nil {
				err = p.Migrate(cmd.Context())
			}
			if err != nil {
				return fit(err)
			}
			if before == want {
				fmt.Fprintf(a.stdout, "The schema is up to date, version %d.\n", want)
			} else {
				fmt.Fprintf(a.stdout, "The schema went from version %d to %d.\n", before, want)
			}
			return nil
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}

func (a *app) archiveCopy() *cobra.Command {
	var s settings
	var from, to, passwordFile string
	var only bool
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy a SQLite archive to PostgreSQL, with its sequence numbers, cursors and shelves",
		Long: `Copy a SQLite archive to PostgreSQL, with its sequence numbers, cursors and shelves, and hold the two against each other to the last
byte. It may be stopped or killed at any time and goes on where it was when it is called again.

To move with little interruption: copy with --copy-only while the sidecar runs, stop the sidecar, copy again without it (only what
came meanwhile is left to copy, then all is compared), set archive.url, start. Until the comparison has found both equal the
copy belongs to no installation, and no sidecar serves from it. An archive that a sidecar has archived to is no target any more.

Exit code 1 when the two are not equal; the output says where.`,
		Example: `  postern archive copy --to postgres://postern@db/postern --to-password-file /etc/postern/db.password --copy-only
  postern archive copy --config /etc/postern.yaml --from /var/lib/postern/archive.db`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			if from == "" {
				from = c.ArchivePath()
			}
			if to != "" {
				c.Archive = config.Archive{URL: to, PasswordFile: passwordFile, MaxConnections: c.Archive.MaxConnections}
				if err := c.Validate(); err != nil {
					return configError{err}
				}
			}
			if c.Archive.URL == "" {
				return usagef("--to is needed, or archive.url in the settings: where to copy to")
			}
			return a.copyArchive(cmd, c, from, !only)
		},
	}
	f := cmd.Flags()
	s.flags(a, f)
	f.StringVar(&from, "from", "", "SQLite file to copy; empty means archive.sqlite of the settings, or archive.db in data_dir")
	f.StringVar(&to, "to", "", "PostgreSQL database to copy to, as archive.url; empty means that of the settings")
	f.StringVar(&passwordFile, "to-password-file", "", "file whose first line is the password for --to")
	f.BoolVar(&only, "copy-only", false, "do not compare: the source is still written to")
	return cmd
}

func (a *app) copyArchive(cmd *cobra.Command, c config.Config, from string, compare bool) error {
	ctx := cmd.Context()
	src := c
	src.Archive = config.Archive{SQLite: from}
	opened, err := a.openArchive(ctx, src)
	if err != nil {
		return err
	}
	defer opened.Close() //nolint:errcheck // it was only read
	source, ok := opened.(*sqlite.Archive)
	if !ok {
		return usagef("--from must name a SQLite file")
	}
	o, err := serve.PostgresOptions(c.Archive, a.now)
	if err != nil {
		return fit(err)
	}
	target, err := postgres.Open(ctx, o)
	if err != nil {
		return fit(err)
	}
	defer target.Close() //nolint:errcheck // it answers nil
	bar := a.counter()
	report, err := transfer.Copy(ctx, source, target, compare, func(phase, organization string, done, of int64) { bar(phase, organization, done, of) })
	if err != nil {
		return fit(err)
	}
	if err := a.showCopy(&report, compare); err != nil {
		return err
	}
	if len(report.Differences) > 0 {
		return errNo
	}
	return nil
}

func (a *app) showCopy(r *transfer.Report, compare bool) error {
	if a.json() {
		return a.line(r)
	}
	rows := [][]string{{"organizations", strconv.Itoa(r.Organizations)}, {"events there before", strconv.FormatInt(r.Present, 10)},
		{"events copied", strconv.FormatInt(r.Events, 10)}}
	switch {
	case !compare:
		rows = append(rows, []string{"compared", "no: copy again when the source is not written to any more"})
	case len(r.Differences) == 0:
		rows = append(rows, []string{"compared", strconv.FormatInt(r.Compared, 10) + " events, all equal"})
	default:
		rows = append(rows, []string{"compared", strconv.FormatInt(r.Compared, 10) + " events, NOT equal"})
	}
	for _, d := range r.Differences {
		rows = append(rows, []string{"difference", d})
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows)
}

// counter says on a terminal how far something is, a few times a second.
func (a *app) counter() func(phase, organization string, done, of int64) {
	const pace = 200 * time.Millisecond
	if !show.IsTerminal(a.stderr) {
		return func(string, string, int64, int64) {}
	}
	var last time.Time
	return func(phase, organization string, done, of int64) {
		if now := a.now(); now.Sub(last) >= pace || done >= of {
			last = now
			fmt.Fprintf(a.stderr, "\r\x1b[K%s %s: %d of %d", phase, printable.Escape(organization), done, of)
			if done >= of {
				fmt.Fprint(a.stderr, "\r\x1b[K")
			}
		}
	}
}

func (a *app) archiveVerify() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "verify [ORGANIZATION]",
		Short: "Read the archive from one end to the other and say what in it cannot be right; exit code 1 when something is",
		Long: `Read the archive, or the record of one organization, from one end to the other and say what in it cannot be right: sequence numbers
that are missing and were not dropped by retention, sealed parts that are not those their digests were made of, bodies that cannot
be read, flows whose rows do not say what their events say, shelves that count wrongly. Nothing is opened, changed or repaired.
Exit code 1 when something is found. ` + archiveSettings,
		Example: "  postern archive verify --config /etc/postern.yaml\n  postern archive verify acme --output json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one organization at most", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			only := ""
			if len(args) == 1 {
				only = args[0]
			}
			return a.verifyArchive(cmd, c, only)
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}

func (a *app) verifyArchive(cmd *cobra.Command, c config.Config, only string) error {
	archive, err := a.openArchive(cmd.Context(), c)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // it was only read
	bar := a.counter()
	report, err := verify.Run(cmd.Context(), archive, only, func(organization string, done, of int64) { bar("verify", organization, done, of) })
	switch {
	case err != nil:
		return fit(err)
	case only != "" && report.Organizations == 0:
		return fmt.Errorf("the archive has no record of organization %q", only)
	case a.json():
		err = a.line(report)
	default:
		rows := [][]string{{"organizations", strconv.Itoa(report.Organizations)}, {"events", strconv.FormatInt(report.Events, 10)},
			{"flows", strconv.FormatInt(report.Flows, 10)}, {"dropped by retention", strconv.FormatInt(report.Pruned, 10)}}
		if len(report.Findings) == 0 {
			rows = append(rows, []string{"findings", "none"})
		}
		for _, f := range report.Findings {
			rows = append(rows, []string{"finding", f})
		}
		err = show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows)
	}
	if err == nil && len(report.Findings) > 0 {
		return errNo
	}
	return err
}
