package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/client"
)

// Exit codes, as the help and docs/reference/cli.md give them.
const (
	exitOK          = 0
	exitOther       = 1 // refused, failed, or a check says no
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// configError is a configuration that cannot be used.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// inputError is a file that cannot be used: nothing was done with it.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

// errNo says "no" by its exit code alone: the output has said why.
var errNo = errors.New("no")

// isSilent reports whether nobody needs to be told: the exit code says it, or the reader of the output has gone.
func isSilent(err error) bool { return errors.Is(err, errNo) || errors.Is(err, syscall.EPIPE) }

// exitCode sorts what went wrong.
func exitCode(err error) int {
	var (
		u usageError
		c configError
		i inputError
		d *serve.DependencyError
	)
	switch f := client.Explain(err); {
	case err == nil:
		return exitOK
	case errors.As(err, &u), errors.As(err, &i):
		return exitUsage
	case errors.As(err, &c):
		return exitConfig
	case errors.As(err, &d), f != nil && f.Unreachable():
		return exitUnreachable
	}
	return exitOther
}

// message is what a person reads about err.
func message(err error) string {
	var u usageError
	if errors.As(err, &u) {
		return err.Error() + `; "postern help" and --help say more`
	}
	if f := client.Explain(err); f != nil {
		return f.Error()
	}
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return strings.TrimSpace(err.Error())
}

// exactly demands one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s takes %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// none takes no argument.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}
