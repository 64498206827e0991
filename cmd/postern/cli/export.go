package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) export() *cobra.Command {
	return group(&cobra.Command{Use: "export", Short: "Exports: the record, or a part of it, as a file"},
		a.exportCreate(), a.exportList(), a.exportGet(), a.exportCancel(), a.exportDelete())
}

// byExport is how commands about one export are used.
const byExport = `The export is given as ORGANIZATION EXPORT, as ORGANIZATION/EXPORT or by its full name; EXPORT is the id that list shows.`

// exportName reads one export from one or two arguments.
func exportName(args []string) (string, error) { return resource(strings.Join(args, "/"), "exports") }

// oneExport demands the arguments that exportName reads.
func oneExport(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION EXPORT", cmd.CommandPath())
	}
	return nil
}

func (a *app) exportCreate() *cobra.Command {
	var (
		r      posternv1.CreateExportRequest
		filter eventFilter
		f      exportFollow
		format string
	)
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION",
		Short: "Make a file of the events that match, and follow it",
		Long: `Make a file of the events that match, up to the last one there is now. The sidecar makes it in the background; this command follows it
and ends when it is whole. Interrupted, it leaves the export alone: "postern export get" has it. --background does not wait.

With --download the file is fetched when it is whole, and its SHA-256 compared; --manifest fetches what it is of beside it. The same command
with the same --request-id, within 24 hours, follows the same export.`,
		Example: `  postern export create acme --format csv --since 30d --download may.csv
  postern export create acme --format parquet --type 'sign_in.*' --site wiki --background
  postern export create acme --format jsonl --reason "case 4711" --output json`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			n, err := enum("format", "FORMAT", format, posternv1.Export_Format_value)
			if err != nil {
				return err
			}
			if r.Filter, err = filter.filter(r.GetParent(), a.now()); err != nil {
				return err
			}
			if r.Format = posternv1.Export_Format(n); r.GetRequestId() == "" {
				r.RequestId = newRequestID()
			}
			if err := f.vacant(); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				made, err := a.createExport(cmd.Context(), c, &r)
				if err != nil {
					return err
				}
				if f.background {
					return a.showExport(made)
				}
				f.app, f.c = a, c
				return f.run(cmd.Context(), made.GetName())
			})
		},
	}
	flags := cmd.Flags()
	filter.flags(flags)
	flags.StringVar(&format, "format", "csv", "csv, jsonl (one event a line) or parquet")
	flags.StringVar(&r.Reason, "why", "", "why; kept in the record")
	flags.StringVar(&r.RequestId, "request-id", "", "idempotency key (default: a new one)")
	flags.BoolVar(&f.background, "background", false, "do not wait for it")
	f.flags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"csv", "jsonl", "parquet"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) createExport(ctx context.Context, c *client.Client, r *posternv1.CreateExportRequest) (*posternv1.Export, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return client.Repeat(ctx, c.Events.CreateExport, r)
}

func (a *app) showExport(e *posternv1.Export) error {
	if a.json() {
		return a.message(e)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Export(e))
}

func (a *app) exportList() *cobra.Command {
	r := &posternv1.ListExportsRequest{}
	var limit int
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Exports of an organization, the newest first",
		Long:  "Exports of an organization, the newest first, until their files go. Links are shown by get alone.",
		Example: `  postern export list acme
  postern export list acme --output json | jq -r 'select(.state=="STATE_SUCCEEDED") | .name'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Export, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Events.ListExports(ctx, r)
					return answer.GetExports(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.ExportHeader(), show.ExportRow)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most; 0 means all")
	return cmd
}

func (a *app) exportGet() *cobra.Command {
	f := exportFollow{app: a}
	var wait bool
	cmd := &cobra.Command{
		Use:   "get ORGANIZATION EXPORT",
		Short: "One export, with links to its file when it is whole",
		Long: `One export, with links to its file and its manifest when it is whole. Each answer has other links, good for one day: whoever has one can
fetch the file. ` + byExport,
		Example: `  postern export get acme 0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e
  postern export get acme 0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e --download may.csv --manifest may.json`,
		Args: oneExport,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := exportName(args)
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				if err := f.vacant(); err != nil {
					return err
				}
				f.c = c
				if wait || f.data != "" || f.manifest != "" {
					return f.run(cmd.Context(), name)
				}
				e, err := f.get(cmd.Context(), name)
				if err != nil {
					return err
				}
				return a.showExport(e)
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is whole")
	f.flags(cmd)
	return cmd
}

func (a *app) exportCancel() *cobra.Command {
	r := &posternv1.CancelExportRequest{}
	cmd := &cobra.Command{
		Use:     "cancel ORGANIZATION EXPORT",
		Short:   "Call off an export that is not whole",
		Long:    "Call off an export that is not whole; what was made of it goes. " + byExport,
		Example: `  postern export cancel acme 0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e --reason "wrong filter"`,
		Args:    oneExport,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = exportName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				e, err := client.Repeat(ctx, c.Events.CancelExport, r)
				if err != nil {
					return err
				}
				return a.showExport(e)
			})
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}

func (a *app) exportDelete() *cobra.Command {
	r := &posternv1.DeleteExportRequest{}
	cmd := &cobra.Command{
		Use:     "delete ORGANIZATION EXPORT",
		Short:   "Remove an export with its file",
		Long:    "Remove an export with its file, before its time is over. Its links end with it. " + byExport,
		Example: `  postern export delete acme 0199c1f2-7f5e-7b9a-8c1d-2f3a4b5c6d7e --reason "handed over"`,
		Args:    oneExport,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = exportName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				_, err := client.Repeat(ctx, c.Events.DeleteExport, r)
				if err != nil || a.json() {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "%s is deleted.\n", r.GetName())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}

// exportFollow waits for an export and fetches its files.
type exportFollow struct {
	*app
	c              *client.Client
	background     bool
	data, manifest string // where to
}

func (f *exportFollow) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "download", "", "file to write it to; it must not be there")
	cmd.Flags().StringVar(&f.manifest, "manifest", "", "file to write its manifest to; it must not be there")
}

const (
	followEvery    = 300 * time.Millisecond
	followSeldom   = 2 * time.Second
	followPatience = time.Minute // with a sidecar that does not answer
)

// vacant refuses to begin when a file to write is there.
func (f *exportFollow) vacant() error { return errors.Join(vacant(f.data), vacant(f.manifest)) }

func (f *exportFollow) get(ctx context.Context, name string) (*posternv1.Export, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return f.c.Events.GetExport(ctx, &posternv1.GetExportRequest{Name: name})
}

// run follows an export to its end, through restarts of the sidecar, and fetches what was asked for.
func (f *exportFollow) run(ctx context.Context, name string) error {
	heard, wait := f.now(), followEvery
	for {
		e, err := f.get(ctx, name)
		switch {
		case err == nil && e.GetState() >= posternv1.Export_STATE_SUCCEEDED:
			f.clear()
			return f.end(ctx, e)
		case err == nil:
			heard = f.now()
			f.progress(e)
		case ctx.Err() != nil, f.now().Sub(heard) > followPatience, !goesOn(err):
			f.clear()
			return err
		}
		select {
		case <-ctx.Done():
			f.clear()
			return fmt.Errorf("the export goes on by itself: postern export get %s: %w", strings.TrimPrefix(name, "organizations/"), ctx.Err())
		case <-time.After(wait):
		}
		wait = min(wait*5/4, followSeldom)
	}
}

// end shows an export that is over, and fetches its files.
func (f *exportFollow) end(ctx context.Context, e *posternv1.Export) error {
	if e.GetState() == posternv1.Export_STATE_SUCCEEDED {
		if err := f.download(ctx, e); err != nil {
			return err
		}
	}
	if err := f.showExport(e); err != nil {
		return err
	}
	if e.GetState() != posternv1.Export_STATE_SUCCEEDED {
		return errNo
	}
	return nil
}

// progress draws a bar where somebody looks at it.
func (f *exportFollow) progress(e *posternv1.Export) {
	if !show.IsTerminal(f.stderr) {
		return
	}
	const width = 40
	filled := int(width * e.GetProgressPercent() / 100)
	note := ""
	if e.GetState() != posternv1.Export_STATE_RUNNING {
		note = " " + strings.ToLower(show.Enum("STATE", e.GetState())) + " " + e.GetStateReason()
	}
	_, _ = fmt.Fprintf(f.stderr, "\r\x1b[K[%s%s] %d%% %d rows%s", strings.Repeat("#", filled), strings.Repeat(".", width-filled), e.GetProgressPercent(), e.GetRowCount(), note)
}

// clear removes the bar.
func (f *exportFollow) clear() {
	if show.IsTerminal(f.stderr) {
		_, _ = io.WriteString(f.stderr, "\r\x1b[K")
	}
}
