// Package cli is the command line: one file per group of commands.
//
// Purpose: parse arguments, make one call or start one process, show the answer. Invariant: everything is read from and written
// to what Run was given, and Run's result is the documented exit code. Text from elsewhere is shown escaped. It must never
// decide anything about a sign-in; the sidecar does. First file to read: cli.go, then exit.go.
package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
)

// Run runs one command and returns its exit code.
func Run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{environ: environ, stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	root := a.root() //nolint:contextcheck // commands get their context from ExecuteContext
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !isSilent(err) {
		for l := range strings.SplitSeq(message(err), "\n") {
			fmt.Fprintln(stderr, "postern: "+printable.Escape(l))
		}
	}
	return exitCode(err)
}

// app is what commands share: where to read and write, and the global flags.
type app struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	now     func() time.Time

	address string
	output  string
	timeout time.Duration
}

const longHelp = `Postern stands beside a login service. For every sign-in at a site it decides who the person is to the
organization that owns the site and what they must prove, and keeps a complete record of how an external user got in, or
did not.

"postern serve" runs the sidecar; "postern demo" shows what it does; the other commands talk to a running one.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 wrong configuration; 4 the sidecar, or what it needs, cannot be
reached or used.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "postern",
		Short:         "Who is this to the organization that owns the site, and what must they prove?",
		Long:          longHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	f := root.PersistentFlags()
	f.StringVar(&a.address, "address", a.getenv("POSTERN_ADDRESS", "unix:./data/postern.sock"),
		"the sidecar, unix:PATH or HOST:PORT (POSTERN_ADDRESS)")
	f.StringVarP(&a.output, "output", "o", a.getenv("POSTERN_OUTPUT", outputTable), "table, for people, or json, one object a line (POSTERN_OUTPUT)")
	timeout, errTimeout := time.ParseDuration(a.getenv("POSTERN_TIMEOUT", "10s"))
	f.DurationVar(&a.timeout, "timeout", timeout, "longest a call may take; streams are not bound by it (POSTERN_TIMEOUT)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch {
		case a.output != outputTable && a.output != outputJSON:
			return usagef("--output must be table or json")
		case errTimeout != nil || a.timeout <= 0:
			return usagef("--timeout must be a duration above zero, for example 10s")
		}
		return nil
	}
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{outputTable, outputJSON}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(a.serve(), a.demo(), a.signIn(), a.org(), a.site(), a.domain(), a.account(), a.connection(), a.flow(), a.guest(), a.event(), a.filter(), a.trace(), a.export(), a.archive(), a.explain(), a.policy(),
		a.authenticator(), a.identity(), a.key(), a.subject(), a.access(), a.evidence(), a.addresses(), a.configuration(), a.doctor(), a.health(), a.version())
	return root
}

// getenv returns a variable of the environment Run was given.
func (a *app) getenv(name, fallback string) string {
	for _, e := range a.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok && v != "" {
			return v
		}
	}
	return fallback
}

// group makes a command that only holds others: without one of them it shows its help, with something else it is wrong usage.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		text := fmt.Sprintf("%q is no command of %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return usagef("%s", text)
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

// call runs f with a connection and the time a call may take.
func (a *app) call(ctx context.Context, f func(context.Context, *client.Client) error) error {
	return a.connect(func(c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, a.timeout)
		defer cancel()
		return f(ctx, c)
	})
}

// connect runs f with a connection.
func (a *app) connect(f func(*client.Client) error) error {
	c, err := client.Dial(a.address)
	if err != nil {
		return usage(err)
	}
	defer func() { _ = c.Close() }()
	return f(c)
}

// newRequestID mints an idempotency key.
func newRequestID() string { return rand.Text() }
