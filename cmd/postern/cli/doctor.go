package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/cmd/postern/doctor"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/redisx"
)

func (a *app) doctor() *cobra.Command {
	var s settings
	var all bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything a sidecar runs on, and say what is wrong, why it matters and what mends it",
		Long: `Look at what a process with these settings (--config, POSTERN_…, --set) runs on: settings, disk, keys, Redis, archive, whether they belong
together, and the socket. Nothing is changed, and no sidecar needs to run.

The exit code is 0 when nothing is worse than WARN, 1 when something is FAIL: the process would not start, or a promise does not hold.`,
		Example: `  postern doctor --config /etc/postern/postern.yaml
  postern doctor --all
  postern doctor --output json | jq 'select(.level == "FAIL")'`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			redisx.LogDriver(slog.New(slog.DiscardHandler)) // what matters of it is a finding
			findings := (&doctor.Examination{Config: c, Now: a.now}).Run(cmd.Context())
			if err := a.showFindings(findings, all); err != nil {
				return err
			}
			if doctor.Worst(findings) == doctor.Fail {
				return errNo
			}
			return nil
		},
	}
	s.flags(a, cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "show what is right, too; json always has everything")
	return cmd
}

func (a *app) showFindings(findings []doctor.Finding, all bool) error {
	count := map[doctor.Level]int{}
	var rows [][]string
	for i, f := range findings {
		count[f.Level]++
		if a.json() {
			if err := a.line(&findings[i]); err != nil {
				return err
			}
		}
		if all || f.Level == doctor.Warn || f.Level == doctor.Fail {
			rows = append(rows, []string{string(f.Level), f.Check, f.Found, f.Why, f.Fix})
		}
	}
	if a.json() {
		return nil
	}
	for _, r := range rows {
		for i := range r {
			r[i] = printable.Escape(r[i])
		}
		fmt.Fprintf(a.stdout, "%-7s %-20s %s\n", r[0], r[1], r[2])
		for i, word := range []string{"why", "mend"} {
			if r[3+i] != "" {
				fmt.Fprintf(a.stdout, "%28s %-4s %s\n", "", word, r[3+i])
			}
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%d right, %d to know of, %d wrong, %d not looked at\n",
		count[doctor.OK], count[doctor.Warn], count[doctor.Fail], count[doctor.Skipped])
	return err
}
