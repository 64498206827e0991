package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/examples"
	"github.com/postern-audit/postern/internal/demo"
)

func (a *app) demo() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A score of sign-ins against a sidecar of its own, and the record they leave",
		Long: `Start a sidecar with embedded storage on a temporary directory, apply examples/acme.yaml, play a login service through a
score of sign-ins over gRPC, print the record, and check it against what each sign-in should have left. Exit code 1 when it
differs.

With "--output json" every event of the record is printed as a JSON line on standard output, and nothing else there.`,
		Example: `  postern demo
  postern demo --keep                 # leave the sidecar running, to look around
  postern demo --output json | jq -r .type`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			return demo.Run(cmd.Context(), demo.Options{
				Binary: binary, Document: examples.Acme(), JSON: a.json(), Keep: keep, Stdout: a.stdout, Stderr: a.stderr, Now: a.now})
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the sidecar running and say how to reach it")
	return cmd
}
