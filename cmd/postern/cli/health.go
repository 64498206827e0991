package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/client"
)

func (a *app) health() *cobra.Command {
	var service string
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Whether the sidecar takes calls, by its exit code",
		Long: `Ask the sidecar's gRPC health service. The exit code is 0 while it takes calls, 1 while it does not, 4 when it cannot be reached: what
probes of containers run. Why it takes none is in its log and, over HTTP, in /readyz.`,
		Example: `  postern health
  postern health --service postern.v1.SignInService --timeout 2s`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := c.Health.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
				if err != nil {
					return err
				}
				if a.json() {
					err = a.message(answer)
				} else {
					_, err = fmt.Fprintln(a.stdout, answer.GetStatus())
				}
				if err == nil && answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
					err = errNo
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "one service by its full name; the whole process without")
	return cmd
}
