package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"

	"github.com/postern-audit/postern/cmd/postern/serve"
	"github.com/postern-audit/postern/internal/caller"
	"github.com/postern-audit/postern/internal/config"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/internal/telemetry"
)

func (a *app) serve() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar",
		Long: `Run the sidecar until it is interrupted or terminated. Without any setting it keeps everything in ./data, in this process:
for trying out. Settings are in docs/reference/config.md and examples/postern.yaml.

The log goes to standard error. On SIGTERM the process takes no more calls, lets those that run come to an end, carries
what waits to the archive, and exits with 0; with 1 when something could not be closed in time.`,
		Example: `  postern serve
  postern serve --config /etc/postern.yaml
  postern serve --set redis.mode=standalone --set redis.addresses=127.0.0.1:6379`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.load(a)
			if err != nil {
				return err
			}
			log, err := telemetry.NewLogger(a.stderr, logFormat(c, show.IsTerminal(a.stderr)), c.Log.Level, caller.CallID)
			if err != nil {
				return configError{err}
			}
			redisx.LogDriver(log)
			// grpc and its gateway write lines of their own, with words of callers in them; what matters comes back as errors.
			grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
			version, revision := build()
			err = serve.Run(cmd.Context(), c, serve.Options{Log: log, Now: a.now, Version: words(version, revision)})
			var wrong *serve.ConfigError
			if errors.As(err, &wrong) {
				return configError{err}
			}
			return err
		},
	}
	s.flags(a, cmd.Flags())
	return cmd
}

// logFormat settles "auto".
func logFormat(c config.Config, terminal bool) string {
	switch {
	case c.Log.Format != "auto":
		return c.Log.Format
	case terminal:
		return "text"
	}
	return "json"
}
