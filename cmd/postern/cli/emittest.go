package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) eventEmitTest() *cobra.Command {
	r := &posternv1.EmitTestEventRequest{}
	cmd := &cobra.Command{
		Use:   "emit-test ORGANIZATION",
		Short: "Write a test event, to see whether whoever reads the record does so",
		Long: `Write an event of type log.tested into an organization's record, and say its name. A SIEM that polls the events API shows it as action
audit_log_tested, with the same id.`,
		Example: `  postern event emit-test acme
  postern event emit-test acme --note "new collector, eu" --output json | jq -r .name`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Events.EmitTestEvent, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				fmt.Fprintf(a.stdout, "emitted %s\n", printable.Escape(answer.GetName()))
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&r.Note, "note", "", "a word to know it by; it stands in the event")
	return cmd
}
